"""The local Glue: when runs start, how they end, and the environment of a job's process."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from cli.drops.status import Phase
from local.local_cloud import LocalCloud
from local.moto_hooks import EmulatedRun
from local.runtime import glue_process
from local.runtime.glue import LOG_GROUPS
from local.runtime.glue_process import GlueProcesses
from schemas.drops import Drop
from tests.local.local_clouds import GOOD, mails_about, phase_of, put, runs_of, transactions, transactions_key

pytestmark = pytest.mark.flow

# A script that prints its environment before it imports anything of its own.
PROBE = """
import json, os, sys
print("PROBE " + json.dumps({
    "boto3": sys.modules["boto3"].__version__,
    "botocore": sys.modules["botocore"].__version__,
    "path": {folder: sorted(os.listdir(folder)) for folder in sys.path if os.path.isdir(folder)},
    "environment": sorted(os.environ),
    "argv": sys.argv[1:],
}))
"""


@pytest.fixture
def held(undisturbed: LocalCloud, monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """No run's process starts before this event is set."""
    release, execute = threading.Event(), GlueProcesses.execute

    def wait_and_execute(*arguments: Any, **named: Any) -> Any:
        release.wait()
        return execute(*arguments, **named)

    monkeypatch.setattr(GlueProcesses, "execute", wait_and_execute)
    yield release
    release.set()
    undisturbed.wait_until_idle()


@pytest.fixture
def queuing(undisturbed: LocalCloud) -> Iterator[Callable[[bool], None]]:
    """Switches job run queuing of the transactions job on or off. The program's setting is restored afterwards."""
    jobs, name = undisturbed.router.functions.gaps.jobs_with_queuing, undisturbed.outputs["transactions_job"]
    declared = name in jobs

    def switch(is_on: bool) -> None:
        (jobs.add if is_on else jobs.discard)(name)

    yield switch
    switch(declared)


@pytest.fixture
def probe(undisturbed: LocalCloud) -> Iterator[Callable[..., tuple[str, str]]]:
    """Runs PROBE in a job with the transactions job's role and wheel. Returns the run's state and output."""
    glue = undisturbed.client("glue")
    job = glue.get_job(JobName=undisturbed.outputs["transactions_job"])["Job"]
    location = job["Command"]["ScriptLocation"].rpartition("/")[0] + "/probe.py"
    bucket, _, key = location.removeprefix("s3://").partition("/")
    undisturbed.client("s3").put_object(Bucket=bucket, Key=key, Body=PROBE.encode())
    glue.create_job(Name="probe", Role=job["Role"], Command={**job["Command"], "ScriptLocation": location})

    def run(**arguments: str) -> tuple[str, str]:
        arguments["--extra-py-files"] = {**job["DefaultArguments"], **job["NonOverridableArguments"]}[
            "--extra-py-files"
        ]
        run_id = glue.start_job_run(JobName="probe", Arguments=arguments)["JobRunId"]
        undisturbed.wait_until_idle()
        return undisturbed.router.glue.run("probe", run_id).status, undisturbed.router.glue.processes.log(run_id)

    yield run
    glue.delete_job(JobName="probe")


def drop_files(cloud: LocalCloud, day: int, count: int) -> list[Drop]:
    return [
        put(cloud, transactions_key(day, f"part-{n}.csv"), transactions(GOOD.format(number=100 * day + n, day=day)))
        for n in range(count)
    ]


def limit_of(cloud: LocalCloud) -> int:
    job = cloud.client("glue").get_job(JobName=cloud.outputs["transactions_job"])["Job"]
    return int(job["ExecutionProperty"]["MaxConcurrentRuns"])


def wait_for(is_so: Callable[[], bool]) -> None:
    until = time.monotonic() + 300
    while not is_so():
        assert time.monotonic() < until, "the condition was not met within 300 seconds"
        time.sleep(0.02)


