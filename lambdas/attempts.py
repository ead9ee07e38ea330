"""What is known of the attempts at a load, and what may follow each.

A load has at most one live attempt. Attempt n is claimed by the marker
`claims/<load_id>/<n>.json` before its run is started, and the run's name is written into
the claim afterwards. Attempt n+1 is claimed only when attempt n is over.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from lambdas.leases import Lease, LeaseStore
from lambdas.runs import LIVE_STATES, get_run
from schemas.drops import report_key
from schemas.reports import SUCCEEDED, Report

MAX_ATTEMPTS = 3
"""How often a load is tried without a person asking for it."""

# Reports expire (no sooner than this: components/storage.py sees to it), claims do not. A load that failed for
# good and whose drop still lies there would then look like one whose run died, and be tried again years later.
TRIED_AGAIN_WITHIN = timedelta(days=2)
"""How long after it began an attempt is followed by another without a person asking for it."""

# STOPPED: a person did it. SUCCEEDED without a report: nothing says that it would go otherwise next time.
_NOT_WORTH_ANOTHER = frozenset({"STOPPED", "SUCCEEDED"})

_NUMBERED = re.compile(r"[a-z]+/([0-9a-f]{16})/([0-9]+)(\..+)")
_DEFERRED = ".tried_again.json"


def claim_key(load_id: str, attempt: int) -> str:
    return f"claims/{load_id}/{attempt}.json"


def notified_stem(load_id: str, attempt: int) -> str:
    """Where it is noted that the outcome of an attempt was told (lambdas.notifier adds the ending)."""
    return f"notified/{load_id}/{attempt}"


def deferred_key(load_id: str, attempt: int) -> str:
    """Where it is noted that an attempt failed but is tried again: the mail comes with the last attempt."""
    return notified_stem(load_id, attempt) + _DEFERRED


def numbered(key: str) -> tuple[str, int] | None:
    """The load_id and attempt in the key of a claim, a report or a note that an outcome was told."""
    return _numbered(key, ".json")


def numbered_deferred(key: str) -> tuple[str, int] | None:
    """The load_id and attempt in what deferred_key wrote."""
    return _numbered(key, _DEFERRED)


def _numbered(key: str, ending: str) -> tuple[str, int] | None:
    found = _NUMBERED.fullmatch(key)
    return (found.group(1), int(found.group(2))) if found and found.group(3) == ending else None


def claimed_attempts(leases: LeaseStore, load_id: str) -> list[int]:
    """The attempts at a load, the first one first."""
    found = [numbered(key) for key in leases.names(f"claims/{load_id}/")]
    return sorted(attempt for _, attempt in filter(None, found))


def read_report(leases: LeaseStore, load_id: str, attempt: int) -> Report | None:
    """The report of an attempt; None when there is none, or none that can be read."""
    key = report_key(load_id, attempt)
    if key not in leases.names(key):
        return None
    text = leases.s3.get_object(Bucket=leases.bucket, Key=key)["Body"].read()
    try:
        return Report.from_json(text.decode("utf-8"))
    except (ValueError, TypeError, LookupError, AttributeError):
        return None


@dataclass(frozen=True)
class Outcome:
    """How far an attempt has come: its report where there is one, and the state of its run."""

    report: Report | None
    state: str | None
    """None when Glue has forgotten the run, or when a report made asking needless."""

    @property
    def is_committed(self) -> bool:
        return self.report is not None and self.report.outcome == SUCCEEDED

    @property
    def is_over(self) -> bool:
        return self.report is not None or self.state not in LIVE_STATES

    def is_tried_again(self, attempt: int) -> bool:
        """True when the next attempt follows without a person asking for it."""
        if not self.is_over or self.is_committed or attempt >= MAX_ATTEMPTS:
            return False
        if self.report is not None:
            return self.report.error is not None and self.report.error.is_transient
        return self.state not in _NOT_WORTH_ANOTHER


def outcome_of(claim: Lease, *, leases: LeaseStore, glue: Any) -> Outcome:
    """The outcome of a claimed attempt whose run was started."""
    facts = claim.facts
    report = read_report(leases, facts["load_id"], facts["attempt"])
    if report is not None:
        return Outcome(report, None)
    run = get_run(glue, facts["job_name"], facts["run_id"])
    return Outcome(None, run.state if run else None)
