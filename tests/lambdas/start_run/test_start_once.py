"""A run is started once, whichever process dies and whatever Glue and S3 respond."""

from __future__ import annotations

from copy import copy
from datetime import datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ReadTimeoutError

from lambdas.start_run import handler
from schemas.drops import Drop
from schemas.messages import drop_message
from tests.lambdas.cloud import (
    Cloud,
    Killed,
    killed_at,
)
from tests.lambdas.reports import failed
from tests.lambdas.start_run.starting import deliver, glue_answers, refusal


def test_a_start_is_sent_once_whatever_the_answer(cloud: Cloud) -> None:
    """By default botocore repeats StartJobRun after a lost response, which would start a second run."""
    sent: list[str] = []
    client = handler.dependencies().dispatcher.runner.starter

    def lose_the_answer(request: Any, **_: Any) -> None:
        sent.append(request.url)
        raise ReadTimeoutError(endpoint_url=request.url)

    client.meta.events.register("before-send.glue.StartJobRun", lose_the_answer)
    assert deliver(cloud, drop_message(cloud.drop())) == []
    assert len(sent) == 1
    assert [message.waits for message in cloud.sent_messages()] == [1]


@pytest.mark.parametrize("started", [False, True])
def test_a_run_starts_once_after_a_worker_died_at_the_start(cloud: Cloud, started: bool) -> None:
    drop = cloud.drop()
    release = killed_at(handler.dependencies().dispatcher.runner.starter, "StartJobRun", after=started)
    with pytest.raises(Killed):
        deliver(cloud, drop_message(drop))
    release()
    assert len(cloud.runs()) == started
    assert deliver(cloud, drop_message(drop)) == []
    assert [message.waits for message in cloud.sent_messages()] == [1], "its holder may be alive, so the drop waits"
    assert len(cloud.runs()) == started
    cloud.outlive(f"claims/{drop.load_id}/1.json")
    assert deliver(cloud, drop_message(drop)) == []
    assert [cloud.drop_of(run) for run in cloud.runs()] == [(drop, 1)]
    assert cloud.read(f"claims/{drop.load_id}/1.json")["run_id"] == cloud.runs()[0].job_run_id
    assert deliver(cloud, drop_message(drop)) == []
    assert len(cloud.runs()) == 1


@pytest.fixture
def pages(cloud: Cloud) -> list[str]:
    """The requested pages of Glue's runs. Glue had a thousand runs a day ago, and lists the newest first."""
    deliver(cloud, drop_message(cloud.drop(body=b"long ago")))
    [run] = cloud.runs()
    cloud.end_run(run, "SUCCEEDED")
    cloud.job_runs().clear()
    fill(cloud, run, 1000, run.started_on - timedelta(days=1))
    asked: list[str] = []
    glue = handler.dependencies().dispatcher.runner.glue
    glue.meta.events.register("before-call.glue.GetJobRuns", lambda model, **_: asked.append(model.name))
    return asked


def fill(cloud: Cloud, run: Any, number: int, started_on: datetime) -> None:
    """Add this number of copies of a run to Glue's list, with this start time."""
    for _ in range(number):
        cloud.job_runs().append(copy(run))
        cloud.job_runs()[-1].job_run_id = f"jr_{len(cloud.runs())}"
        cloud.job_runs()[-1].started_on = started_on


def die_at_the_start(cloud: Cloud, drop: Drop, *, after: bool) -> None:
    release = killed_at(handler.dependencies().dispatcher.runner.starter, "StartJobRun", after=after)
    with pytest.raises(Killed):
        deliver(cloud, drop_message(drop))
    release()
    cloud.outlive(f"claims/{drop.load_id}/1.json")


def test_the_search_for_a_run_ends_at_the_age_of_its_claim(cloud: Cloud, pages: list[str]) -> None:
    drop = cloud.drop()
    die_at_the_start(cloud, drop, after=False)
    deliver(cloud, drop_message(drop))
    assert (len(pages), [cloud.drop_of(run)[0] for run in cloud.live_runs()]) == (1, [drop])


