"""The phase of a drop: queued, running, loaded, archived or failed; one rule for the local AWS and the real one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from schemas.counted import counted
from schemas.drops import Drop
from schemas.reports import SUCCEEDED, Report, beside_name
from schemas.retries import is_over, is_retried
from schemas.runs import FLOW_IN, RETRACT


class Phase(Enum):
    """How far a drop has come."""

    QUEUED = "queued"
    RUNNING = "running"
    LOADED = "loaded"
    ARCHIVED = "archived"
    FAILED = "failed"

    @property
    def is_settled(self) -> bool:
        return self in (Phase.ARCHIVED, Phase.FAILED)


@dataclass(frozen=True)
class DropStatus:
    """A drop's phase and its last report."""

    drop: Drop
    phase: Phase
    report: Report | None = None
    """The report of its last attempt that is over."""
    is_retried: bool = False
    """True when a failed drop is retried automatically."""
    message: str = ""
    """The failed run's own message."""
    attempt: int = 0
    """The last attempt; 0 while there is none."""

    @property
    def file_name(self) -> str:
        return self.drop.key.rpartition("/")[2]

    @property
    def is_settled(self) -> bool:
        """True when the pipeline does nothing more with it."""
        return self.phase.is_settled and not self.is_retried

    @property
    def rejected(self) -> int:
        """The number of rows that the last attempt rejected; 0 for an attempt in which waiting rows flow in."""
        counts = self.report.counts if self.report else None
        return max(counts["rejected"], 0) if counts else 0

    @property
    def error(self) -> str | None:
        """The error of a failed drop's last attempt, as a sentence."""
        if self.phase is not Phase.FAILED:
            return None
        error = self.report.error.sentence if self.report and self.report.error else self.message
        return f"{error} (it is retried automatically)" if self.is_retried else error

    @property
    def summary(self) -> str:
        """The counts or the error of the last attempt, for a place that has named the file."""
        if self.error is not None:
            return beside_name(self.error, self.file_name)
        counts = self.report.counts if self.report else None
        if self.report is None or counts is None:
            return ""
        if self.report.event == RETRACT:
            return f"taken back: {counted(self.report.removed, 'transaction')} removed"
        parts = [f"{rows:,} {name}" for name, rows in counts.items() if name != "rows_read" and rows > 0]
        arrived = self.report.event == FLOW_IN
        rows = counted(-counts["rejected"], "waiting row") if arrived else counted(counts["rows_read"], "row")
        return f"{rows}: {', '.join(parts) or 'nothing to do'}"


def drop_status(
    drop: Drop,
    *,
    attempt: int,
    tries: int,
    state: str | None,
    report: Report | None,
    message: str,
    is_in_drop_bucket: bool,
    is_mailed: bool = False,
) -> DropStatus:
    """The status of a drop from its last attempt: the run's `state` in Glue, and the attempt's report if there is one.

    `tries` comes from its claim (`schemas.retries.tries_of`). `state` is None where Glue does not know the run.
    `is_mailed`: the outcome was mailed, which `notify` does only when no automatic retry follows.
    """
    if attempt == 0:
        return DropStatus(drop, Phase.QUEUED)
    if not is_over(report, state):
        return DropStatus(drop, Phase.RUNNING, attempt=attempt)
    if report is None or report.outcome != SUCCEEDED:
        retried = not is_mailed and is_retried(tries, report, state)
        return DropStatus(drop, Phase.FAILED, report, retried, message or "the run left no report", attempt)
    return DropStatus(drop, Phase.LOADED if is_in_drop_bucket else Phase.ARCHIVED, report, attempt=attempt)


def count_phases(statuses: Iterable[DropStatus]) -> dict[Phase, int]:
    """The number of drops in each phase; 0 where there is none."""
    counted = Counter(status.phase for status in statuses)
    return {phase: counted[phase] for phase in Phase}
