"""The local Glue runs a job on Spark as AWS does: the wheel reaches driver and workers, and the end is announced."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cli.loads.run_logs import read_log
from cli.pipelines.pipeline import Pipeline
from local.local_cloud import LocalCloud
from local.runtime.glue_spark import find_spark
from schemas.runs import SPARK_OUTPUT_LOG_GROUP
from tests.local.local_clouds import ROOT, started

# It asks each worker where its packages come from.
PROBE = """
import sys
from jobs.shards.spark import spark_tasks

def packages(_):
    import jobs, polars
    return [jobs.__file__, polars.__file__, list(sys.version_info[:2])]

with spark_tasks() as runner:
    print("PROBE", __import__("json").dumps([packages(0), *runner.map(packages, [1, 2])]), flush=True)
"""
WAITING = "import time\nprint('it runs', flush=True)\ntime.sleep(600)\n"


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloud]:
    folder = tmp_path_factory.mktemp("cloud")
    (folder / "dist").mkdir()
    [wheel] = (ROOT / "dist").glob("*-cp313-*.whl")
    shutil.copy(wheel, folder / "dist")
    with started(folder, {"largeFileBytes": str(1024**3), "largeJobWorkers": "2"}) as cloud:
        yield cloud


def start(cloud: LocalCloud, script: str) -> str:
    """Put a script in place of the job's, and start a run of the large job."""
    glue, job = cloud.client("glue"), cloud.outputs["large_job"]
    bucket, _, key = glue.get_job(JobName=job)["Job"]["Command"]["ScriptLocation"].removeprefix("s3://").partition("/")
    cloud.client("s3").put_object(Bucket=bucket, Key=key, Body=script.encode())
    return str(glue.start_job_run(JobName=job)["JobRunId"])


def state_of(cloud: LocalCloud, run_id: str) -> Any:
    return cloud.client("glue").get_job_run(JobName=cloud.outputs["large_job"], RunId=run_id)["JobRun"]


def test_driver_and_workers_import_the_wheel_on_glues_python(cloud: LocalCloud) -> None:
    run_id = start(cloud, PROBE)
    cloud.wait_until_idle()
    printed = cloud.router.glue.processes.log(run_id)
    assert state_of(cloud, run_id)["JobRunState"] == "SUCCEEDED", printed
    [line] = [line for line in printed.splitlines() if line.startswith("PROBE ")]
    driver, *workers = json.loads(line.removeprefix("PROBE "))
    assert workers == [driver, driver]
    assert all("/glue/lib/installation/" in file for file in driver[:2])
    assert Path(find_spark().python).name.endswith(".".join(map(str, driver[2])))


def test_the_log_is_where_glue_keeps_that_of_a_driver(cloud: LocalCloud) -> None:
    run_id = start(cloud, "print('one line')\n")
    cloud.wait_until_idle()
    events = cloud.client("logs").get_log_events(logGroupName=SPARK_OUTPUT_LOG_GROUP, logStreamName=f"{run_id}-driver")[
        "events"
    ]
    assert [event["message"] for event in events] == ["one line"]
    pipeline = Pipeline("the local cloud", cloud.outputs, session=None)
    pipeline._clients["logs"] = cloud.client("logs")
    assert read_log(pipeline, run_id) == ["one line"]


def test_a_script_that_fails_ends_as_a_failed_run(cloud: LocalCloud) -> None:
    run_id = start(cloud, "raise SystemExit('no good')\n")
    cloud.wait_until_idle()
    run = state_of(cloud, run_id)
    assert (run["JobRunState"], run["ErrorMessage"]) == ("FAILED", "Command failed with exit code 1")


def test_a_large_run_that_a_person_stops_ends_stopped(cloud: LocalCloud) -> None:
    run_id = start(cloud, WAITING)
    until = time.monotonic() + 300
    while "it runs" not in cloud.router.glue.processes.log(run_id):
        assert time.monotonic() < until
        time.sleep(0.1)
    cloud.stop_run(next(run for run in cloud.runs() if run.job_run_id == run_id))
    cloud.wait_until_idle()
    assert state_of(cloud, run_id)["JobRunState"] == "STOPPED"
