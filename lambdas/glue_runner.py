"""AWS Glue as the runner of the jobs: the only module that calls Glue."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import boto3
from aws_lambda_powertools.utilities.data_classes import EventBridgeEvent
from botocore.exceptions import BotoCoreError, ClientError

from lambdas.no_retries import NO_RETRIES
from lambdas.runs import Run, RunEvent, RunnerIsFull, StartRefused, StartUnconfirmed
from schemas.drops import Drop
from schemas.runs import RunArguments, decode_run

if TYPE_CHECKING:
    from types_boto3_glue.client import GlueClient

CLOCK_SKEW = timedelta(minutes=10)
"""How far the clocks of S3 and Glue may differ."""

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
# Errors with HTTP 400 after which it is unknown whether the run was started.
_UNANSWERED = "OperationTimeoutException"

_PAGE = 200
"""The most that GetJobRuns returns at once."""

_STATE_CHANGE = "Glue Job State Change"


@dataclass(frozen=True)
class GlueRunner:
    """A Runner whose runs are runs of Glue jobs."""

    glue: GlueClient
    starter: GlueClient
    """A client that sends each request once: a repeated StartJobRun is a second run."""

    @classmethod
    def connect(cls) -> GlueRunner:
        """The runner of the function's own account and Region."""
        return cls(boto3.client("glue"), boto3.client("glue", config=NO_RETRIES))

    @property
    def region(self) -> str:
        """The Region whose console shows the runs' logs."""
        return self.glue.meta.region_name

    def start(self, job_name: str, arguments: RunArguments) -> str:
        """Start one run and return its id; raises StartRefused and StartUnconfirmed."""
        try:
            return self.starter.start_job_run(JobName=job_name, Arguments=arguments.encode())["JobRunId"]
        except ClientError as error:
            if _may_have_been_started(error):
                raise StartUnconfirmed(f"Glue did not say whether it started a run of {job_name}: {error}") from error
            refused = RunnerIsFull if error.response["Error"]["Code"] in _FULL else StartRefused
            raise refused(f"Glue started no run of {job_name}: {error}") from error
        except BotoCoreError as error:
            raise StartUnconfirmed(f"Glue did not say whether it started a run of {job_name}: {error}") from error

    def get(self, job_name: str, run_id: str) -> Run | None:
        """The run; None when Glue does not know it yet, or has forgotten it (after 90 days, or with its job)."""
        try:
            described = self.glue.get_job_run(JobName=job_name, RunId=run_id)["JobRun"]
        except ClientError as error:
            if error.response["Error"]["Code"] == "EntityNotFoundException":
                return None
            raise
        return _as_run(described)

    def find(self, job_name: str, *, drop: Drop, attempt: int, since: datetime) -> Run | None:
        """The run of this attempt, if one was started at or after `since`.

        GetJobRuns returns the newest runs first (AWS Glue API reference), so the search ends with the first page
        on which every run is older. A job that was removed has none.
        """
        pages = self.glue.get_paginator("get_job_runs").paginate(JobName=job_name, PaginationConfig={"PageSize": _PAGE})
        with suppress(self.glue.exceptions.EntityNotFoundException):
            for page in pages:
                for described in page["JobRuns"]:
                    run = _as_run(described)
                    if (run.drop, run.attempt) == (drop, attempt):
                        return run
                if all(described["StartedOn"] < since - CLOCK_SKEW for described in page["JobRuns"]):
                    return None
        return None

    def read_event(self, event: dict[str, Any]) -> RunEvent | None:
        """The change of a run's state that EventBridge reports; None for any other event."""
        state_change = EventBridgeEvent(event)
        if state_change.detail_type != _STATE_CHANGE:
            return None
        detail: Mapping[str, Any] = state_change.detail
        return RunEvent(detail["jobName"], detail["jobRunId"], detail["state"], detail.get("message") or "")


def _may_have_been_started(error: ClientError) -> bool:
    status: int = error.response["ResponseMetadata"]["HTTPStatusCode"]
    return status >= 500 or error.response["Error"]["Code"] == _UNANSWERED


def _as_run(described: Mapping[str, Any]) -> Run:
    arguments = decode_run(described.get("Arguments"))
    return Run(
        job_name=described["JobName"],
        run_id=described["Id"],
        state=described["JobRunState"],
        message=described.get("ErrorMessage") or "",
        timeout_minutes=described.get("Timeout"),
        drop=arguments.drop if arguments else None,
        attempt=arguments.attempt if arguments else None,
    )
