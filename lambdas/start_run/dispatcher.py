"""Whether a request starts a run, and how that is done so that nobody else starts it too.

The claim comes before StartJobRun and the run's name is written into it afterwards.
Who finds a claim without a run waits while its holder may live; then takes it over, and
asks Glue first whether the dead holder did start the run. So at any moment at most one
worker may start attempt n, and attempt n+1 is claimed only when attempt n is over.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

from aws_lambda_powertools import Logger
from botocore.exceptions import BotoCoreError, ClientError

from lambdas.attempts import claimed_attempts, outcome_of, read_report
from lambdas.errors import TerminalError
from lambdas.leases import Lease, LeaseStore, held_for, released
from lambdas.notifier import Mail, Notifier
from lambdas.printable import printable
from lambdas.runs import find_run
from schemas.drops import TRANSACTIONS, Drop, KeyOutsideLayout, is_not_a_drop, parse_key
from schemas.messages import Request
from schemas.reports import SUCCEEDED
from schemas.runs import RunArguments
from schemas.settings import StartRunSettings
from schemas.work_bucket import claim_key, outside_layout_stem

logger = Logger(service="start_run", child=True)

_FULL = frozenset(
    {
        "ConcurrentRunsExceededException",
        "RequestLimitExceeded",
        "ResourceNumberLimitExceededException",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)
# HTTP 400 all the same: whether the run was started is not known.
_UNANSWERED = "OperationTimeoutException"


class DispatchResult(Enum):
    """What became of a request."""

    STARTED = "a run was started"
    WAITS = "the drop waits and comes again"
    NOTHING_TO_DO = "an attempt is live or has said the last word"
    GONE = "the object version is not there any more"
    NOT_A_DROP = "a folder marker or leftover"
    OUTSIDE_LAYOUT = "the key is outside the layout"


@dataclass(frozen=True)
class Dispatcher:
    """Answers requests to load a drop."""

    settings: StartRunSettings
    s3: Any
    glue: Any
    """A client that sends each request once: a repeated StartJobRun is a second run."""
    leases: LeaseStore
    notifier: Notifier

    def answer(self, request: Request, *, lifetime_seconds: float) -> DispatchResult:
        """See that the requested object is being loaded; `lifetime_seconds` is how long this worker can live."""
        if request.bucket != self.settings.drop_bucket:
            raise TerminalError(
                f"{request.key!r} lies in the bucket {request.bucket!r}, but this queue loads from "
                f"{self.settings.drop_bucket!r} alone; take the other bucket's notification away"
            )
        if is_not_a_drop(request.key):
            return DispatchResult.NOT_A_DROP
        try:
            kind = parse_key(request.key).kind
        except KeyOutsideLayout as error:
            self._tell_outside_layout(request, str(error), lifetime_seconds)
            return DispatchResult.OUTSIDE_LAYOUT
        drop = self._pinned(request)
        if drop is None:
            return DispatchResult.GONE
        plan = self._plan(drop, request)
        if isinstance(plan, DispatchResult):
            return plan
        job_name = self.settings.transactions_job if kind == TRANSACTIONS else self.settings.dimensions_job
        return self._start(drop, plan, request=request, job_name=job_name, lifetime_seconds=lifetime_seconds)

    def _pinned(self, request: Request) -> Drop | None:
        """The exact version to load: the one the event names, or else the one that is current now."""
        version = {"VersionId": request.version_id} if request.version_id else {}
        try:
            found = self.s3.head_object(Bucket=request.bucket, Key=request.key, **version)
        except ClientError as error:
            # 405: what is current is a delete marker.
            if error.response["ResponseMetadata"]["HTTPStatusCode"] not in (404, 405):
                raise
            self._note_that_it_is_gone(request)
            return None
        version_id = request.version_id or found.get("VersionId")
        if not version_id:
            raise TerminalError(
                f"the bucket {request.bucket!r} keeps no versions, so {request.key!r} could change while it is loaded; "
                "turn versioning on (`pulumi up` does) and drop the file again"
            )
        return Drop(request.bucket, request.key, version_id)

    def _note_that_it_is_gone(self, request: Request) -> None:
        facts = {"key": request.key, "version_id": request.version_id}
        if request.version_id:
            load_id = Drop(request.bucket, request.key, request.version_id).load_id
            reports = [read_report(self.leases, load_id, n) for n in claimed_attempts(self.leases, load_id)]
            if any(report and report.outcome == SUCCEEDED for report in reports):
                logger.info("the drop is loaded and archived, so there is nothing to start", extra=facts)
                return
        logger.warning("the drop was deleted or overwritten before it was loaded; it is skipped", extra=facts)

    def _plan(self, drop: Drop, request: Request) -> Claim | DispatchResult:
        """Which attempt to claim, or the answer when there is none to claim."""
        attempts = claimed_attempts(self.leases, drop.load_id)
        if not attempts:
            return Claim(attempt=1, expired_claim=None)
        claims = [self.leases.read(claim_key(drop.load_id, attempt)) for attempt in attempts]
        latest, claim = attempts[-1], claims[-1]
        if claim.facts["run_id"] is None:
            return Claim(attempt=latest, expired_claim=claim) if claim.is_expired else DispatchResult.WAITS
        replay = request.replay
        if replay is not None and replay.after_attempt is not None:
            wants_another = replay.after_attempt == latest
        else:
            wants_another = replay is not None and replay.request not in [seen.facts["requested_by"] for seen in claims]
        outcome = outcome_of(claim, leases=self.leases, glue=self.glue)
        if not outcome.is_over:
            return DispatchResult.NOTHING_TO_DO
        is_transient = outcome.report is not None and outcome.is_retried(latest)
        return (
            Claim(attempt=latest + 1, expired_claim=None)
            if wants_another or is_transient
            else DispatchResult.NOTHING_TO_DO
        )

    def _start(
        self, drop: Drop, plan: Claim, *, request: Request, job_name: str, lifetime_seconds: float
    ) -> DispatchResult:
        facts = {
            "load_id": drop.load_id,
            "attempt": plan.attempt,
            "bucket": drop.bucket,
            "key": drop.key,
            "version_id": drop.version_id,
            "job_name": job_name,
            "requested_by": request.replay.request if request.replay else None,
            "run_id": None,
        }
        held = {**facts, **held_for(lifetime_seconds)}
        if plan.expired_claim is None:
            claim = self.leases.create(claim_key(drop.load_id, plan.attempt), held)
        else:
            claim = self.leases.replace(plan.expired_claim, held)
        if claim is None:
            return DispatchResult.WAITS
        run_id = None
        if plan.expired_claim is not None and not plan.expired_claim.was_released:
            run = find_run(self.glue, plan.expired_claim.facts["job_name"], drop=drop, attempt=plan.attempt)
            run_id = run.run_id if run else None
        try:
            run_id = run_id or self._start_job_run(drop, plan.attempt, job_name)
        except ClientError as error:
            if _may_have_been_started(error):
                logger.warning(
                    "Glue did not answer; the drop waits until its claim expires", extra={"error": str(error)}
                )
                return DispatchResult.WAITS
            self.leases.replace(claim, {**facts, **released()})
            if error.response["Error"]["Code"] in _FULL:
                return DispatchResult.WAITS
            raise
        except BotoCoreError as error:
            logger.warning("Glue did not answer; the drop waits until its claim expires", extra={"error": str(error)})
            return DispatchResult.WAITS
        logger.info(
            "run started",
            extra={"load_id": drop.load_id, "attempt": plan.attempt, "job_name": job_name, "run_id": run_id},
        )
        if self.leases.replace(claim, {**facts, "run_id": run_id}) is None:
            # We were slower than our own lifetime; whoever took over finds this run in Glue.
            logger.warning("the claim was taken over before the run's name was noted", extra={"run_id": run_id})
        return DispatchResult.STARTED

    def _start_job_run(self, drop: Drop, attempt: int, job_name: str) -> str:
        started = self.glue.start_job_run(JobName=job_name, Arguments=RunArguments(drop, attempt).encode())
        return str(started["JobRunId"])

    def _tell_outside_layout(self, request: Request, sentence: str, lifetime_seconds: float) -> None:
        identity = Drop(request.bucket, request.key, request.version_id or "").load_id
        mail = Mail(
            subject=f"[{self.settings.environment}] Not loaded: a file outside the layout",
            body=(
                "A file was dropped that no job will load.\n\n"
                f"  file     {printable(f's3://{request.bucket}/{request.key}', 1200)}\n"
                f"  version  {printable(request.version_id or 'not named', 1024)}\n\n"
                f"Why: {printable(sentence, 2000)}.\n\n"
                "The file stays where it is; nothing was loaded and nothing is tried again.\n"
            ),
        )
        self.notifier.send_at_most_once(outside_layout_stem(identity), mail, lifetime_seconds=lifetime_seconds)


@dataclass(frozen=True)
class Claim:
    """The attempt to claim."""

    attempt: int
    expired_claim: Lease | None
    """The claim of a dead or throttled worker, when this attempt is claimed already but has no run."""


def _may_have_been_started(error: ClientError) -> bool:
    status: int = error.response["ResponseMetadata"]["HTTPStatusCode"]
    return status >= 500 or error.response["Error"]["Code"] == _UNANSWERED
