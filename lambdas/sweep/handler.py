"""sweep: on a schedule, finds work whose event was lost and hands it to the function that does it."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from lambdas.glue_runner import GlueRunner
from lambdas.leases import LeaseStore
from lambdas.published_metrics import put_metric
from lambdas.runs import Runner
from lambdas.sweep.listing import read_listing
from lambdas.sweep.scanner import Findings, LostDrop, Scanner, StartedRun
from schemas.backfills import QUIET_SECONDS
from schemas.messages import BACKFILL_STOPPED, drop_message, replay_message, run_request
from schemas.metrics import HOURS_SINCE_LAST_DROP, OLDEST_WAITING_DROP_MINUTES
from schemas.settings import SweepSettings, load_settings
from schemas.work_bucket import BACKFILL_KEY, LAST_DROP_KEY, resent_key, settled_key

if TYPE_CHECKING:
    from types_boto3_lambda.client import LambdaClient
    from types_boto3_s3.client import S3Client
    from types_boto3_sqs.client import SQSClient

GRACE_SECONDS = 15 * 60
"""Longer than a function can run, so no other invocation is working on anything older."""

QUEUE_PATIENCE_SECONDS = 6 * 60 * 60
"""A drop without a run may be waiting in the queue. When it is older than this, it is sent again anyway."""

logger = Logger(service="sweep")


@dataclass(frozen=True)
class Dependencies:
    settings: SweepSettings
    s3: S3Client
    runner: Runner
    sqs: SQSClient
    functions: LambdaClient
    leases: LeaseStore


@cache
def dependencies() -> Dependencies:
    """The clients and settings that outlive one invocation."""
    settings = load_settings(SweepSettings, os.environ)
    s3 = boto3.client("s3")
    return Dependencies(
        settings=settings,
        s3=s3,
        runner=GlueRunner.connect(),
        sqs=boto3.client("sqs"),
        functions=boto3.client("lambda"),
        leases=LeaseStore(s3, settings.work_bucket),
    )


@logger.inject_lambda_context(clear_state=True)
def handle(event: dict[str, Any], context: LambdaContext) -> dict[str, int]:  # noqa: ARG001
    """Scan once and hand over what is left to do. `grace_seconds` in the event replaces the usual grace."""
    deps = dependencies()
    grace = timedelta(seconds=float(event.get("grace_seconds", GRACE_SECONDS)))
    scanner = Scanner(
        listing=read_listing(deps.s3, deps.leases, deps.settings.drop_bucket, grace=grace),
        s3=deps.s3,
        runner=deps.runner,
        leases=deps.leases,
        archive_bucket=deps.settings.archive_bucket,
        grace=grace,
    )
    findings = scanner.findings()
    finished = hand_over(deps, findings)
    tidy_up(deps, findings)
    ask_about_backfill(deps)
    publish_metrics(deps, findings)
    logger.info("swept", extra={"finished": finished})
    if findings.errors:
        raise ExceptionGroup("the sweep found loads that need a person; it finished the others", findings.errors)
    return finished


def hand_over(deps: Dependencies, findings: Findings) -> dict[str, int]:
    """Hand each finding to the function that does this work; returns how many of each were handed over."""
    settings = deps.settings
    lost = sendable(deps, findings.lost)
    for lost_drop in lost:
        drop = lost_drop.drop
        deps.sqs.send_message(QueueUrl=settings.queue_url, MessageBody=drop_message(drop))
        deps.leases.create(resent_key(drop.load_id, lost_drop.times_sent + 1), {"key": drop.key})
    for drop, attempt in findings.retried:
        message = replay_message(drop, after_attempt=attempt)
        deps.sqs.send_message(QueueUrl=settings.queue_url, MessageBody=message)
    for run in findings.unarchived:
        call(deps, settings.archive_function, run)
    for run in findings.unnotified:
        call(deps, settings.notify_function, run)
    return {
        "lost": len(lost),
        "retried": len(findings.retried),
        "unarchived": len(findings.unarchived),
        "unnotified": len(findings.unnotified),
    }


def sendable(deps: Dependencies, lost: list[LostDrop]) -> list[LostDrop]:
    """The drops to send to the queue: those that do not wait there already, as far as the queue shows."""
    if lost and is_idle(deps):
        return lost
    return [drop for drop in lost if drop.age_seconds >= QUEUE_PATIENCE_SECONDS]


def is_idle(deps: Dependencies) -> bool:
    """True when nothing is waiting, delayed or being handled in the queue."""
    attributes = deps.sqs.get_queue_attributes(
        QueueUrl=deps.settings.queue_url,
        AttributeNames=[
            "ApproximateNumberOfMessages",
            "ApproximateNumberOfMessagesDelayed",
            "ApproximateNumberOfMessagesNotVisible",
        ],
    )["Attributes"]
    return all(int(number) == 0 for number in attributes.values())


def call(deps: Dependencies, function: str, run: StartedRun) -> None:
    """Ask a function to examine a run; Lambda retries it automatically if it fails."""
    invoke(deps, function, run_request(run.job_name, run.run_id, is_last=run.is_last, forgotten=run.forgotten))


def invoke(deps: Dependencies, function: str, event: dict[str, Any]) -> None:
    """Invoke a function asynchronously."""
    deps.functions.invoke(FunctionName=function, InvocationType="Event", Payload=json.dumps(event).encode("utf-8"))


def tidy_up(deps: Dependencies, findings: Findings) -> None:
    """Note what is settled, so that the next sweep does not examine it again."""
    for load_id in findings.settled:
        deps.leases.create(settled_key(load_id), {})
    for key in (*findings.closed, *findings.outdated):
        deps.leases.delete(key)


def ask_about_backfill(deps: Dependencies) -> None:
    """Have `notify` mail that a backfill was stopped and nothing reported its outcomes."""
    if any(note.age_seconds >= QUIET_SECONDS for note in deps.leases.listing(BACKFILL_KEY)):
        invoke(deps, deps.settings.notify_function, BACKFILL_STOPPED)


def publish_metrics(deps: Dependencies, findings: Findings) -> None:
    """The two figures that the alarms about drops watch."""
    put_metric(deps.settings.environment, OLDEST_WAITING_DROP_MINUTES, findings.oldest_waiting_seconds / 60)
    newest = newest_drop(deps, findings)
    if newest is not None:
        put_metric(
            deps.settings.environment, HOURS_SINCE_LAST_DROP, (datetime.now(UTC) - newest).total_seconds() / 3600
        )


def newest_drop(deps: Dependencies, findings: Findings) -> datetime | None:
    """The upload time of the newest drop, as seen now or as noted by an earlier sweep."""
    note = deps.leases.find(LAST_DROP_KEY)
    noted = datetime.fromisoformat(note.payload["at"]) if note is not None else None
    if findings.newest_drop_age_seconds is None:
        return noted
    dropped_at = datetime.now(UTC) - timedelta(seconds=findings.newest_drop_age_seconds)
    # A minute: the two clocks are read at different moments.
    if noted is not None and dropped_at < noted + timedelta(minutes=1):
        return noted
    payload = {"at": dropped_at.isoformat()}
    if note is None:
        deps.leases.create(LAST_DROP_KEY, payload)
    else:
        deps.leases.replace(note, payload)
    return dropped_at
