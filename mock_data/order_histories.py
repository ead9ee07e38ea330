"""The history of an order over days: its rows, their files, and the outcome of each row.

The outcomes are declared, not computed: they follow from the contract for files that are
dropped in day order. Rows of one file are in the order in which they are listed here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from mock_data.rng import Integers
from mock_data.row_variants import (
    BY_THE_MINUTE,
    CONFLICTING,
    DATE_ALONE,
    EVENING_IN_THE_WEST,
    LONGEST_ID,
    LOWERCASE_ID,
    Variant,
)

INSERTED = "inserted"
UPDATED = "updated"
UNCHANGED = "unchanged"
STALE = "stale"
DUPLICATE = "duplicate"
REJECTED = "rejected"
OUTCOMES = (INSERTED, UPDATED, UNCHANGED, STALE, DUPLICATE, REJECTED)

LAST_SECOND = 86_399


@dataclass(frozen=True)
class Moment:
    """The time of day of an event of an order, computed from the second that is drawn for order and day."""

    name: str
    second: Callable[[Integers], Integers]
    variant: Variant | None = None
    """The variant that a row at this moment must have."""


FIRST = Moment("first", lambda drawn: drawn)
LATER = Moment("later", lambda drawn: drawn + (LAST_SECOND - drawn) // 2)
EARLIER = Moment("earlier", lambda drawn: drawn // 2)
MIDNIGHT = Moment("midnight", lambda drawn: drawn * 0, DATE_ALONE)
MINUTE = Moment("minute", lambda drawn: drawn // 60 * 60, BY_THE_MINUTE)
# In UTC this is the next day, at three in the morning at the latest.
EVENING = Moment("evening", lambda drawn: LAST_SECOND + 1 + drawn // 8, EVENING_IN_THE_WEST)
CONFLICT = Moment("conflict", lambda drawn: drawn, CONFLICTING)
MOMENTS = (FIRST, LATER, EARLIER, MIDNIGHT, MINUTE, EVENING, CONFLICT)


@dataclass(frozen=True)
class Row:
    """One row of an order's history."""

    file: int
    """The file with the row, in days after the order was placed."""
    outcome: str
    status: str
    moment: Moment = FIRST
    days_ago: int = 0
    """The days from the row's event to the file with the row."""
    more: int = 0
    """The number of pieces beyond the first row's quantity."""
    id_variant: Variant | None = None
    """The variant that gives the row another transaction_id than the order's own."""

    @property
    def variant(self) -> Variant | None:
        return self.id_variant or self.moment.variant


@dataclass(frozen=True)
class OrderHistory:
    """The history of a share of all orders."""

    name: str
    share: float
    rows: tuple[Row, ...] = field(default=())

    def winners(self, last_file: int) -> tuple[bool, ...]:
        """True for each row that is in the final fact, if no file after last_file is dropped."""
        latest: dict[Variant | None, Row] = {}
        for row in self.rows:
            if row.file <= last_file and row.outcome in (INSERTED, UPDATED, UNCHANGED):
                latest[row.id_variant] = row
        return tuple(any(row is winner for winner in latest.values()) for row in self.rows)

    def rows_in_file(self, file: int) -> int:
        return sum(row.file == file for row in self.rows)


ONE_ROW = OrderHistory("bought over the counter", 0.0, (Row(0, INSERTED, "completed"),))
"""The history of all orders that are left over by the shares of the others."""

HISTORIES = (
    ONE_ROW,
    OrderHistory(
        "parcel",
        0.08,
        (
            Row(0, INSERTED, "pending"),
            Row(1, UPDATED, "processing"),
            Row(2, UPDATED, "shipped"),
            Row(4, UPDATED, "delivered"),
        ),
    ),
    OrderHistory("paid the next day", 0.10, (Row(0, INSERTED, "pending"), Row(1, UPDATED, "completed"))),
    OrderHistory("express parcel", 0.06, (Row(0, INSERTED, "processing"), Row(2, UPDATED, "delivered"))),
    OrderHistory("cancelled", 0.03, (Row(0, INSERTED, "pending"), Row(1, UPDATED, "cancelled"))),
    OrderHistory("refunded", 0.02, (Row(0, INSERTED, "completed"), Row(5, UPDATED, "refunded"))),
    OrderHistory("reopened", 0.01, (Row(0, INSERTED, "completed"), Row(1, UPDATED, "processing"))),
    OrderHistory("two states in one file", 0.01, (Row(0, DUPLICATE, "pending"), Row(0, INSERTED, "completed", LATER))),
    OrderHistory("newer state first", 0.01, (Row(0, INSERTED, "completed", LATER), Row(0, DUPLICATE, "pending"))),
    OrderHistory("sent twice", 0.01, (Row(0, DUPLICATE, "completed"), Row(0, INSERTED, "completed"))),
    OrderHistory("higher status first", 0.005, (Row(0, INSERTED, "shipped"), Row(0, DUPLICATE, "processing"))),
    OrderHistory(
        "two sales with one id",
        0.005,
        (Row(0, REJECTED, "completed", CONFLICT), Row(0, REJECTED, "completed", CONFLICT, more=1)),
    ),
    OrderHistory("old state late", 0.015, (Row(0, INSERTED, "shipped"), Row(2, STALE, "pending", EARLIER, days_ago=2))),
    OrderHistory("first state last", 0.01, (Row(1, INSERTED, "delivered"), Row(2, STALE, "pending", days_ago=2))),
    OrderHistory("sent again", 0.01, (Row(0, INSERTED, "completed"), Row(1, UNCHANGED, "completed", days_ago=1))),
    OrderHistory("corrected", 0.005, (Row(0, INSERTED, "completed"), Row(1, UPDATED, "completed", days_ago=1, more=1))),
    OrderHistory(
        "old state twice",
        0.005,
        (
            Row(0, INSERTED, "shipped"),
            Row(1, DUPLICATE, "pending", EARLIER, days_ago=1),
            Row(1, STALE, "pending", EARLIER, days_ago=1),
        ),
    ),
    OrderHistory(
        "news and old news in one file",
        0.005,
        (
            Row(0, INSERTED, "pending"),
            Row(1, UPDATED, "shipped"),
            Row(1, DUPLICATE, "processing", LATER, days_ago=1),
        ),
    ),
    OrderHistory(
        "dated by the day",
        0.01,
        (
            Row(0, INSERTED, "pending", MIDNIGHT),
            Row(1, UPDATED, "processing", MIDNIGHT, days_ago=1),
            Row(2, STALE, "pending", MIDNIGHT, days_ago=2),
        ),
    ),
    OrderHistory("dated by the minute", 0.005, (Row(0, INSERTED, "completed", MINUTE),)),
    OrderHistory(
        "evening in the west",
        0.005,
        (
            Row(0, INSERTED, "processing", EVENING),
            # In UTC, midnight of the next day is before that evening, or the same instant.
            Row(1, STALE, "pending", MIDNIGHT),
            Row(2, UPDATED, "delivered"),
        ),
    ),
    OrderHistory(
        "two ids that differ in case",
        0.005,
        (Row(0, INSERTED, "completed"), Row(0, INSERTED, "pending", id_variant=LOWERCASE_ID)),
    ),
    OrderHistory(
        "longest id",
        0.005,
        (
            Row(0, INSERTED, "pending", id_variant=LONGEST_ID),
            Row(1, UPDATED, "completed", id_variant=LONGEST_ID),
        ),
    ),
)
