"""The result of a check of a file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from schemas.reports import RejectedFor, ReusedIds


@dataclass(frozen=True)
class CheckResult:
    """The job's result for a file under some settings; where `refusal` is set, nothing would be loaded."""

    refusal: str | None
    rows: int = 0
    accepted: int = 0
    """The valid rows, including those that lose to another row of the file (`duplicate`)."""
    duplicate: int = 0
    rejected: int = 0
    reasons: Mapping[str, RejectedFor] = field(default_factory=dict)
    values: Mapping[str, Counter[str]] = field(default_factory=dict)
    """Reject reason -> the values that caused it, each with its number of rows."""
    ignored_columns: tuple[str, ...] = ()
    reused_ids: ReusedIds = field(default_factory=ReusedIds)

    @property
    def loaded(self) -> int:
        """Rows that reach the warehouse."""
        return 0 if self.refusal else self.accepted - self.duplicate

    @property
    def needs_a_look(self) -> bool:
        return bool(self.rejected or self.duplicate)
