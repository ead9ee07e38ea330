"""A plain DELETE of a file adds a delete marker. Its versions are then withdrawn and no longer loaded."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from lambdas.start_run import handler as start_run
from lambdas.sweep import handler as sweep
from lambdas.sweep.scanner import STARTING_SECONDS
from schemas.messages import drop_message, flow_in_message, replay_message
from tests.lambdas.cloud import DAY_KEY, DROPS, Cloud, Invocation, Killed, killed_at
from tests.lambdas.reports import failed, succeeded


def deliver(cloud: Cloud, *bodies: str) -> None:
    assert start_run.handle(cloud.batch(*bodies), Invocation()) == {"batchItemFailures": []}


def withdraw(cloud: Cloud) -> None:
    cloud.s3.delete_object(Bucket=DROPS, Key=DAY_KEY)


@pytest.fixture
def calls(cloud: Cloud) -> list[Any]:
    asked: list[Any] = []

    def caught(params: dict[str, Any], **_: Any) -> Any:
        asked.append(params["body"])
        return SimpleNamespace(status_code=202), {"StatusCode": 202}

    sweep.dependencies().functions.meta.events.register("before-call.lambda.Invoke", caught)
    return asked


def test_withdrawn_drop_is_skipped_and_the_log_says_so(cloud: Cloud, caplog: pytest.LogCaptureFixture) -> None:
    drop = cloud.drop()
    withdraw(cloud)
    deliver(cloud, drop_message(drop))
    assert (cloud.runs(), cloud.keys()) == ([], [])
    assert "the owner deleted the file" in caplog.text


def test_replay_of_a_withdrawn_drop_is_answered_by_mail(cloud: Cloud) -> None:
    drop = cloud.drop()
    withdraw(cloud)
    deliver(cloud, replay_message(drop))
    [(_, body)] = cloud.mails()
    assert "the owner deleted the file" in body
    assert cloud.runs() == []


def test_a_file_deleted_after_its_load_is_not_withdrawn(cloud: Cloud, calls: list[Any]) -> None:
    """It is about to be archived, and some of its rows still wait for their customers."""
    drop = cloud.drop()
    deliver(cloud, drop_message(drop))
    cloud.end_run(cloud.runs()[-1], "SUCCEEDED", report=succeeded(drop))
    withdraw(cloud)
    deliver(cloud, flow_in_message(drop, request="flow_in:0123456789abcdef:1"))
    [run] = cloud.live_runs()
    assert cloud.drop_of(run) == (drop, 2)
    cloud.end_run(run, "FAILED", report=failed(drop, attempt=2, is_transient=True))
    assert sweep.handle({"grace_seconds": 0}, Invocation())["retried"] == 1


def test_upload_after_a_deletion_is_loaded_and_the_one_before_is_not(cloud: Cloud) -> None:
    older = cloud.drop(body=b"older")
    cloud.age(DAY_KEY, timedelta(hours=1), bucket=DROPS)
    withdraw(cloud)
    newer = cloud.drop(body=b"newer")
    deliver(cloud, drop_message(older), drop_message(newer))
    assert [cloud.drop_of(run)[0] for run in cloud.runs()] == [newer]


def test_order_within_one_second_is_known(cloud: Cloud) -> None:
    older = cloud.drop(body=b"older")
    withdraw(cloud)
    newer, newest = (cloud.drop(body=body) for body in (b"newer", b"newest"))
    cloud.move_into_one_second(DAY_KEY)
    deliver(cloud, drop_message(older), drop_message(newer), drop_message(newest))
    assert [cloud.drop_of(run)[0] for run in cloud.runs()] == [newer, newest]


def test_order_of_many_versions_within_one_second_is_known(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "2")
    withdrawn = []
    for body in (b"1", b"2"):
        withdrawn += [cloud.drop(body=body), cloud.drop(body=body + b"again")]
        withdraw(cloud)
    newest = [cloud.drop(body=body) for body in (b"3", b"4", b"5")]
    cloud.move_into_one_second(DAY_KEY)
    deliver(cloud, *map(drop_message, [*withdrawn, *newest]))
    assert [cloud.drop_of(run)[0] for run in cloud.runs()] == newest


def test_sweep_revives_only_what_was_uploaded_after_the_deletion(cloud: Cloud, calls: list[Any]) -> None:
    cloud.drop(body=b"older")
    withdraw(cloud)
    newer = cloud.drop(body=b"newer")
    cloud.move_into_one_second(DAY_KEY)
    assert sweep.handle({"grace_seconds": 0}, Invocation())["lost"] == 1
    assert [message.body for message in cloud.sent_messages()] == [drop_message(newer)]
    assert calls == []


@pytest.mark.usefixtures("calls")
def test_sweep_does_not_revive_a_withdrawn_drop(cloud: Cloud) -> None:
    cloud.drop()
    withdraw(cloud)
    assert sweep.handle({"grace_seconds": 0}, Invocation())["lost"] == 0
    assert cloud.sent_messages() == []


@pytest.mark.usefixtures("calls")
def test_sweep_does_not_retry_a_withdrawn_drop(cloud: Cloud) -> None:
    drop = cloud.drop()
    deliver(cloud, drop_message(drop))
    cloud.end_run(cloud.runs()[0], "FAILED")
    withdraw(cloud)
    assert sweep.handle({"grace_seconds": 0}, Invocation())["retried"] == 0


def test_run_started_while_a_sweep_gave_its_drop_up_is_mailed(cloud: Cloud, calls: list[Any]) -> None:
    """The sweep finds a withdrawn drop with a dead starter's claim. Meanwhile another starter takes the claim over."""
    drop = cloud.drop()
    release = killed_at(start_run.dependencies().dispatcher.runner.starter, "StartJobRun")
    with pytest.raises(Killed):
        start_run.handle(cloud.batch(drop_message(drop)), Invocation())
    release()
    claim = f"claims/{drop.load_id}/1.json"
    cloud.outlive(claim)
    events = start_run.dependencies().dispatcher.leases.s3.meta.events
    swept = []

    def sweep_meanwhile(params: dict[str, Any], **_: Any) -> None:
        if params["url_path"].endswith(claim) and not swept:
            swept.append(claim)
            withdraw(cloud)
            sweep.handle({"grace_seconds": 0}, Invocation())

    events.register("before-call.s3.PutObject", sweep_meanwhile)
    deliver(cloud, drop_message(drop))
    events.unregister("before-call.s3.PutObject", sweep_meanwhile)
    assert swept
    [run] = cloud.runs()
    cloud.end_run(run, "FAILED", report=failed(drop))
    assert sweep.handle({"grace_seconds": 0}, Invocation())["unnotified"] == 1
    assert len(calls) == 1


@pytest.mark.usefixtures("calls")
def test_attempt_at_a_withdrawn_drop_is_closed_once_no_starter_lives(cloud: Cloud) -> None:
    drop = cloud.drop()
    release = killed_at(start_run.dependencies().dispatcher.runner.starter, "StartJobRun")
    with pytest.raises(Killed):
        start_run.handle(cloud.batch(drop_message(drop)), Invocation())
    release()
    withdraw(cloud)
    cloud.outlive(f"claims/{drop.load_id}/1.json")
    sweep.handle({"grace_seconds": 0}, Invocation())
    [note] = cloud.keys("open/")
    cloud.age(note, timedelta(seconds=STARTING_SECONDS))
    sweep.handle({"grace_seconds": 0}, Invocation())
    assert cloud.keys("open/") == []
