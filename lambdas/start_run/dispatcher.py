"""The dispatcher decides whether a request starts a run. A claim prevents other workers from starting it too.

The claim comes before the start and the run's id is written into it afterwards. A worker that finds a claim without a
run waits until the claim expires. Then it asks the runner whether the holder started the run, and takes the claim over
if not. So at any moment
at most one worker may start attempt n, and attempt n+1 is claimed only when attempt n is over.

The claims are read before the drop is searched: a loaded drop is archived and gone, but a run that a dead worker
started must still be found.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger
from botocore.exceptions import ClientError

from lambdas.archived_copies import find_copy
from lambdas.attempts import claimed_attempts, outcome_of, was_loaded
from lambdas.drop_versions import find_version
from lambdas.errors import TerminalError
from lambdas.leases import Lease, LeaseStore, leased, released
from lambdas.notifier import Mail, Notifier
from lambdas.runs import Runner, RunnerIsFull, StartRefused, StartUnconfirmed
from lambdas.start_run.refusals import outside_layout_mail, refused_request_mail
from schemas.drops import TRANSACTIONS, Drop, KeyOutsideLayout, is_not_a_drop, parse_key
from schemas.messages import Replay, Request
from schemas.retries import tries_of
from schemas.runs import LOAD, RETRACT, ArchivedCopy, RunArguments
from schemas.settings import StartRunSettings
from schemas.work_bucket import claim_key, open_key, outside_layout_stem, refused_stem

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client

logger = Logger(service="start_run", child=True)

LISTING_LAG_SECONDS = 60
"""How long a runner's list of runs may lack one that was started: a claim is held that much longer."""


class DispatchResult(Enum):
    """The result of a request."""

    STARTED = "a run was started"
    WAITS = "the request waits and comes again"
    NOTHING_TO_DO = "an attempt is live or the load needs none"
    GONE = "the object version does not exist, neither in the drop bucket nor in the archive"
    WITHDRAWN = "the owner deleted the file, so it is not loaded"
    NEVER_LOADED = "the drop was never loaded, so there is nothing to take back or to add"
    NOT_A_DROP = "a folder marker or leftover"
    OUTSIDE_LAYOUT = "the key is outside the layout"


@dataclass(frozen=True)
class Claim:
    """The attempt to claim."""

    attempt: int
    operation: str
    requested_by: str | None
    """The request that asks for it; None for the upload itself."""
    tries: int
    """The number of attempts at that request, this one included, without those that had to wait."""
    released_claim: Lease | None = None
    """The claim of a worker that started no run, when this attempt is claimed already."""


@dataclass(frozen=True)
class _Source:
    """The object that a run reads."""

    archived: ArchivedCopy | None = None
    """None for an object of the drop bucket, and for a run that reads no file."""
    bytes: int = 0
    """Its size; 0 where it does not matter."""


