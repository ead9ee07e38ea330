"""What is left undone: found from listings first, and from claims and reports only where a listing leaves it open.

A load is settled when its drop is gone from the drop bucket and its attempts were told
(or failed and were followed by another); both show in the listings, so a quiet day
costs a few requests whatever the past holds. The claims and the notes that an outcome
was told must therefore never expire: a note that is gone is an outcome nobody was told of.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

from lambdas.attempts import Outcome, outcome_of, read_report
from lambdas.leases import Lease, LeaseStore
from schemas.drops import Drop, is_drop
from schemas.reports import SUCCEEDED
from schemas.retries import RETRIED_WITHIN
from schemas.work_bucket import CLAIMS, NOTIFIED, claim_key, parse_attempt_key, parse_deferred_key


@dataclass(frozen=True)
class StartedRun:
    """A run by the names Glue has for it."""

    job_name: str
    run_id: str
    is_last: bool = False
    """True when another attempt should have followed but never came."""


@dataclass
class Findings:
    """What is left to do, by who does it."""

    lost: list[Drop] = field(default_factory=list)
    """Drops no run was started for."""
    tried_again: list[tuple[Drop, int]] = field(default_factory=list)
    """Drops whose last attempt is over without success but is worth another, and the number of that attempt."""
    unarchived: list[StartedRun] = field(default_factory=list)
    """Runs that loaded a drop that still lies in the drop bucket."""
    unnotified: list[StartedRun] = field(default_factory=list)
    """Runs that are over and of which nobody was told."""
    errors: list[Exception] = field(default_factory=list)
    """What kept a load from being looked at; the others were."""


@dataclass(frozen=True)
class Scanner:
    """One look at the drop bucket and the work bucket."""

    s3: Any
    glue: Any
    leases: LeaseStore
    drop_bucket: str
    grace: timedelta
    """What is younger than this may still be on its way by itself."""

    def findings(self) -> Findings:
        found = Findings()
        notes = self.leases.names(NOTIFIED)
        told, deferred = set(map(parse_attempt_key, notes)), set(map(parse_deferred_key, notes))
        for load_id, attempts in self._claimed.items():
            for attempt in attempts:
                is_deferred = (load_id, attempt) in deferred
                if (load_id, attempt) not in told and not (is_deferred and attempt < attempts[-1]):
                    self._guarded(found, self._look_at_telling, load_id, attempt, is_deferred)
        for drop in self._old_drops():
            self._guarded(found, self._look_at_drop, drop)
        return found

    def _guarded(self, found: Findings, look: Any, *what: Any) -> None:
        try:
            look(found, *what)
        except Exception as error:
            error.add_note(f"while the sweep looked at {what}")
            found.errors.append(error)

    @cached_property
    def _claimed(self) -> dict[str, list[int]]:
        """The claimed attempts of every load, the first one first."""
        claimed: dict[str, list[int]] = {}
        for load_id, attempt in sorted(filter(None, map(parse_attempt_key, self.leases.names(CLAIMS)))):
            claimed.setdefault(load_id, []).append(attempt)
        return claimed

    @cached_property
    def _latest(self) -> datetime:
        return datetime.now(UTC) - self.grace

    def _old_drops(self) -> Iterator[Drop]:
        for page in self.s3.get_paginator("list_object_versions").paginate(Bucket=self.drop_bucket):
            for version in page.get("Versions", []):
                if version["LastModified"] <= self._latest and is_drop(version["Key"]):
                    yield Drop(self.drop_bucket, version["Key"], version["VersionId"])

    def _look_at_telling(self, found: Findings, load_id: str, attempt: int, is_deferred: bool) -> None:
        claim = self.leases.read(claim_key(load_id, attempt))
        if claim.facts["run_id"] is None or (is_deferred and _may_be_followed(claim)):
            return
        outcome = self._outcome(claim)
        # A run that Glue has forgotten, and that left no report, has nothing to tell any more.
        if outcome.is_over and outcome != Outcome(None, None):
            found.unnotified.append(replace(_run_of(claim), is_last=is_deferred))

    def _look_at_drop(self, found: Findings, drop: Drop) -> None:
        attempts = self._claimed.get(drop.load_id)
        if not attempts:
            found.lost.append(drop)
            return
        latest = attempts[-1]
        claim = self.leases.read(claim_key(drop.load_id, latest))
        if claim.facts["run_id"] is None:
            if claim.is_expired:
                found.lost.append(drop)
            return
        outcome = self._outcome(claim)
        if not outcome.is_over:
            return
        committed = self._committed(drop, attempts)
        if committed is not None:
            attempt, finished_at = committed
            if finished_at <= self._latest:
                found.unarchived.append(_run_of(self.leases.read(claim_key(drop.load_id, attempt))))
        elif outcome.is_retried(latest) and _may_be_followed(claim):
            found.tried_again.append((drop, latest))

    def _committed(self, drop: Drop, attempts: list[int]) -> tuple[int, datetime] | None:
        """The last attempt that loaded the drop, and when it was finished."""
        for attempt in reversed(attempts):
            report = read_report(self.leases, drop.load_id, attempt)
            if report is not None and report.outcome == SUCCEEDED:
                return attempt, datetime.fromisoformat(report.finished_at)
        return None

    def _outcome(self, claim: Lease) -> Outcome:
        return outcome_of(claim, leases=self.leases, glue=self.glue)


def _may_be_followed(claim: Lease) -> bool:
    """True while another attempt may follow the claimed one by itself."""
    return claim.age_seconds < RETRIED_WITHIN.total_seconds()


def _run_of(claim: Lease) -> StartedRun:
    return StartedRun(claim.facts["job_name"], claim.facts["run_id"])
