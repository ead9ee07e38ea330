"""How a Glue run is told which drop and attempt it is, and how that is read back from it."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from schemas.drops import Drop

LIVE_STATES = frozenset({"STARTING", "RUNNING", "STOPPING", "WAITING"})


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


def run_arguments(drop: Drop, attempt: int) -> dict[str, str]:
    """The arguments of one attempt. The key travels as base64, for a key may hold anything."""
    return {
        "--bucket": drop.bucket,
        "--key-base64": base64.urlsafe_b64encode(drop.key.encode("utf-8")).decode("ascii"),
        "--version-id": drop.version_id,
        "--attempt": str(attempt),
    }


def read_run_arguments(arguments: Mapping[str, str]) -> tuple[Drop, int] | None:
    """The drop and attempt that run_arguments wrote; None for a run that was started for something else."""
    try:
        key = base64.urlsafe_b64decode(arguments["--key-base64"]).decode("utf-8")
        return Drop(arguments["--bucket"], key, arguments["--version-id"]), int(arguments["--attempt"])
    except (KeyError, binascii.Error, ValueError):
        return None


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
    drop, attempt = read_run_arguments(found.get("Arguments") or {}) or (None, None)
    return Run(
        job_name=found["JobName"],
        run_id=found["Id"],
        state=found["JobRunState"],
        message=found.get("ErrorMessage") or "",
        timeout_minutes=found.get("Timeout"),
        drop=drop,
        attempt=attempt,
    )
