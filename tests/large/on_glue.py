"""The local Glue runs a job on Spark as AWS does: the wheel reaches driver and workers, and the end is announced."""

from __future__ import annotations

import json
import time
import zipfile
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from cli.drops.keys import FileToDrop
from cli.drops.plans import make_plan
from cli.drops.status import Phase
from cli.loads.run_logs import read_log
from cli.pipelines.pipeline import Pipeline
from local.local_cloud import LocalCloud
from local.runtime.glue_spark import find_spark
from schemas.reports import Report
from schemas.runs import SPARK_OUTPUT_LOG_GROUP
from schemas.work_bucket import REPORTS
from tests.local.local_clouds import (
    GOOD,
    ROOT,
    fact,
    mails_about,
    phase_of,
    put,
    runs_of,
    started,
    transactions,
    transactions_key,
)

LARGE_BYTES = 50_000

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


def small_shards(wheel: Path, copy: Path) -> None:
    """Copy the wheel, but with shards of 20 kB."""
    survey, size = "jobs/shards/survey.py", b"SHARD_BYTES = 128 * 1024 * 1024"
    with zipfile.ZipFile(wheel) as original, zipfile.ZipFile(copy, "w") as changed:
        for name in original.namelist():
            content = original.read(name)
            assert name != survey or size in content
            changed.writestr(name, content.replace(size, b"SHARD_BYTES = 20_000") if name == survey else content)


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloud]:
    """A local cloud for which a file is large from 50 kB on."""
    folder = tmp_path_factory.mktemp("cloud")
    (folder / "dist").mkdir()
    [wheel] = (ROOT / "dist").glob("*-cp313-*.whl")
    small_shards(wheel, folder / "dist" / wheel.name)
    with (
        mock.patch("components.processing.LEAST_LARGE_BYTES", LARGE_BYTES),
        started(folder, {"largeFileBytes": str(LARGE_BYTES), "largeJobWorkers": "2"}) as cloud,
    ):
        for sample in (ROOT / "schemas" / "samples").glob("*.csv"):
            put(cloud, f"dimensions/{sample.name}", sample.read_bytes())
        cloud.wait_until_idle()
        yield cloud


def test_a_plan_of_a_large_file_is_what_the_load_then_does(cloud: LocalCloud, tmp_path: Path) -> None:
    rows = [GOOD.format(number=number, day=13) for number in range(4000, 6000)]
    path = tmp_path / "transactions_2023-03-13.csv"
    path.write_bytes(transactions(*rows, *rows[:7], "T-BAD,C12345,P12345,0,2023-03-13,pending"))
    pipeline = Pipeline("the local cloud", cloud.outputs, session=None)
    pipeline._clients.update({service: cloud.client(service) for service in ("s3", "glue")})
    before = {run.job_run_id for run in cloud.runs()}
    plan = make_plan(pipeline, FileToDrop(path, transactions_key(13)), timeout_seconds=500)
    [job] = {run.job_name for run in cloud.runs() if run.job_run_id not in before}
    assert job == cloud.outputs["large_job"]
    assert plan.report.counts is not None
    assert plan.report.counts["inserted"] == 2000
    assert fact(cloud, "T4000") == []

    drop = put(cloud, transactions_key(13), path.read_bytes())
    cloud.wait_until_idle()
    [report] = (load for load in reports(cloud) if load.load_id == drop.load_id)
    assert report.counts == plan.report.counts
    assert report.change == plan.report.change


def test_a_large_file_goes_the_whole_way_from_drop_to_archive(cloud: LocalCloud) -> None:
    rows = [GOOD.format(number=number, day=14) for number in range(2000)]
    drop = put(cloud, transactions_key(14), transactions(*rows, *rows[:7], "T-BAD,C12345,P12345,0,2023-03-14,pending"))
    small = put(cloud, transactions_key(15), transactions(GOOD.format(number=9999, day=15)))
    cloud.wait_until_idle()
    [run], [other] = runs_of(cloud, drop), runs_of(cloud, small)
    assert (run.job_name, other.job_name) == (cloud.outputs["large_job"], cloud.outputs["transactions_job"])
    [report] = (load for load in reports(cloud) if load.load_id == drop.load_id)
    assert report.error is None, cloud.router.glue.processes.log(run.job_run_id)
    counts = dict(report.counts or {})
    assert {name: counts[name] for name in ("rows_read", "inserted", "duplicate", "rejected")} == {
        "rows_read": 2008,
        "inserted": 2000,
        "duplicate": 7,
        "rejected": 1,
    }
    # A folder, since the file was loaded in shards.
    assert (report.rejected_uri or "").endswith("/")
    assert phase_of(cloud, drop) is phase_of(cloud, small) is Phase.ARCHIVED
    [subject] = mails_about(cloud, drop)
    assert subject.startswith("[dev] 14 Mar loaded")
    assert fact(cloud, "T1999") == [["completed", Decimal("89.97")]]


def reports(cloud: LocalCloud) -> list[Report]:
    s3, bucket = cloud.client("s3"), cloud.outputs["work_bucket"]
    listed = s3.list_objects_v2(Bucket=bucket, Prefix=REPORTS)["Contents"]
    keys = [each["Key"] for each in listed if each["Key"].endswith(".json")]
    return [Report.from_json(s3.get_object(Bucket=bucket, Key=key)["Body"].read().decode()) for key in keys]


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
