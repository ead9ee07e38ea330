"""The functions know only the runner's interface, so another runner can replace Glue without a change to them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import boto3
import pytest

import lambdas
from lambdas.glue_runner import GlueRunner
from lambdas.run_events import ended_run
from lambdas.runs import Run, RunEvent, RunnerIsFull, StartRefused, StartUnconfirmed
from lambdas.start_run import handler as start_run
from lambdas.start_run.dispatcher import DispatchResult
from schemas.drops import Drop
from schemas.messages import read_message, replay_message
from schemas.runs import RunArguments
from tests.lambdas.cloud import DROPS, TRANSACTIONS_JOB, Cloud
from tests.lambdas.reports import failed


@dataclass
class ContainerRunner:
    """Runs are containers, as AWS Batch would start them. Its words for their states are translated."""

    region: str = "eu-west-1"
    refuses: Exception | None = None
    runs: list[Run] = field(default_factory=list)

    def start(self, job_name: str, arguments: RunArguments) -> str:
        if self.refuses is not None:
            raise self.refuses
        run_id = f"container-{len(self.runs)}"
        self.runs.append(Run(job_name, run_id, "RUNNING", "", 60, arguments.drop, arguments.attempt))
        return run_id

    def get(self, job_name: str, run_id: str) -> Run | None:
        return next((run for run in self.runs if (run.job_name, run.run_id) == (job_name, run_id)), None)

    def find(self, job_name: str, *, drop: Drop, attempt: int, since: datetime) -> Run | None:  # noqa: ARG002
        wanted = (job_name, drop, attempt)
        return next((run for run in self.runs if (run.job_name, run.drop, run.attempt) == wanted), None)

    def read_event(self, event: dict[str, Any]) -> RunEvent | None:
        if event["detail-type"] != "Batch Job State Change":
            return None
        states = {"SUCCEEDED": "SUCCEEDED", "FAILED": "FAILED"}
        detail = event["detail"]
        return RunEvent(detail["jobName"], detail["jobId"], states.get(detail["status"], "RUNNING"))


@pytest.fixture
def containers(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Iterator[ContainerRunner]:
    runner = ContainerRunner()
    monkeypatch.setattr(GlueRunner, "connect", classmethod(lambda _: runner))
    yield runner
    start_run.dependencies.cache_clear()


@pytest.fixture
def ask(containers: ContainerRunner) -> Callable[..., DispatchResult]:
    """Request a run for a drop from start_run's dispatcher."""

    def ask(drop: Drop, **replay: Any) -> DispatchResult:
        [request] = read_message(replay_message(drop, **replay), message_id="1")
        return start_run.dependencies().dispatcher.dispatch(request, lease_seconds=0.001)

    return ask


def test_another_runner_is_started_once_and_again_after_a_failure(
    cloud: Cloud, containers: ContainerRunner, ask: Callable[..., DispatchResult]
) -> None:
    drop = cloud.drop()
    assert ask(drop, request="first") is DispatchResult.STARTED
    assert ask(drop, request="first") is DispatchResult.NOTHING_TO_DO
    cloud.put_report(failed(drop, is_transient=True))
    assert ask(drop, after_attempt=1) is DispatchResult.STARTED
    assert [(run.drop, run.attempt) for run in containers.runs] == [(drop, 1), (drop, 2)]


@pytest.mark.parametrize(
    ("refusal", "later"),
    [(RunnerIsFull("full"), DispatchResult.STARTED), (StartUnconfirmed("no answer"), DispatchResult.WAITS)],
)
def test_only_a_refused_start_is_retried_not_one_in_doubt(
    refusal: Exception,
    later: DispatchResult,
    cloud: Cloud,
    containers: ContainerRunner,
    ask: Callable[..., DispatchResult],
) -> None:
    drop = cloud.drop()
    containers.refuses = refusal
    assert ask(drop, request="first") is DispatchResult.WAITS
    containers.refuses = None
    assert ask(drop, request="first") is later


def test_the_event_of_another_runner_is_read_by_that_runner(cloud: Cloud, containers: ContainerRunner) -> None:
    drop = cloud.drop()
    run_id = containers.start(TRANSACTIONS_JOB, RunArguments(drop, 1))
    event: dict[str, Any] = {
        "detail-type": "Batch Job State Change",
        "detail": {"jobName": TRANSACTIONS_JOB, "jobId": run_id},
    }
    for status, is_over in (("RUNNABLE", False), ("FAILED", True), ("SUCCEEDED", True)):
        event["detail"]["status"] = status
        run = ended_run(event, runner=containers, drop_bucket=DROPS)
        assert (run is not None) is is_over
        assert run is None or (run.drop, run.attempt, run.state) == (drop, 1, status)


def test_only_one_module_calls_glue() -> None:
    folder = Path(lambdas.__file__).parent
    calls = [path.name for path in folder.rglob("*.py") if '"glue"' in path.read_text(encoding="utf-8")]
    assert calls == ["glue_runner.py"]


def test_glue_that_does_not_know_the_job_has_started_nothing(cloud: Cloud) -> None:
    runner = GlueRunner(boto3.client("glue"), boto3.client("glue"))
    with pytest.raises(StartRefused, match="no run of another-job") as refused:
        runner.start("another-job", RunArguments(cloud.drop(), 1))
    assert not isinstance(refused.value, RunnerIsFull)
