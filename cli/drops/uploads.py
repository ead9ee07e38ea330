"""Uploads to the drop bucket of a pipeline, and waits until the files are loaded."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path

from botocore.exceptions import ClientError

from cli.drops.parts import put_file
from cli.loads.loads import Load, Loads
from cli.pipelines.pipeline import Pipeline
from cli.refusals import Failed, Refused
from schemas.drops import Drop


def refuse_unversioned(pipeline: Pipeline) -> None:
    """Raises Refused when the drop bucket keeps no versions, because a drop is one version of a file."""
    bucket = pipeline.output("drop_bucket")
    try:
        status = pipeline.client("s3").get_bucket_versioning(Bucket=bucket).get("Status")
    except ClientError as error:
        if error.response["Error"]["Code"] != "AccessDenied":
            raise
        return
    if status != "Enabled":
        raise Refused(
            f"the bucket {bucket} has versioning {'suspended' if status else 'off'}, and the pipeline loads versions "
            "only; turn versioning on (`pulumi up` does) and drop the file again"
        )


def upload(pipeline: Pipeline, path: Path, key: str) -> Drop:
    """Upload one file; raises Refused when the bucket gives it no version."""
    bucket = pipeline.output("drop_bucket")
    version_id = put_file(pipeline.client("s3"), path, bucket=bucket, key=key)
    if version_id is None:
        raise Refused(f"the bucket {bucket} keeps no versions, so {key} will not be loaded; turn versioning on")
    return Drop(bucket, key, version_id)


def wait_until_settled(
    pipeline: Pipeline,
    drops: Iterable[Drop],
    *,
    on_change: Callable[[Load], None] = lambda _: None,
    is_done: Callable[[Load], bool] = lambda load: load.status.is_settled,
    timeout_seconds: float,
) -> list[Load]:
    """The loads of these drops, once each is done; raises Failed when one is not done in time.

    Calls `on_change` with each load when it is first seen, and when its phase or attempt changes.
    """
    waiting = list(drops)
    seen: dict[Drop, tuple[object, int]] = {}
    ended: dict[Drop, Load] = {}
    until = time.monotonic() + timeout_seconds
    while True:
        loads = Loads(pipeline)
        for drop in [drop for drop in waiting if drop not in ended]:
            load = loads.of(drop)
            now = (load.status.phase, load.status.attempt)
            if seen.get(drop) != now:
                seen[drop] = now
                on_change(load)
            if is_done(load):
                ended[drop] = load
        if len(ended) == len(waiting):
            return [ended[drop] for drop in waiting]
        if time.monotonic() > until:
            late = next(drop for drop in waiting if drop not in ended)
            raise Failed(
                f"{late.uri} is not loaded after {timeout_seconds / 60:g} minutes; its load goes on; "
                f"see `pipeline show {late.load_id}{pipeline.stack_option}`"
            )
        time.sleep(pipeline.look_seconds)
