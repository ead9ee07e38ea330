"""Calls start_run as SQS does, and makes Glue respond with errors."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from lambdas.start_run import handler
from tests.lambdas.cloud import (
    Cloud,
    Invocation,
)


def deliver(cloud: Cloud, *bodies: dict[str, Any] | str, waits: int | None = None, seconds: float = 30) -> list[str]:
    """Hand the messages to the function. Returns the ids of those that failed."""
    answer = handler.handle(cloud.batch(*bodies, waits=waits), Invocation(seconds))
    return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]


def glue_answers(monkeypatch: pytest.MonkeyPatch, error: Exception, *, but_starts: bool = False) -> list[int]:
    """From now on StartJobRun raises this error. The list records the calls."""
    client = handler.dependencies().dispatcher.runner.starter
    start, calls = client.start_job_run, []

    def start_job_run(**request: Any) -> Any:
        calls.append(1)
        if but_starts:
            start(**request)
        raise error

    monkeypatch.setattr(client, "start_job_run", start_job_run)
    return calls


def refusal(code: str, status: int = 400) -> ClientError:
    answer: Any = {"Error": {"Code": code, "Message": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(answer, "StartJobRun")
