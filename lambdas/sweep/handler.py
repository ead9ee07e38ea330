"""sweep: on a schedule, what an event lost is found and handed to the function whose work it is."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import Any

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from lambdas.leases import LeaseStore
from lambdas.sweep.scanner import Findings, Scanner, StartedRun
from schemas.messages import drop_message, replay_message, run_request
from schemas.settings import SweepSettings, load_settings

GRACE_SECONDS = 15 * 60
"""Longer than Lambda lets a function run: what is older than this is not just being done by another."""

logger = Logger(service="sweep")


@dataclass(frozen=True)
class Dependencies:
    settings: SweepSettings
    s3: Any
    glue: Any
    sqs: Any
    functions: Any


@cache
def dependencies() -> Dependencies:
    """Everything that outlives one invocation."""
    return Dependencies(
        settings=load_settings(SweepSettings, os.environ),
        s3=boto3.client("s3"),
        glue=boto3.client("glue"),
        sqs=boto3.client("sqs"),
        functions=boto3.client("lambda"),
    )


@logger.inject_lambda_context(clear_state=True)
def handle(event: dict[str, Any], context: LambdaContext) -> dict[str, int]:  # noqa: ARG001
    """Look once and have finished what is found. `grace_seconds` in the event overrules the usual patience."""
    deps = dependencies()
    look = Scanner(
        s3=deps.s3,
        glue=deps.glue,
        leases=LeaseStore(deps.s3, deps.settings.work_bucket),
        drop_bucket=deps.settings.drop_bucket,
        grace=timedelta(seconds=float(event.get("grace_seconds", GRACE_SECONDS))),
    )
    findings = look.findings()
    finished = finish(deps, findings)
    logger.info("swept", extra={"finished": finished})
    if findings.errors:
        raise ExceptionGroup("the sweep could not look at every load; it finished the others", findings.errors)
    return finished


def finish(deps: Dependencies, findings: Findings) -> dict[str, int]:
    """Hand over what was found; how much of each was handed over."""
    settings = deps.settings
    # A drop may have no run because it waits in the queue for its turn: only an idle queue has lost it.
    lost = findings.lost if findings.lost and is_idle(deps) else []
    for drop in lost:
        deps.sqs.send_message(QueueUrl=settings.queue_url, MessageBody=drop_message(drop))
    for drop, attempt in findings.tried_again:
        message = replay_message(drop, after_attempt=attempt)
        deps.sqs.send_message(QueueUrl=settings.queue_url, MessageBody=message)
    for run in findings.unarchived:
        call(deps, settings.archive_function, run)
    for run in findings.unnotified:
        call(deps, settings.notify_function, run)
    return {
        "lost": len(lost),
        "tried_again": len(findings.tried_again),
        "unarchived": len(findings.unarchived),
        "untold": len(findings.unnotified),
    }


def is_idle(deps: Dependencies) -> bool:
    """True when nothing is waiting, delayed or being handled in the queue."""
    names = [f"ApproximateNumberOfMessages{which}" for which in ("", "Delayed", "NotVisible")]
    found = deps.sqs.get_queue_attributes(QueueUrl=deps.settings.queue_url, AttributeNames=names)
    return all(int(number) == 0 for number in found["Attributes"].values())


def call(deps: Dependencies, function: str, run: StartedRun) -> None:
    """Have a function look at a run; Lambda tries again by itself should it fail."""
    payload = json.dumps(run_request(run.job_name, run.run_id, is_last=run.is_last)).encode("utf-8")
    deps.functions.invoke(FunctionName=function, InvocationType="Event", Payload=payload)