def test_a_run_is_found_though_the_clock_of_glue_is_behind(cloud: Cloud, pages: list[str]) -> None:
    drop = cloud.drop()
    die_at_the_start(cloud, drop, after=True)
    [run] = cloud.live_runs()
    older = [other for other in cloud.runs() if other is not run]
    cloud.job_runs().clear()
    fill(cloud, older[0], 200, run.started_on - timedelta(minutes=5))
    run.started_on -= timedelta(minutes=9)
    cloud.job_runs().extend([run, *older])
    deliver(cloud, drop_message(drop))
    assert (len(pages), cloud.live_runs()) == (2, [run])
    assert cloud.read(f"claims/{drop.load_id}/1.json")["run_id"] == run.job_run_id


def test_an_answer_lost_on_the_way_does_not_start_a_second_run(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        glue_answers(patched, refusal("InternalServiceException", 500), but_starts=True)
        drop = cloud.drop()
        assert deliver(cloud, drop_message(drop)) == []
    [waiting] = cloud.sent_messages()
    cloud.outlive(f"claims/{drop.load_id}/1.json")
    deliver(cloud, waiting.body)
    assert [cloud.drop_of(run) for run in cloud.runs()] == [(drop, 1)]


def test_the_claim_names_how_long_its_holder_can_live(cloud: Cloud) -> None:
    drop = cloud.drop()
    release = killed_at(handler.dependencies().dispatcher.runner.starter, "StartJobRun")
    with pytest.raises(Killed):
        deliver(cloud, drop_message(drop), seconds=60)
    release()
    assert cloud.read(f"claims/{drop.load_id}/1.json")["lease_seconds"] == 60 + 5 + 60


def test_two_workers_cannot_hold_one_claim(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second worker arrives while the first has its claim but has not started its run yet."""
    drop = cloud.drop()
    client = handler.dependencies().dispatcher.runner.starter
    start = client.start_job_run

    def start_while_another_tries(**request: Any) -> Any:
        monkeypatch.setattr(client, "start_job_run", start)
        assert deliver(cloud, drop_message(drop)) == []
        assert cloud.runs() == []
        return start(**request)

    monkeypatch.setattr(client, "start_job_run", start_while_another_tries)
    deliver(cloud, drop_message(drop))
    assert len(cloud.runs()) == 1


@pytest.mark.parametrize(
    "claim_before", ["no claim", "a claim given back", "a dead worker's claim", "an attempt to follow"]
)
def test_only_one_of_two_that_find_the_same_starts_a_run(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, claim_before: str
) -> None:
    """The first pauses before its write while the second does all of its work."""
    drop = cloud.drop()
    dispatcher = handler.dependencies().dispatcher
    if claim_before == "a claim given back":
        with monkeypatch.context() as patched:
            glue_answers(patched, refusal("ConcurrentRunsExceededException"))
            deliver(cloud, drop_message(drop))
    elif claim_before == "a dead worker's claim":
        release = killed_at(dispatcher.runner.starter, "StartJobRun")
        with pytest.raises(Killed):
            deliver(cloud, drop_message(drop))
        release()
        cloud.outlive(f"claims/{drop.load_id}/1.json")
    elif claim_before == "an attempt to follow":
        deliver(cloud, drop_message(drop))
        cloud.end_run(cloud.runs()[0], "FAILED", report=failed(drop, is_transient=True))
    put = dispatcher.s3.put_object
    second: list[int] = []

    def put_after_another(**request: Any) -> Any:
        if not second:
            second.append(1)
            deliver(cloud, drop_message(drop))
            assert len(cloud.live_runs()) == 1
        return put(**request)

    monkeypatch.setattr(dispatcher.s3, "put_object", put_after_another)
    cloud.sent_messages()
    assert deliver(cloud, drop_message(drop)) == []
    assert len(cloud.live_runs()) == 1
    assert [message.waits for message in cloud.sent_messages()] == [1], "the first message comes again"


def test_a_claim_whose_write_response_was_late_is_still_ours(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """botocore repeats a write whose response was lost. S3 refuses the second because the first succeeded."""
    leases = handler.dependencies().dispatcher.leases
    put = leases.s3.put_object

    def put_twice(**request: Any) -> Any:
        put(**request)
        return put(**request)

    monkeypatch.setattr(leases.s3, "put_object", put_twice)
    drop = cloud.drop()
    deliver(cloud, drop_message(drop))
    assert cloud.read(f"claims/{drop.load_id}/1.json")["run_id"] == cloud.runs()[0].job_run_id
