"""The arguments of the generator and their limits."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

MOST_ROWS = 10**10 - 1
"""A transaction_id has ten digits for its number."""

MOST_DIMENSION_ROWS = 10_000_000


@dataclass(frozen=True)
class MockDataArgs:
    """The generator's arguments; raises ValueError with one sentence for values outside the limits."""

    start: date = date(2023, 3, 15)
    """The first day; one file per day."""
    days: int = 30
    rows: int = 10_000
    """Rows of an average day: a Saturday in December has more. All days together have exactly days x rows."""
    products: int = 500
    customers: int = 5_000
    seed: int = 7
    faults: float = 0.02
    """The share of rows with a named fault; as many again are valid but oddly written."""

    def __post_init__(self) -> None:
        self._between("days", self.days, 1, 100_000)
        self._between("rows", self.rows, 1, MOST_ROWS)
        self._between("products", self.products, 1, MOST_DIMENSION_ROWS)
        self._between("customers", self.customers, 1, MOST_DIMENSION_ROWS)
        self._between("seed", self.seed, 0, 2**63 - 1)
        if not 0 <= self.faults <= 1:
            raise ValueError(f"faults is {self.faults}; it is a share of the rows, so give a number from 0 to 1")
        if self.days * self.rows > MOST_ROWS:
            raise ValueError(
                f"{self.days} days of {self.rows} rows are {self.days * self.rows} rows; "
                f"ask for at most {MOST_ROWS} in all"
            )
        # A fault uses the day after the last file, which must be in the calendar, too.
        if self.start.year < 1000 or (date.max - self.start).days < self.days:
            raise ValueError(
                f"{self.days} days from {self.start.isoformat()} leave the calendar; "
                "start in the year 1000 or later and end before 9999-12-31"
            )

    @staticmethod
    def _between(name: str, value: int, least: int, most: int) -> None:
        if not least <= value <= most:
            raise ValueError(f"{name} is {value}; give a whole number from {least} to {most}")

    def day(self, index: int) -> date:
        """The calendar day of the index-th file, counted from 0."""
        return self.start + timedelta(days=index)
