"""The seven counts of a load, and the balance they must keep."""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass(frozen=True)
class Counts:
    """The counts of one load: each row read is counted in exactly one of the other six."""

    rows_read: int = 0
    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    stale: int = 0
    duplicate: int = 0
    rejected: int = 0

    @property
    def accounted_for(self) -> int:
        """The sum of the six outcomes."""
        return self.inserted + self.updated + self.unchanged + self.stale + self.duplicate + self.rejected

    @property
    def is_balanced(self) -> bool:
        return self.rows_read == self.accounted_for


COUNTS = tuple(field.name for field in fields(Counts))
"""The names of the seven counts; the first is the sum of the others."""

ROW_WORDS = {
    "inserted": "new",
    "updated": "changed: a later state of a known transaction",
    "unchanged": "as before",
    "stale": "older than the row in the warehouse, so not used; `pipeline explain ID` says why",
    "duplicate": "repeated in the file",
    "rejected": "rejected",
}
"""The meaning of each count for readers; `rows_read` needs none."""