def runs_in(cloud: LocalCloud, known: int, *states: str) -> list[EmulatedRun]:
    """The runs after the first `known` ones that are in one of the states."""
    return [run for run in cloud.runs()[known:] if run.status in states]


def test_with_queuing_runs_over_the_limit_wait_in_glue(
    undisturbed: LocalCloud, held: threading.Event, queuing: Callable[[bool], None]
) -> None:
    queuing(True)
    limit, known = limit_of(undisturbed), len(undisturbed.runs())
    drops = drop_files(undisturbed, 10, limit + 2)
    wait_for(lambda: len(undisturbed.runs()) - known == limit + 2)
    assert len(runs_in(undisturbed, known, "STARTING", "RUNNING")) == limit
    assert len(runs_in(undisturbed, known, "WAITING")) == 2
    held.set()
    undisturbed.wait_until_idle()
    assert {phase_of(undisturbed, drop) for drop in drops} == {Phase.ARCHIVED}
    assert [len(mails_about(undisturbed, drop)) for drop in drops] == [1] * len(drops)


def test_without_queuing_drops_over_the_limit_wait_in_the_queue(
    undisturbed: LocalCloud, held: threading.Event, queuing: Callable[[bool], None]
) -> None:
    queuing(False)
    limit, known = limit_of(undisturbed), len(undisturbed.runs())
    drops = drop_files(undisturbed, 11, limit + 2)
    wait_for(lambda: len(undisturbed.runs()) - known == limit and undisturbed.queue("queue_url").all == 2)
    held.set()
    undisturbed.wait_until_idle()
    assert {phase_of(undisturbed, drop) for drop in drops} == {Phase.ARCHIVED}
    assert [len(mails_about(undisturbed, drop)) for drop in drops] == [1] * len(drops)
    assert undisturbed.queue("dead_letter_queue_url").all == 0


def test_a_run_that_expires_makes_no_event_and_is_tried_again(
    undisturbed: LocalCloud, held: threading.Event, queuing: Callable[[bool], None]
) -> None:
    queuing(True)
    limit, known = limit_of(undisturbed), len(undisturbed.runs())
    drops = drop_files(undisturbed, 12, limit + 1)
    wait_for(lambda: len(runs_in(undisturbed, known, "WAITING")) == 1)
    (waiting,) = runs_in(undisturbed, known, "WAITING")
    undisturbed.router.glue.expire(waiting.job_name, waiting.job_run_id)
    held.set()
    undisturbed.wait_until_idle()
    left = [drop for drop in drops if phase_of(undisturbed, drop) is not Phase.ARCHIVED]
    assert len(left) == 1
    assert mails_about(undisturbed, left[0]) == []
    undisturbed.router.tick(grace_seconds=0)
    undisturbed.wait_until_idle()
    assert phase_of(undisturbed, left[0]) is Phase.ARCHIVED


@pytest.mark.parametrize("state", ["RUNNING", "WAITING"])
def test_a_run_that_a_person_stops_ends_stopped(
    undisturbed: LocalCloud, held: threading.Event, queuing: Callable[[bool], None], state: str
) -> None:
    queuing(True)
    limit, known = limit_of(undisturbed), len(undisturbed.runs())
    drop_files(undisturbed, 13 if state == "RUNNING" else 14, limit + 1)
    wait_for(lambda: len(runs_in(undisturbed, known, "RUNNING")) == limit)
    wait_for(lambda: len(runs_in(undisturbed, known, "WAITING")) == 1)
    run = runs_in(undisturbed, known, state)[0]
    undisturbed.stop_run(run)
    held.set()
    undisturbed.wait_until_idle()
    assert run.status == "STOPPED"
    response = undisturbed.client("glue").get_job_run(JobName=run.job_name, RunId=run.job_run_id)["JobRun"]
    assert response["ErrorMessage"] == "Job run stopped"


