"""Whether a failed drop is retried automatically: tries are counted from the last request, not from the first
attempt."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import boto3
import pytest

from cli.drops.progress import Progress
from cli.drops.status import DropStatus, Phase
from cli.loads.loads import Loads
from cli.pipelines.pipeline import Pipeline
from lambdas.start_run import handler as start_run
from schemas.drops import Drop
from schemas.messages import drop_message, replay_message
from schemas.reports import Error
from schemas.work_bucket import notified_stem, sent_key
from tests.lambdas.cloud import DROPS, SESSION, WORK, Cloud, Invocation, running_cloud
from tests.lambdas.reports import failed


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    with running_cloud() as running:
        yield running


def try_and_fail(cloud: Cloud, message: str) -> None:
    """Make one attempt that fails for a passing cause."""
    start_run.handle(cloud.batch(message), Invocation())
    [run] = cloud.live_runs()
    run.error_message = ""
    drop, attempt = cloud.drop_of(run)
    cloud.end_run(run, "FAILED", report=failed(drop, attempt=attempt, is_transient=True))


def fail_three_times(cloud: Cloud) -> Drop:
    drop = cloud.drop()
    for message in (drop_message(drop), *(replay_message(drop, after_attempt=attempt) for attempt in (1, 2))):
        try_and_fail(cloud, message)
    return drop


def of_a_stack(cloud: Cloud, drop: Drop) -> DropStatus:
    return Loads(Pipeline("the stack", {"drop_bucket": DROPS, "work_bucket": WORK}, SESSION)).of(drop).status


def of_a_demo(cloud: Cloud, drop: Drop) -> DropStatus:
    outputs = {"drop_bucket": DROPS, "work_bucket": WORK}
    local_cloud: Any = SimpleNamespace(runs=cloud.runs, outputs=outputs, client=boto3.client)
    return Progress(local_cloud).look([drop])[0]


@pytest.mark.parametrize("look", [of_a_stack, of_a_demo])
def test_third_failure_of_an_upload_is_settled(cloud: Cloud, look: Any) -> None:
    drop = fail_three_times(cloud)
    status = look(cloud, drop)
    assert (status.phase, status.attempt, status.is_settled) == (Phase.FAILED, 3, True)


@pytest.mark.parametrize("look", [of_a_stack, of_a_demo])
@pytest.mark.parametrize(("state", "is_settled"), [("STOPPED", True), ("FAILED", False), ("TIMEOUT", False)])
def test_a_run_that_a_person_stopped_is_not_retried(cloud: Cloud, look: Any, state: str, is_settled: bool) -> None:
    drop = cloud.drop()
    start_run.handle(cloud.batch(drop_message(drop)), Invocation())
    [run] = cloud.live_runs()
    run.error_message = ""
    cloud.end_run(run, state)
    status = look(cloud, drop)
    assert (status.phase, status.is_settled) == (Phase.FAILED, is_settled)


def test_a_drop_whose_failure_was_mailed_is_settled(cloud: Cloud) -> None:
    """The tries of a deleted drop are not counted: only the mail says that no attempt follows."""
    drop = cloud.drop()
    start_run.handle(cloud.batch(drop_message(drop)), Invocation())
    [run] = cloud.live_runs()
    gone = Error("the drop is gone", True, "DropGone", not_before=datetime.now(UTC).isoformat())
    cloud.end_run(run, "FAILED", report=failed(drop, error=gone))
    assert not of_a_stack(cloud, drop).is_settled
    boto3.client("s3").put_object(Bucket=WORK, Key=sent_key(notified_stem(drop.load_id, 1)), Body=b"{}")
    status = of_a_stack(cloud, drop)
    assert status.is_settled
    assert "retried" not in status.summary


@pytest.mark.parametrize("look", [of_a_stack, of_a_demo])
def test_first_failure_of_a_replay_is_retried_after_any_history(cloud: Cloud, look: Any) -> None:
    drop = fail_three_times(cloud)
    try_and_fail(cloud, replay_message(drop, request="again"))
    status = look(cloud, drop)
    assert (status.phase, status.attempt, status.is_settled) == (Phase.FAILED, 4, False)
    assert status.summary.endswith("(it is retried automatically)")
