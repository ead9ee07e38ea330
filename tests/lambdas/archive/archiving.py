"""Calls archive as EventBridge does."""

from __future__ import annotations

from typing import Any

from lambdas.archive import handler
from schemas.drops import Drop
from schemas.runs import RunArguments
from tests.lambdas.cloud import (
    ARCHIVE,
    DAY_KEY,
    TRANSACTIONS_JOB,
    Cloud,
    Invocation,
    recorded,
)
from tests.lambdas.reports import succeeded


def loaded(cloud: Cloud, drop: Drop, *, attempt: int = 1) -> dict[str, Any]:
    """Commit the drop's run. Returns the event that reports it."""
    etag = cloud.s3.head_object(Bucket=drop.bucket, Key=drop.key, VersionId=drop.version_id)["ETag"].strip('"')
    cloud.put_report(succeeded(drop, attempt=attempt, etag=etag))
    return ended(cloud, drop, "glue_succeeded", attempt=attempt)


def ended(cloud: Cloud, drop: Drop, name: str, *, attempt: int = 1) -> dict[str, Any]:
    run = cloud.glue.start_job_run(JobName=TRANSACTIONS_JOB, Arguments=RunArguments(drop, attempt).encode())
    event = recorded(name)
    event["detail"]["jobRunId"] = run["JobRunId"]
    return event


def archive(event: dict[str, Any]) -> bool:
    archived: bool = handler.handle(event, Invocation())["archived"]
    return archived


def archived_bodies(cloud: Cloud, key: str = DAY_KEY) -> list[bytes]:
    """The content of every version in the archive, the oldest first."""
    versions = cloud.s3.list_object_versions(Bucket=ARCHIVE, Prefix=key).get("Versions", [])
    return [
        cloud.s3.get_object(Bucket=ARCHIVE, Key=key, VersionId=version["VersionId"])["Body"].read()
        for version in reversed(versions)
    ]