def test_a_job_starts_behind_glues_old_boto3_and_without_a_region(probe: Callable[..., tuple[str, str]]) -> None:
    state, printed = probe(**{"--pipeline-bucket": "mine"})
    assert state == "SUCCEEDED", printed
    content = json.loads(printed.partition("PROBE ")[2])
    assert (content["boto3"], content["botocore"]) == ("1.21.21", "1.24.21")
    folders = list(content["path"])
    bundled, downloads, installation = (
        next(folder for folder in folders if folder.endswith(end) and marks in folder)
        for end, marks in (("site-packages", "/runs/"), ("-0a1b", "glue-python-libs"), ("installation", "/glue/lib/"))
    )
    assert folders.index(bundled) < folders.index(downloads) < folders.index(installation)
    assert {name.rpartition(".")[2] for name in content["path"][downloads]} == {"whl"}
    assert {"boto3", "jobs", "schemas"} <= set(content["path"][installation])
    assert not [name for name in content["environment"] if "REGION" in name]
    assert {"--job-language", "--enable-metrics", "--pipeline-bucket"} <= set(content["argv"])


@pytest.mark.parametrize("name", ["--job", "--job-l", "--Temp", "--enable-m"])
def test_an_argument_that_begins_an_option_of_glues_is_glues(
    probe: Callable[..., tuple[str, str]], undisturbed: LocalCloud, name: str
) -> None:
    state, printed = probe(**{name: "mine"})
    assert state == "FAILED"
    assert f"{name}" in printed
    assert "PROBE" not in printed


def test_what_a_run_prints_is_kept_in_glues_log_group(
    probe: Callable[..., tuple[str, str]], undisturbed: LocalCloud
) -> None:
    _, printed = probe()
    logs = undisturbed.client("logs")
    streams = logs.describe_log_streams(logGroupName=LOG_GROUPS[0])["logStreams"]
    run = undisturbed.runs()[-1]
    assert run.job_run_id in {stream["logStreamName"] for stream in streams}
    events = logs.get_log_events(logGroupName=LOG_GROUPS[0], logStreamName=run.job_run_id)["events"]
    assert [event["message"] for event in events] == printed.splitlines()


def test_a_wheel_under_another_name_than_its_own_is_no_wheel(undisturbed: LocalCloud) -> None:
    with pytest.raises(ValueError, match="wheel"):
        undisturbed.router.glue.processes.installation(
            undisturbed.client("s3"), f"s3://{undisturbed.outputs['work_bucket']}/code/1234.whl"
        )


def test_a_run_over_its_time_limit_is_killed_and_retried(
    undisturbed: LocalCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(glue_process, "MINUTE_SECONDS", 0.001)
    drop = put(undisturbed, transactions_key(6), transactions(GOOD.format(number=7, day=6)))
    undisturbed.wait_until_idle()
    assert runs_of(undisturbed, drop)[0].status == "TIMEOUT"
    assert mails_about(undisturbed, drop) == []
    monkeypatch.undo()
    undisturbed.router.tick(grace_seconds=0)
    undisturbed.wait_until_idle()
    assert phase_of(undisturbed, drop) is Phase.ARCHIVED
    (subject,) = mails_about(undisturbed, drop)
    assert subject.startswith("[dev] 6 Mar loaded")


def test_a_killed_run_has_failed_with_the_signals_exit_code(undisturbed: LocalCloud) -> None:
    drop = put(undisturbed, transactions_key(7), transactions(GOOD.format(number=8, day=7)))
    kill = undisturbed.router.glue.processes.kill
    wait_for(lambda: any(kill(run.job_run_id) for run in runs_of(undisturbed, drop)))
    undisturbed.wait_until_idle()
    killed = runs_of(undisturbed, drop)[0]
    assert killed.as_dict()["ErrorMessage"] == "Command failed with exit code 137"
    assert phase_of(undisturbed, drop) is Phase.FAILED
