"""The scanner finds unfinished work: from listings, and from claims and reports only where something is open.

`start_run` notes every attempt as open before it claims it. The note is deleted when the attempt is settled: its
outcome was mailed and a loaded drop is archived. A drop that stays in the drop bucket for a person gets a note that it
is settled. So the cost of a sweep depends on the open attempts, not on the number of past loads.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

from lambdas.archived_copies import find_copy
from lambdas.attempts import Outcome, claimed_attempts, drop_of, outcome_of, was_loaded
from lambdas.drop_versions import DropVersion
from lambdas.errors import TerminalError
from lambdas.leases import Lease, LeaseStore
from lambdas.runs import Runner
from lambdas.sweep.listing import Listing
from lambdas.waiting_loads import were_asked
from schemas.drops import Drop
from schemas.reports import Report
from schemas.retries import RETRIED_WITHIN, tries_of
from schemas.work_bucket import claim_key, notified_prefix, parse_attempt_key, parse_deferred_key

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client

STARTING_SECONDS = 120
"""Longer than `start_run` lives: the starter of an older open note starts nothing any more."""

OVERDUE_SECONDS = 24 * 60 * 60
"""A loaded drop that is not archived this long after its run began is an error, since reports expire."""

LONGEST_PAUSE_SECONDS = 24 * 60 * 60
"""The longest pause before a drop is sent to the queue again."""


@dataclass(frozen=True)
class StartedRun:
    """A run by the names that Glue has for it."""

    job_name: str
    run_id: str
    is_last: bool = False
    """True when another attempt should have followed but did not."""
    forgotten: tuple[Drop, int] | None = None
    """Drop and attempt of a run that Glue no longer knows."""


@dataclass(frozen=True)
class LostDrop:
    """A drop that no run was started for."""

    drop: Drop
    age_seconds: float
    times_sent: int
    """How often `sweep` has sent it already."""


@dataclass
class Findings:
    """The unfinished work, by the function that does it."""

    lost: list[LostDrop] = field(default_factory=list)
    retried: list[tuple[Drop, int]] = field(default_factory=list)
    """Drops whose last attempt failed and is to be retried, and the number of that attempt."""
    unarchived: list[StartedRun] = field(default_factory=list)
    """Runs that loaded a drop which is still in the drop bucket, or which other loads wait for."""
    unnotified: list[StartedRun] = field(default_factory=list)
    """Runs that are over and whose outcome was not mailed."""
    closed: list[str] = field(default_factory=list)
    """Keys of notes about attempts that need no more work."""
    settled: list[str] = field(default_factory=list)
    """Loads whose drop stays in the drop bucket for a person."""
    outdated: list[str] = field(default_factory=list)
    """Keys of notes about drops that are gone."""
    oldest_waiting_seconds: float = 0.0
    """The age of the oldest drop that has no outcome yet."""
    newest_drop_age_seconds: float | None = None
    """The age of the newest drop or first attempt; None where there is none."""
    errors: list[Exception] = field(default_factory=list)
    """Sentences about loads that could not be examined, or that need a person."""


@dataclass(frozen=True)
class Scanner:
    """One scan of the drop bucket and the work bucket."""

    listing: Listing
    s3: S3Client
    runner: Runner
    leases: LeaseStore
    archive_bucket: str
    grace: timedelta
    """Younger work may still be finished by its own event."""

    def findings(self) -> Findings:
        """The unfinished work at this moment."""
        findings = Findings(outdated=self.listing.outdated())
        open_attempts, settled = self.listing.open_attempts(), self.listing.settled()
        ages = [version.age_seconds for version in self.listing.drops.values()]
        ages += [
            self.listing.open_age_seconds(load_id, 1) for load_id, attempts in open_attempts.items() if 1 in attempts
        ]
        findings.newest_drop_age_seconds = min(ages, default=None)
        for load_id, attempts in open_attempts.items():
            self._guarded(findings, load_id, partial(self._look_at_load, findings, load_id, attempts))
        for load_id, version in self.listing.drops.items():
            if load_id not in open_attempts and load_id not in settled:
                self._guarded(findings, version.drop, partial(self._look_at_drop, findings, version))
        return findings

    def _guarded(self, findings: Findings, subject: object, look: Callable[[], None]) -> None:
        try:
            look()
        except Exception as error:
            error.add_note(f"while the sweep looked at {subject}")
            findings.errors.append(error)

    def _look_at_drop(self, findings: Findings, version: DropVersion) -> None:
        """A drop without an open attempt."""
        attempts = claimed_attempts(self.leases, version.drop.load_id)
        if attempts:
            self._look_at_load(findings, version.drop.load_id, attempts)
        else:
            self._note_lost(findings, version.drop, version.age_seconds)

    def _look_at_load(self, findings: Findings, load_id: str, attempts: list[int]) -> None:
        notes = self.leases.names(notified_prefix(load_id))
        mailed = {attempt for _, attempt in filter(None, map(parse_attempt_key, notes))}
        deferred = {attempt for _, attempt in filter(None, map(parse_deferred_key, notes))}
        looks = [self._look_at_attempt(load_id, attempt, mailed, deferred) for attempt in attempts]
        # An attempt that is no longer open had a run if its outcome was mailed.
        last_started = max([*mailed, *(look.attempt for look in looks if look.is_started)], default=0)
        is_read = any(look.outcome is not None and not look.outcome.is_over for look in looks)
        is_settled = True
        is_committed = False
        for look in looks:
            is_committed = is_committed or (look.outcome is not None and look.outcome.is_committed)
            if look.is_started:
                is_open = self._attempt_is_open(findings, look, last_started, is_read=is_read)
            else:
                is_open = self._start_is_open(findings, look)
            is_settled = is_settled and not is_open
            if not is_open:
                notes_of_starters = self.listing.open_notes.get((load_id, look.attempt), ())
                findings.closed.extend(note.key for note in notes_of_starters)
        # Without a claim, a starter died before it could start a run: the next sweep finds the drop without a run.
        is_claimed = any(look.claim is not None for look in looks)
        if is_settled and is_claimed and not is_committed and load_id in self.listing.drops:
            findings.settled.append(load_id)

    def _look_at_attempt(self, load_id: str, attempt: int, mailed: set[int], deferred: set[int]) -> AttemptLook:
        claim = self.leases.find(claim_key(load_id, attempt))
        run_id: str | None = None
        outcome: Outcome | None = None
        if claim is not None:
            run_id = claim.payload["run_id"] or self._run_of_dead_starter(claim)
        if claim is not None and run_id is not None:
            outcome = outcome_of(claim, run_id, leases=self.leases, runner=self.runner)
        return AttemptLook(
            load_id=load_id,
            attempt=attempt,
            claim=claim,
            run_id=run_id,
            outcome=outcome,
            # A mail about a later attempt also reports the failures before it.
            is_mailed=attempt in mailed or (attempt in deferred and any(later > attempt for later in mailed)),
            is_deferred=attempt in deferred,
        )

    def _run_of_dead_starter(self, claim: Lease) -> str | None:
        """The run that a worker started before it died, though its claim does not name it."""
        if not claim.is_expired or claim.was_released:
            return None
        attempt = claim.payload["attempt"]
        run = self.runner.find(claim.payload["job_name"], drop=drop_of(claim), attempt=attempt, since=claim.written_at)
        return run.run_id if run is not None else None

    def _start_is_open(self, findings: Findings, look: AttemptLook) -> bool:
        """An attempt without a run: True while one may still be started."""
        # A starter may be about to claim the attempt, or to take over the claim of a dead one.
        is_starting = self.listing.open_age_seconds(look.load_id, look.attempt) < STARTING_SECONDS
        if look.claim is None:
            return is_starting
        if not look.claim.is_expired:
            self._note_waiting(findings, look.load_id)
            return True
        drop = drop_of(look.claim)
        if not self._can_be_read(drop):
            return is_starting
        version = self.listing.versions.get(drop.load_id)
        self._note_lost(findings, drop, version.age_seconds if version else look.claim.age_seconds)
        return True

    def _attempt_is_open(self, findings: Findings, look: AttemptLook, last_started: int, *, is_read: bool) -> bool:
        """An attempt with a run: True while it needs more work.

        `is_read` says that a live run may be reading the drop.
        """
        assert look.claim is not None
        assert look.outcome is not None
        if not look.outcome.is_over:
            self._note_waiting(findings, look.load_id)
            return True
        if look.outcome.is_committed:
            return self._committed_is_open(findings, look, is_read=is_read)
        is_followed = look.attempt < last_started
        if not is_followed and self._is_retried(look):
            if self._is_time_to_retry(look.claim, look.outcome):
                findings.retried.append((drop_of(look.claim), look.attempt))
            if not look.is_mailed and not look.is_deferred:
                findings.unnotified.append(look.started_run())
            self._note_waiting(findings, look.load_id)
            return not look.is_mailed
        if not look.is_mailed and not (is_followed and look.is_deferred):
            findings.unnotified.append(look.started_run(is_last=not is_followed))
        return not look.is_mailed

    def _committed_is_open(self, findings: Findings, look: AttemptLook, *, is_read: bool) -> bool:
        assert look.claim is not None
        assert look.outcome is not None
        report = look.outcome.report
        assert report is not None
        if not look.is_mailed:
            findings.unnotified.append(look.started_run())
        is_present = look.load_id in self.listing.versions
        is_archived = not is_present and were_asked(report, self.leases)
        if not is_archived and not is_read and _age_seconds(report) >= self.grace.total_seconds():
            findings.unarchived.append(look.started_run())
        if is_present and look.claim.age_seconds >= OVERDUE_SECONDS:
            findings.errors.append(
                TerminalError(
                    f"s3://{report.bucket}/{report.key} (version {report.version_id}) was loaded at "
                    f"{report.finished_at} and is still not archived; read the log of the function archive, fix what "
                    "it names, and the next sweep archives the drop"
                )
            )
        return not (look.is_mailed and is_archived)

    def _is_retried(self, look: AttemptLook) -> bool:
        """True when another attempt follows this one automatically. This is the load's last attempt."""
        assert look.claim is not None
        assert look.outcome is not None
        waits_until = look.outcome.waits_until
        age_seconds = _seconds_since(waits_until) if waits_until is not None else look.claim.age_seconds
        is_young = age_seconds < RETRIED_WITHIN.total_seconds()
        return (
            is_young
            and look.outcome.is_retried(tries_of(look.claim.payload))
            and self._can_be_read(drop_of(look.claim))
        )

    def _can_be_read(self, drop: Drop) -> bool:
        """True while the drop is in the drop bucket and was not withdrawn before it was loaded, or in the archive."""
        version = self.listing.versions.get(drop.load_id)
        if version is not None:
            return not version.is_withdrawn or was_loaded(self.leases, drop.load_id)
        return find_copy(self.s3, self.leases, self.archive_bucket, drop) is not None

    def _is_time_to_retry(self, claim: Lease, outcome: Outcome) -> bool:
        """Retry at once after the first try, then after 2 hours (8 times the grace): an hour's outage must not use up
        all tries. If the report says when to continue, only that counts.
        """
        if outcome.waits_until is not None:
            return not outcome.must_wait
        tries = tries_of(claim.payload)
        return tries == 1 or claim.age_seconds >= self.grace.total_seconds() * 8 ** (tries - 1)

    def _note_lost(self, findings: Findings, drop: Drop, age_seconds: float) -> None:
        """Send the drop again after a longer pause each time, so that a drop that cannot start is not sent at every
        sweep."""
        self._note_waiting(findings, drop.load_id)
        times, since_seconds = self.listing.times_sent(drop.load_id)
        pause = min(LONGEST_PAUSE_SECONDS, self.grace.total_seconds() * 2 ** min(times, 16))
        if times == 0 or since_seconds >= pause:
            findings.lost.append(LostDrop(drop, age_seconds, times))

    def _note_waiting(self, findings: Findings, load_id: str) -> None:
        version = self.listing.drops.get(load_id)
        if version is not None:
            findings.oldest_waiting_seconds = max(findings.oldest_waiting_seconds, version.age_seconds)


@dataclass(frozen=True)
class AttemptLook:
    """One attempt, with everything that the scanner read about it."""

    load_id: str
    attempt: int
    claim: Lease | None
    run_id: str | None
    outcome: Outcome | None
    """None where there is no run."""
    is_mailed: bool
    is_deferred: bool
    """True when its failure waits to be mailed with the next attempt's."""

    @property
    def is_started(self) -> bool:
        return self.run_id is not None

    def started_run(self, *, is_last: bool = False) -> StartedRun:
        """The run, for the function that must examine it."""
        assert self.claim is not None
        assert self.run_id is not None
        is_forgotten = self.outcome is not None and self.outcome.state is None
        return StartedRun(
            job_name=self.claim.payload["job_name"],
            run_id=self.run_id,
            is_last=is_last,
            forgotten=(drop_of(self.claim), self.attempt) if is_forgotten else None,
        )


def _age_seconds(report: Report) -> float:
    """Seconds since the attempt was finished."""
    return _seconds_since(datetime.fromisoformat(report.finished_at))


def _seconds_since(instant: datetime) -> float:
    return (datetime.now(UTC) - instant).total_seconds()
