"""The demo with the job for large files, which runs on Spark on this machine."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cli.refusals import Refused
from components.processing import LEAST_LARGE_BYTES
from local.local_cloud import LocalCloud
from local.moto_hooks import EmulatedRun
from local.runtime.glue_spark import TASKS_AT_A_TIME, SparkMissing, find_spark
from schemas.runs import runs_on_spark


def refuse_without_spark() -> None:
    """Raises Refused where the large job could not run."""
    try:
        find_spark()
    except SparkMissing as missing:
        raise Refused(str(missing)) from None


def start_with_large_job(root: Path, *, config: Mapping[str, str], **how: Any) -> LocalCloud:
    """Start a local cloud whose large job loads files from the smallest limit on."""
    return LocalCloud.start(root, config={**config, "largeFileBytes": str(LEAST_LARGE_BYTES)}, **how)


def describe_large_job() -> str:
    """The line that says which files go to Spark."""
    python = find_spark().python.name
    return (
        f"Files from {LEAST_LARGE_BYTES // 1024**2} MiB on are loaded on Spark ({python}), "
        f"{TASKS_AT_A_TIME} tasks at a time."
    )


def large_loads(cloud: LocalCloud) -> list[EmulatedRun]:
    """The runs of the large job that succeeded."""
    return [run for run in cloud.runs() if runs_on_spark(run.job_name) and run.status == "SUCCEEDED"]
