"""Calls notify as EventBridge does."""

from __future__ import annotations

from typing import Any

from lambdas.notify import handler
from schemas.drops import Drop
from schemas.runs import RunArguments
from tests.lambdas.cloud import TRANSACTIONS_JOB, Cloud, Invocation, recorded

NO_STATUS = "the file has no column status; add it and drop the file again"


def run_of(cloud: Cloud, drop: Drop, *, attempt: int = 1, job: str = TRANSACTIONS_JOB) -> str:
    run_id: str = cloud.glue.start_job_run(JobName=job, Arguments=RunArguments(drop, attempt).encode())["JobRunId"]
    return run_id


def event_of(name: str, run_id: str) -> dict[str, Any]:
    event = recorded(name)
    event["detail"]["jobRunId"] = run_id
    return event


def notify_about(event: dict[str, Any], seconds: float = 30) -> bool:
    sent: bool = handler.handle(event, Invocation(seconds))["sent"]
    return sent


def only_mail(cloud: Cloud) -> tuple[str, str]:
    [mail] = cloud.mails()
    return mail
