"""Series of files in which one property varies and all others stay the same."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.data import DataArgs

_SHARES = (0.0, 0.01, 0.1, 0.5)


@dataclass(frozen=True)
class Series:
    name: str
    points: tuple[tuple[str, DataArgs], ...]
    """Pairs of a label and the arguments of its file."""


def series(rows: int) -> tuple[Series, ...]:
    """The series, with files of `rows` rows."""
    return (
        Series(
            "customers",
            tuple(
                (f"{customers:,}", DataArgs(rows, customers=customers)) for customers in (10**3, 10**4, 10**5, 10**6)
            ),
        ),
        Series(
            "duplicates",
            tuple((f"{share:.0%}", DataArgs(rows, faults=0.0, duplicates=share)) for share in _SHARES),
        ),
        Series("rejects", tuple((f"{share:.0%}", DataArgs(rows, faults=share)) for share in _SHARES)),
    )
