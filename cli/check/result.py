"""What a check of a file finds out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from schemas.reports import RejectedFor


@dataclass(frozen=True)
class CheckResult:
    """What the job would say of a file under some settings. Where `refusal` is set, nothing would be loaded."""

    refusal: str | None
    rows: int = 0
    accepted: int = 0
    """Rows that would be loaded, or lose to another row of the file (`duplicate`)."""
    duplicate: int = 0
    rejected: int = 0
    reasons: Mapping[str, RejectedFor] = field(default_factory=dict)
    values: Mapping[str, Counter[str]] = field(default_factory=dict)
    """Reject reason -> the values that it is about, with how many rows have each."""
    ignored_columns: tuple[str, ...] = ()

    @property
    def loaded(self) -> int:
        """Rows that reach the warehouse."""
        return 0 if self.refusal else self.accepted - self.duplicate

    @property
    def needs_a_look(self) -> bool:
        return bool(self.rejected or self.duplicate)
