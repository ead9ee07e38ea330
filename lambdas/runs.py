"""What Glue knows of a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from schemas.drops import Drop
from schemas.retries import LIVE_STATES
from schemas.runs import decode_run

if TYPE_CHECKING:
    from types_boto3_glue.client import GlueClient

CLOCK_SKEW = timedelta(minutes=10)
"""How far the clocks of S3 and Glue may differ."""

_PAGE = 200
"""The most that GetJobRuns returns at once."""


@dataclass(frozen=True)
class Run:
    """A run of a Glue job as Glue describes it."""

    job_name: str
    run_id: str
    state: str
    message: str
    """Glue's own words about the end of the run; empty when it has none."""
    timeout_minutes: int | None
    drop: Drop | None
    """None when the run was not started for a drop; so is the attempt."""
    attempt: int | None

    @property
    def is_live(self) -> bool:
        return self.state in LIVE_STATES


def get_run(glue: GlueClient, job_name: str, run_id: str) -> Run | None:
    """The run; None when Glue does not know it yet, or has forgotten it (after 90 days, or with its job)."""
    try:
        described = glue.get_job_run(JobName=job_name, RunId=run_id)["JobRun"]
    except ClientError as error:
        if error.response["Error"]["Code"] == "EntityNotFoundException":
            return None
        raise
    return _as_run(described)


def find_run(glue: GlueClient, job_name: str, *, drop: Drop, attempt: int, since: datetime) -> Run | None:
    """The run of this attempt, if one was started at or after `since`.

    GetJobRuns returns the newest runs first (AWS Glue API reference), so the search ends with the first page
    on which every run is older.
    """
    pages = glue.get_paginator("get_job_runs").paginate(JobName=job_name, PaginationConfig={"PageSize": _PAGE})
    for page in pages:
        for described in page["JobRuns"]:
            run = _as_run(described)
            if (run.drop, run.attempt) == (drop, attempt):
                return run
        if all(described["StartedOn"] < since - CLOCK_SKEW for described in page["JobRuns"]):
            return None
    return None


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
