"""What Glue knows of a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from schemas.drops import Drop
from schemas.retries import LIVE_STATES
from schemas.runs import decode_run


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


def get_run(glue: Any, job_name: str, run_id: str) -> Run | None:
    """The run, or None when Glue has forgotten it (after 90 days, or with its job)."""
    try:
        found = glue.get_job_run(JobName=job_name, RunId=run_id)["JobRun"]
    except ClientError as error:
        if error.response["Error"]["Code"] == "EntityNotFoundException":
            return None
        raise
    return _as_run(found)


def find_run(glue: Any, job_name: str, *, drop: Drop, attempt: int) -> Run | None:
    """The run of this attempt, if one was ever started."""
    for page in glue.get_paginator("get_job_runs").paginate(JobName=job_name):
        for found in page["JobRuns"]:
            run = _as_run(found)
            if (run.drop, run.attempt) == (drop, attempt):
                return run
    return None


def _as_run(found: Mapping[str, Any]) -> Run:
    arguments = decode_run(found.get("Arguments"))
    return Run(
        job_name=found["JobName"],
        run_id=found["Id"],
        state=found["JobRunState"],
        message=found.get("ErrorMessage") or "",
        timeout_minutes=found.get("Timeout"),
        drop=arguments.drop if arguments else None,
        attempt=arguments.attempt if arguments else None,
    )
