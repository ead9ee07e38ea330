"""The attempts at a load: their claims, runs and reports.

A load has at most one live attempt. Attempt n is claimed by the lease
`claims/<load_id>/<n>.json` before its run is started, and the run's id is written into
the claim afterwards. Attempt n+1 is claimed only when attempt n is over.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from lambdas.leases import Lease, LeaseStore
from lambdas.runs import Runner
from schemas.drops import Drop
from schemas.reports import SUCCEEDED, Report
from schemas.retries import is_over, is_retried, waits_until
from schemas.work_bucket import claims_prefix, parse_attempt_key, report_key

RUNNER_LAG_SECONDS = 15 * 60
"""How long a runner may not list a run that it has started: Glue's reads are eventually consistent."""

_STARTING = "STARTING"


def claimed_attempts(leases: LeaseStore, load_id: str) -> list[int]:
    """The attempts at a load, the first one first."""
    parsed = [parse_attempt_key(key) for key in leases.names(claims_prefix(load_id))]
    return sorted(attempt for _, attempt in filter(None, parsed))


def read_report(leases: LeaseStore, load_id: str, attempt: int) -> Report | None:
    """The report of an attempt; None when there is none or it cannot be read."""
    key = report_key(load_id, attempt)
    if key not in leases.names(key):
        return None
    text = leases.s3.get_object(Bucket=leases.bucket, Key=key)["Body"].read()
    try:
        return Report.from_json(text.decode("utf-8"))
    except (ValueError, TypeError, LookupError, AttributeError):
        return None


def was_loaded(leases: LeaseStore, load_id: str) -> bool:
    """True when an attempt at the load was committed, as far as the reports are still there."""
    reports = (read_report(leases, load_id, attempt) for attempt in claimed_attempts(leases, load_id))
    return any(report is not None and report.outcome == SUCCEEDED for report in reports)


def drop_of(claim: Lease) -> Drop:
    """The drop that a claim is about."""
    return Drop(claim.payload["bucket"], claim.payload["key"], claim.payload["version_id"])


@dataclass(frozen=True)
class Outcome:
    """How far an attempt has come: the state of its run, and its report where there is one."""

    report: Report | None
    state: str | None
    """None when the runner has forgotten the run (Glue: after 90 days, or with its job)."""

    @property
    def is_committed(self) -> bool:
        return self.report is not None and self.report.outcome == SUCCEEDED

    @property
    def is_over(self) -> bool:
        return is_over(self.report, self.state)

    def is_retried(self, tries: int) -> bool:
        """True when the next attempt follows automatically, now or later."""
        return is_retried(tries, self.report, self.state)

    @property
    def waits_until(self) -> datetime | None:
        """The instant before which the next attempt does not follow automatically; mostly None."""
        return waits_until(self.report)

    @property
    def must_wait(self) -> bool:
        """True while the next attempt cannot help yet."""
        return self.waits_until is not None and datetime.now(UTC) < self.waits_until


def outcome_of(claim: Lease, run_id: str, *, leases: LeaseStore, runner: Runner) -> Outcome:
    """The outcome of a claimed attempt whose run was started.

    The state is read before the report. In the other order a run that ends between the two reads would look as if it
    died without a report.
    """
    payload = claim.payload
    run = runner.get(payload["job_name"], run_id)
    state = run.state if run else None
    if state is None and claim.age_seconds < RUNNER_LAG_SECONDS:
        state = _STARTING
    return Outcome(read_report(leases, payload["load_id"], payload["attempt"]), state)
