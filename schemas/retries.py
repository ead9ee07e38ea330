"""When a load that failed is retried without a person asking for it.

Read by `start_run`, `notify`, `sweep` and the operator's command, so that all give the same answer.
"""

from __future__ import annotations

from datetime import timedelta

from schemas.reports import SUCCEEDED, Report

MAX_ATTEMPTS = 3
"""How often a load is tried without a person asking for it."""

RETRIED_WITHIN = timedelta(days=2)
"""How long after it began an attempt may be followed by another without a person asking for it.

Reports expire (no sooner than this: components/storage.py checks it), claims do not. Later on, a load
that failed for good would look like one whose run died without a report.
"""

LIVE_STATES = frozenset({"STARTING", "RUNNING", "STOPPING", "WAITING"})
"""The states in which a Glue run is not over (AWS Glue, "Job run statuses")."""

# A person stopped a STOPPED run. A SUCCEEDED run without a report would hardly write one next time.
_NOT_RETRIED = frozenset({"STOPPED", "SUCCEEDED"})


def is_over(report: Report | None, state: str | None) -> bool:
    """True when the attempt has ended: it has a report, or its run is in no live state."""
    return report is not None or state not in LIVE_STATES


def is_retried(attempt: int, report: Report | None, state: str | None) -> bool:
    """True when the next attempt follows by itself.

    `report` is that of the attempt, None where there is none; `state` is that of its Glue run,
    None where Glue does not know the run.
    """
    if attempt >= MAX_ATTEMPTS or not is_over(report, state):
        return False
    if report is None:
        return state not in _NOT_RETRIED
    return report.outcome != SUCCEEDED and report.error is not None and report.error.is_transient
