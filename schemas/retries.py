"""The retry rule: which failed loads are retried automatically, and when.

Used by `start_run`, `notify`, `sweep` and the operator's command, so that all decide alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from schemas.reports import SUCCEEDED, Report

MAX_ATTEMPTS = 3
"""How often a load is tried automatically. An attempt that had to wait does not count."""

RETRIED_WITHIN = timedelta(days=2)
"""How long after its start an attempt may be followed by an automatic one. If the report says when to continue
(`waits_until`), the time is measured from that instant.

Reports expire (no sooner than this: components/storage.py checks it), claims do not. After that, a load that failed
for good would look like a run that died without a report.
"""

LIVE_STATES = frozenset({"STARTING", "RUNNING", "STOPPING", "WAITING"})
"""The states in which a Glue run is not over (AWS Glue, "Job run statuses")."""

# A STOPPED run was stopped by a person. A SUCCEEDED run without a report would hardly write one next time.
_NOT_RETRIED = frozenset({"STOPPED", "SUCCEEDED"})


def tries_of(claim: Mapping[str, Any]) -> int:
    """The number of attempts at the last request, by the claim of the latest: each request restarts the count. Earlier
    attempts that had to wait (`waits_until`) are not counted.
    """
    return int(claim.get("tries", claim["attempt"]))


def is_over(report: Report | None, state: str | None) -> bool:
    """True when the attempt has ended: it has a report, or its run is in no live state."""
    return report is not None or state not in LIVE_STATES


def waits_until(report: Report | None) -> datetime | None:
    """The instant before which the next attempt cannot help (the warehouse's daily usage limit); mostly None."""
    if report is None or report.error is None or report.error.not_before is None:
        return None
    return datetime.fromisoformat(report.error.not_before)


def is_retried(tries: int, report: Report | None, state: str | None) -> bool:
    """True when the next attempt follows automatically, now or after `waits_until`.

    `tries` is the number of attempts made, this one included. `report` is that of the attempt, None
    where there is none; `state` is that of its Glue run, None where Glue does not know the run.
    """
    if not is_over(report, state):
        return False
    if report is None:
        return tries < MAX_ATTEMPTS and state not in _NOT_RETRIED
    if report.outcome == SUCCEEDED or report.error is None or not report.error.is_transient:
        return False
    return tries < MAX_ATTEMPTS or waits_until(report) is not None
