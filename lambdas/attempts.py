"""What is known of the attempts at a load, and what may follow each.

A load has at most one live attempt. Attempt n is claimed by the marker
`claims/<load_id>/<n>.json` before its run is started, and the run's name is written into
the claim afterwards. Attempt n+1 is claimed only when attempt n is over.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lambdas.leases import Lease, LeaseStore
from lambdas.runs import get_run
from schemas.reports import SUCCEEDED, Report
from schemas.retries import is_over, is_retried
from schemas.work_bucket import claims_prefix, parse_attempt_key, report_key


def claimed_attempts(leases: LeaseStore, load_id: str) -> list[int]:
    """The attempts at a load, the first one first."""
    found = [parse_attempt_key(key) for key in leases.names(claims_prefix(load_id))]
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
        return is_over(self.report, self.state)

    def is_retried(self, attempt: int) -> bool:
        """True when the next attempt follows without a person asking for it."""
        return is_retried(attempt, self.report, self.state)


def outcome_of(claim: Lease, *, leases: LeaseStore, glue: Any) -> Outcome:
    """The outcome of a claimed attempt whose run was started."""
    facts = claim.facts
    report = read_report(leases, facts["load_id"], facts["attempt"])
    if report is not None:
        return Outcome(report, None)
    run = get_run(glue, facts["job_name"], facts["run_id"])
    return Outcome(None, run.state if run else None)