@dataclass(frozen=True)
class Dispatcher:
    """Handles requests to load a drop: starts a run for each that needs one."""

    settings: StartRunSettings
    s3: S3Client
    runner: Runner
    leases: LeaseStore
    notifier: Notifier

    def dispatch(self, request: Request, *, lease_seconds: float) -> DispatchResult:
        """Start a run for the request, unless it needs none; `lease_seconds` is how long this worker can live."""
        if request.bucket != self.settings.drop_bucket:
            raise TerminalError(
                f"{request.key!r} is in the bucket {request.bucket!r}, but this queue loads from "
                f"{self.settings.drop_bucket!r} alone; remove the other bucket's notification"
            )
        if is_not_a_drop(request.key):
            return DispatchResult.NOT_A_DROP
        try:
            parse_key(request.key)
        except KeyOutsideLayout as error:
            load_id = Drop(request.bucket, request.key, request.version_id or "").load_id
            mail = outside_layout_mail(request, str(error), stack=self.settings.environment)
            is_mailed = self._mail(outside_layout_stem(load_id), mail, lease_seconds)
            return DispatchResult.OUTSIDE_LAYOUT if is_mailed else DispatchResult.WAITS
        drop = self._pinned(request)
        if drop is None:
            return self._refused(request, DispatchResult.GONE, lease_seconds)
        plan = self._plan(drop, request)
        if isinstance(plan, Claim):
            source = self._source(drop, plan)
            if isinstance(source, _Source):
                return self._start(drop, plan, source, lease_seconds=lease_seconds)
            plan = source
        return self._refused(request, plan, lease_seconds)

    def _pinned(self, request: Request) -> Drop | None:
        """The exact version to load: the one the event names, or else the one that is current now."""
        version_id = request.version_id
        if version_id is None:
            try:
                version_id = self.s3.head_object(Bucket=request.bucket, Key=request.key).get("VersionId")
            except ClientError as error:
                # S3 responds with 404 also if the current version is a delete marker.
                if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
                    return None
                raise
        if version_id in (None, "", "null"):
            raise TerminalError(
                f"the bucket {request.bucket!r} keeps no versions, so {request.key!r} could change while it is loaded; "
                "turn versioning on (`pulumi up` does) and upload the file again"
            )
        return Drop(request.bucket, request.key, str(version_id))

    def _plan(self, drop: Drop, request: Request) -> Claim | DispatchResult:
        """Which attempt to claim, or the result when there is none to claim."""
        replay = request.replay
        attempts = claimed_attempts(self.leases, drop.load_id)
        if not attempts:
            if replay is not None and replay.operation != LOAD:
                return DispatchResult.NEVER_LOADED
            return Claim(1, LOAD, replay.request if replay else None, tries=1)
        claims = [self.leases.read(claim_key(drop.load_id, attempt)) for attempt in attempts]
        latest, claim = attempts[-1], claims[-1]
        if replay is not None and replay.request in [earlier.payload["requested_by"] for earlier in claims[:-1]]:
            return DispatchResult.NOTHING_TO_DO
        if claim.payload["run_id"] is None:
            return self._plan_without_run(drop, request, claim)
        outcome = outcome_of(claim, claim.payload["run_id"], leases=self.leases, runner=self.runner)
        if replay is None or replay.after_attempt is not None:
            # A repeated upload event retries an attempt whose report says that it failed; only `sweep` can decide that
            # a run without a report is dead.
            is_due = outcome.report is not None if replay is None else replay.after_attempt == latest
            if is_due and outcome.is_retried(tries_of(claim.payload)) and not outcome.must_wait:
                tries = tries_of(claim.payload) + (1 if outcome.waits_until is None else 0)
                return Claim(latest + 1, _operation_of(claim), claim.payload["requested_by"], tries)
            return DispatchResult.NOTHING_TO_DO
        if replay.request == claim.payload["requested_by"]:
            return DispatchResult.NOTHING_TO_DO
        if not outcome.is_over:
            # Requests are met one after the other. A live load does not meet one for a replay, since it may die.
            return DispatchResult.WAITS
        return Claim(latest + 1, replay.operation, replay.request, tries=1)

    def _plan_without_run(self, drop: Drop, request: Request, claim: Lease) -> Claim | DispatchResult:
        """The plan for a claimed attempt whose run is not known."""
        if not claim.is_expired:
            return DispatchResult.WAITS
        attempt = claim.payload["attempt"]
        if not claim.was_released:
            run = self.runner.find(claim.payload["job_name"], drop=drop, attempt=attempt, since=claim.written_at)
            if run is not None:
                payload = {name: value for name, value in claim.payload.items() if name not in leased(0)}
                noted = self.leases.replace(claim, {**payload, "run_id": run.run_id})
                return DispatchResult.WAITS if noted is None else self._plan(drop, request)
        replay = request.replay
        if replay is None or replay.after_attempt is not None:
            return Claim(attempt, _operation_of(claim), claim.payload["requested_by"], tries_of(claim.payload), claim)
        return Claim(attempt, replay.operation, replay.request, 1, claim)

    def _source(self, drop: Drop, claim: Claim) -> _Source | DispatchResult:
        """Where the run reads the drop, and how large it is there."""
        if claim.operation == RETRACT:
            return _Source()
        version = find_version(self.s3, drop)
        if version is not None:
            # A file that is deleted when it is loaded already was not withdrawn: `archive` moves it.
            is_withdrawn = version.is_withdrawn and not was_loaded(self.leases, drop.load_id)
            return DispatchResult.WITHDRAWN if is_withdrawn else _Source(bytes=version.bytes)
        copy = find_copy(self.s3, self.leases, self.settings.archive_bucket, drop)
        if copy is None:
            return DispatchResult.GONE
        if not self.settings.large_job:
            return _Source(copy)
        head = self.s3.head_object(Bucket=copy.bucket, Key=copy.key, VersionId=copy.version_id)
        return _Source(copy, head["ContentLength"])

    def _job_name(self, drop: Drop, source: _Source) -> str:
        """The job that loads the drop."""
        settings, key = self.settings, parse_key(drop.key)
        if key.kind != TRANSACTIONS:
            return settings.dimensions_job
        is_large = key.is_large(source.bytes, int(settings.large_file_bytes))
        return settings.large_job if settings.large_job and is_large else settings.transactions_job

    def _start(self, drop: Drop, plan: Claim, source: _Source, *, lease_seconds: float) -> DispatchResult:
        job_name = self._job_name(drop, source)
        payload = {
            "load_id": drop.load_id,
            "attempt": plan.attempt,
            "bucket": drop.bucket,
            "key": drop.key,
            "version_id": drop.version_id,
            "job_name": job_name,
            "operation": plan.operation,
            "requested_by": plan.requested_by,
            "tries": plan.tries,
            "run_id": None,
        }
        held = {**payload, **leased(lease_seconds + LISTING_LAG_SECONDS)}
        # Before the claim: an attempt that `sweep` does not know of would be lost with this worker.
        if self.leases.create(open_key(drop.load_id, plan.attempt, held["holder"]), {}) is None:
            return DispatchResult.WAITS
        if plan.released_claim is None:
            claim = self.leases.create(claim_key(drop.load_id, plan.attempt), held)
        else:
            claim = self.leases.replace(plan.released_claim, held)
        if claim is None:
            return DispatchResult.WAITS
        try:
            run_id = self.runner.start(job_name, RunArguments(drop, plan.attempt, plan.operation, source.archived))
        except StartUnconfirmed as error:
            logger.warning("the drop waits until its claim expires", extra={"error": str(error)})
            return DispatchResult.WAITS
        except StartRefused as error:
            self.leases.replace(claim, {**payload, **released()})
            if isinstance(error, RunnerIsFull):
                return DispatchResult.WAITS
            raise
        logger.info(
            "run started",
            extra={"load_id": drop.load_id, "attempt": plan.attempt, "job_name": job_name, "run_id": run_id},
        )
        if self.leases.replace(claim, {**payload, "run_id": run_id}) is None:
            # We were slower than our own lease; the worker that took over finds this run.
            logger.warning("the claim was taken over before the run's id was noted", extra={"run_id": run_id})
        return DispatchResult.STARTED

    def _refused(self, request: Request, result: DispatchResult, lease_seconds: float) -> DispatchResult:
        """Mail the person who asked that no run starts; for other requests a line in the log is enough."""
        if result not in (DispatchResult.GONE, DispatchResult.WITHDRAWN, DispatchResult.NEVER_LOADED):
            return result
        replay = request.replay
        details: dict[str, Any] = {"key": request.key, "version_id": request.version_id}
        logger.warning(result.value, extra=details)
        if replay is not None and replay.after_attempt is None and not _is_ours(replay):
            load_id = Drop(request.bucket, request.key, request.version_id or "").load_id
            mail = refused_request_mail(request, replay, result.value, stack=self.settings.environment)
            if not self._mail(refused_stem(load_id, replay.request), mail, lease_seconds):
                return DispatchResult.WAITS
        return result

    def _mail(self, stem: str, mail: Mail, lease_seconds: float) -> bool:
        """Send the mail; False while another worker may be sending it, since that worker may die."""
        return self.notifier.send_at_most_once(stem, mail, lease_seconds=lease_seconds) or self.notifier.was_sent(stem)


def _operation_of(claim: Lease) -> str:
    return str(claim.payload.get("operation", LOAD))


def _is_ours(replay: Replay) -> bool:
    """True for a request that a function made, not a person."""
    return replay.request.startswith("flow_in:")
