"""start_run, as Lambda calls it, under moto."""

from __future__ import annotations

import base64
import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from moto.glue.models import glue_backends

from lambdas.start_run import handler
from lambdas.start_run.backoff import LONGEST_WAIT_SECONDS, backoff_seconds
from schemas.messages import drop_message, flow_in_message, replay_message, retract_message
from schemas.runs import FLOW_IN, LOAD, RETRACT, decode_run
from schemas.settings import SettingsMissing
from tests.lambdas.cloud import (
    ACCOUNT_ID,
    DAY_KEY,
    DIMENSIONS_JOB,
    DROPS,
    REGION,
    TRANSACTIONS_JOB,
    Cloud,
    Invocation,
    recorded,
)
from tests.lambdas.reports import failed, succeeded
from tests.lambdas.start_run.starting import deliver, glue_answers, refusal


def test_a_drop_starts_a_run_that_gets_the_version_to_load(cloud: Cloud) -> None:
    drop = cloud.drop()
    assert deliver(cloud, drop_message(drop)) == []
    [run] = cloud.runs()
    of_the_job = ("--pipeline-job", "--pipeline-work-bucket")
    assert {name: value for name, value in run.arguments.items() if name not in of_the_job} == {
        "--pipeline-bucket": DROPS,
        "--pipeline-key-base64": base64.urlsafe_b64encode(drop.key.encode()).decode(),
        "--pipeline-version-id": drop.version_id,
        "--pipeline-attempt": "1",
    }
    assert cloud.read(f"claims/{drop.load_id}/1.json") == {
        "load_id": drop.load_id,
        "attempt": 1,
        "bucket": DROPS,
        "key": DAY_KEY,
        "version_id": drop.version_id,
        "job_name": TRANSACTIONS_JOB,
        "operation": "load",
        "requested_by": None,
        "tries": 1,
        "run_id": run.job_run_id,
    }


def test_a_dimension_goes_to_its_own_job(cloud: Cloud) -> None:
    deliver(cloud, drop_message(cloud.drop("dimensions/dim_products.csv")))
    assert (len(cloud.runs(DIMENSIONS_JOB)), len(cloud.runs(TRANSACTIONS_JOB))) == (1, 0)


def test_keys_with_any_letters_reach_the_job_as_they_are(cloud: Cloud) -> None:
    key = "transactions/year=2023/month=03/day=15/café + % 'quoted' 2023.csv"
    drop = cloud.drop(key)
    event = recorded("s3_encoded_key")
    event["Records"][0]["s3"]["object"]["versionId"] = drop.version_id
    assert deliver(cloud, event) == []
    assert [cloud.drop_of(run) for run in cloud.runs()] == [(drop, 1)]


def test_every_record_of_an_event_starts_its_run(cloud: Cloud) -> None:
    event = recorded("s3_several_records")
    drops = [cloud.drop(), cloud.drop(DAY_KEY.replace("15", "16")), cloud.drop("dimensions/dim_products.csv")]
    for record, drop in zip(event["Records"], drops, strict=True):
        record["s3"]["object"]["versionId"] = drop.version_id
    assert deliver(cloud, event) == []
    assert [cloud.drop_of(run)[0] for run in cloud.runs() + cloud.runs(DIMENSIONS_JOB)] == drops


def test_one_bad_message_does_not_hold_up_the_others_of_its_batch(cloud: Cloud) -> None:
    first, second = cloud.drop(), cloud.drop(DAY_KEY.replace("15", "16"))
    assert deliver(cloud, drop_message(first), "what is this", drop_message(second)) == ["message-2"]
    assert [cloud.drop_of(run)[0] for run in cloud.runs()] == [first, second]


def test_a_bad_record_does_not_hold_up_the_others_of_its_message(cloud: Cloud) -> None:
    event = recorded("s3_several_records")
    event["Records"][0]["s3"]["bucket"]["name"] = "some-other-bucket"
    drops = [cloud.drop(DAY_KEY.replace("15", "16")), cloud.drop("dimensions/dim_products.csv")]
    for record, drop in zip(event["Records"][1:], drops, strict=True):
        record["s3"]["object"]["versionId"] = drop.version_id
    assert deliver(cloud, event) == ["message-1"]
    assert [cloud.drop_of(run)[0] for run in cloud.runs() + cloud.runs(DIMENSIONS_JOB)] == drops


def test_when_every_message_fails_each_is_named(cloud: Cloud) -> None:
    assert deliver(cloud, "?", "{}") == ["message-1", "message-2"]


def test_the_test_event_of_s3_is_acknowledged(cloud: Cloud) -> None:
    assert deliver(cloud, recorded("s3_test_event")) == []
    assert cloud.keys() == []


@pytest.mark.parametrize("name", ["s3_folder_marker", "s3_success_file", "s3_tmp_file"])
def test_folder_markers_and_leftovers_start_nothing_and_say_nothing(cloud: Cloud, name: str) -> None:
    assert deliver(cloud, recorded(name)) == []
    assert (cloud.keys(), cloud.runs(), cloud.mails()) == ([], [], [])


def test_an_empty_file_is_started_so_that_the_job_reports_it(cloud: Cloud) -> None:
    drop = cloud.drop(body=b"")
    event = recorded("s3_empty_file")
    event["Records"][0]["s3"]["object"]["versionId"] = drop.version_id
    deliver(cloud, event)
    assert [cloud.drop_of(run)[0] for run in cloud.runs()] == [drop]


def test_a_key_outside_the_layout_is_mailed_once_and_acknowledged(cloud: Cloud) -> None:
    event = recorded("s3_outside_layout")
    assert deliver(cloud, event) == []
    assert deliver(cloud, event, event) == []
    [(subject, body)] = cloud.mails()
    assert subject == "[dev] Not loaded: a file outside the layout"
    assert "s3://shop-drops/transactions/2023-03-15.csv" in body
    assert "transactions/year=YYYY/month=MM/day=DD/NAME.csv" in body
    assert cloud.runs() == []


def test_a_hostile_key_stays_on_one_line_of_the_mail(cloud: Cloud) -> None:
    event = recorded("s3_outside_layout")
    event["Records"][0]["s3"]["object"]["key"] = "evil%0A%0AEverything+is+fine%E2%80%AEgpj.csv"
    assert deliver(cloud, event) == []
    [(_, body)] = cloud.mails()
    assert "  file     s3://shop-drops/evil\\u000a\\u000aEverything is fine\\u202egpj.csv\n" in body
    assert "\nEverything" not in body


def test_a_drop_in_another_bucket_is_refused_by_name(cloud: Cloud, caplog: pytest.LogCaptureFixture) -> None:
    event = recorded("s3_put")
    event["Records"][0]["s3"]["bucket"]["name"] = "shop-archive"  # an archive must not start loads
    assert deliver(cloud, event) == ["message-1"]
    assert cloud.runs() == []
    assert "is in the bucket 'shop-archive'" in caplog.text
    assert "remove the other bucket's notification" in caplog.text


def test_an_event_without_version_pins_the_version_that_is_current(cloud: Cloud) -> None:
    cloud.drop()
    newer = cloud.drop()
    deliver(cloud, recorded("s3_no_version"))
    assert [cloud.drop_of(run)[0] for run in cloud.runs()] == [newer]


def test_an_overwritten_version_is_still_the_one_that_is_loaded(cloud: Cloud) -> None:
    older = cloud.drop()
    cloud.drop(body=b"something else")
    deliver(cloud, drop_message(older))
    assert [cloud.drop_of(run)[0] for run in cloud.runs()] == [older]


@pytest.mark.parametrize("with_version", [True, False])
def test_a_drop_that_is_gone_is_skipped(cloud: Cloud, with_version: bool) -> None:
    drop = cloud.drop()
    cloud.s3.delete_object(Bucket=DROPS, Key=drop.key, **({"VersionId": drop.version_id} if with_version else {}))
    assert deliver(cloud, drop_message(drop) if with_version else recorded("s3_no_version")) == []
    assert (cloud.runs(), cloud.keys()) == ([], [])


def test_a_bucket_that_keeps_no_versions_is_refused(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DROP_BUCKET", "plain-bucket")
    cloud.s3.create_bucket(Bucket="plain-bucket", CreateBucketConfiguration={"LocationConstraint": REGION})
    cloud.s3.put_object(Bucket="plain-bucket", Key=DAY_KEY, Body=b"x")
    event = recorded("s3_no_version")
    event["Records"][0]["s3"]["bucket"]["name"] = "plain-bucket"
    assert deliver(cloud, event) == ["message-1"]
    assert cloud.runs() == []


def test_two_versions_of_one_key_are_two_loads_in_any_order(cloud: Cloud) -> None:
    older, newer = cloud.drop(body=b"1"), cloud.drop(body=b"2")
    deliver(cloud, drop_message(newer))
    deliver(cloud, drop_message(older), drop_message(newer))
    assert [cloud.drop_of(run) for run in cloud.runs()] == [(newer, 1), (older, 1)]


@pytest.mark.parametrize("state", ["STARTING", "RUNNING", "WAITING", "STOPPING"])
def test_a_redelivery_while_the_run_lives_starts_nothing(cloud: Cloud, state: str) -> None:
    drop = cloud.drop()
    deliver(cloud, drop_message(drop), drop_message(drop))
    cloud.runs()[0].status = state
    assert deliver(cloud, drop_message(drop)) == []
    assert (len(cloud.runs()), cloud.sent_messages()) == (1, [])


@pytest.mark.parametrize("state", ["SUCCEEDED", "FAILED", "TIMEOUT", "STOPPED"])
def test_a_redelivery_after_the_run_starts_nothing(cloud: Cloud, state: str) -> None:
    drop = cloud.drop()
    deliver(cloud, drop_message(drop))
    report = succeeded(drop) if state == "SUCCEEDED" else None
    cloud.end_run(cloud.runs()[0], state, report=report)
    assert deliver(cloud, drop_message(drop)) == []
    assert len(cloud.runs()) == 1


def test_an_event_does_not_retry_a_load_that_a_person_must_fix(cloud: Cloud) -> None:
    drop = cloud.drop()
    deliver(cloud, drop_message(drop))
    cloud.end_run(cloud.runs()[0], "FAILED", report=failed(drop))
    deliver(cloud, drop_message(drop))
    assert len(cloud.runs()) == 1


def test_a_transient_failure_is_tried_again_three_times_in_all(cloud: Cloud) -> None:
    drop = cloud.drop()
    for attempt in range(1, 6):
        deliver(cloud, drop_message(drop))
        run = cloud.runs()[-1]
        cloud.end_run(run, "FAILED", report=failed(drop, attempt=cloud.drop_of(run)[1], is_transient=True))
        assert len(cloud.runs()) == min(attempt, 3)
    assert [cloud.drop_of(run)[1] for run in cloud.runs()] == [1, 2, 3]


@pytest.mark.parametrize("report", [failed, succeeded])
def test_a_replay_makes_the_next_attempt_and_its_redelivery_none(cloud: Cloud, report: Any) -> None:
    drop = cloud.drop()
    deliver(cloud, drop_message(drop))
    cloud.end_run(cloud.runs()[0], "FAILED", report=report(drop))
    wish = cloud.batch(replay_message(drop))
    for _ in range(3):  # at-least-once delivery: the same message again, also after its run has ended
        handler.handle(wish, Invocation())
        cloud.end_run(cloud.runs()[-1], "FAILED", report=report(drop, attempt=2))
    assert [cloud.drop_of(run)[1] for run in cloud.runs()] == [1, 2]
    deliver(cloud, replay_message(drop))  # another request
    assert [cloud.drop_of(run)[1] for run in cloud.runs()] == [1, 2, 3]


def test_a_retry_is_made_once_however_often_it_is_asked_for(cloud: Cloud) -> None:
    drop = cloud.drop()
    deliver(cloud, drop_message(drop))
    cloud.end_run(cloud.runs()[0], "FAILED")
    for _ in range(3):
        deliver(cloud, replay_message(drop, after_attempt=1), replay_message(drop, after_attempt=1))
        cloud.end_run(cloud.runs()[-1], "FAILED", report=failed(drop, attempt=2))
    assert [cloud.drop_of(run)[1] for run in cloud.runs()] == [1, 2]


@pytest.mark.parametrize("report", [failed, succeeded])
def test_a_retry_that_is_not_worth_it_starts_nothing(cloud: Cloud, report: Any) -> None:
    """The sweep may have requested it before the report was written."""
    drop = cloud.drop()
    deliver(cloud, drop_message(drop))
    cloud.end_run(cloud.runs()[0], "FAILED", report=report(drop))
    assert deliver(cloud, replay_message(drop, after_attempt=1)) == []
    assert len(cloud.runs()) == 1


def test_a_replay_of_a_drop_never_started_is_its_first_attempt(cloud: Cloud) -> None:
    drop = cloud.drop()
    deliver(cloud, replay_message(drop), drop_message(drop))
    assert [cloud.drop_of(run) for run in cloud.runs()] == [(drop, 1)]


def test_a_full_glue_sends_the_drop_back_to_wait_and_fails_nothing(cloud: Cloud) -> None:
    drops = [cloud.drop(DAY_KEY.replace("_2023-03-15", str(number))) for number in range(5)]
    assert deliver(cloud, *map(drop_message, drops)) == []
    assert len(cloud.runs()) == 3, "moto enforces MaxConcurrentRuns"
    waiting = cloud.sent_messages()
    assert [message.waits for message in waiting] == [1, 1]
    assert all(1 <= message.backoff_seconds <= 5 for message in waiting)
    for run in cloud.runs():
        cloud.end_run(run, "SUCCEEDED", report=succeeded(cloud.drop_of(run)[0]))
    assert deliver(cloud, *[message.body for message in waiting], waits=1) == []
    assert sorted(cloud.drop_of(run)[0].key for run in cloud.runs()) == sorted(drop.key for drop in drops)
    assert {cloud.drop_of(run)[1] for run in cloud.runs()} == {1}, "waiting does not count as an attempt"


@pytest.mark.parametrize(
    "code", ["ThrottlingException", "ResourceNumberLimitExceededException", "RequestLimitExceeded"]
)
def test_every_kind_of_throttling_waits(cloud: Cloud, monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    glue_answers(monkeypatch, refusal(code))
    drop = cloud.drop()
    assert deliver(cloud, drop_message(drop), waits=4) == []
    [waiting] = cloud.sent_messages()
    assert (waiting.waits, 40 <= waiting.backoff_seconds <= 80) == (5, True)


def test_a_replay_that_must_wait_is_the_same_wish_when_it_comes_again(cloud: Cloud) -> None:
    drop = cloud.drop()
    deliver(cloud, drop_message(drop))
    cloud.end_run(cloud.runs()[0], "FAILED", report=failed(drop))
    others = [cloud.drop(DAY_KEY.replace("_2023-03-15", str(number))) for number in range(3)]
    deliver(cloud, *map(drop_message, others))
    wish = cloud.batch(replay_message(drop))
    handler.handle(wish, Invocation())
    [waiting] = cloud.sent_messages()
    for run in cloud.live_runs():
        cloud.end_run(run, "SUCCEEDED")
    deliver(cloud, waiting.body)
    cloud.end_run(cloud.runs()[-1], "FAILED", report=failed(drop, attempt=2))
    handler.handle(wish, Invocation())  # the first message, redelivered
    deliver(cloud, waiting.body)
    assert [cloud.drop_of(run)[1] for run in cloud.runs() if cloud.drop_of(run)[0] == drop] == [1, 2]


@pytest.mark.parametrize(
    ("message", "operation"), [(flow_in_message, FLOW_IN), (retract_message, RETRACT), (replay_message, LOAD)]
)
def test_a_replay_waits_for_a_live_run(cloud: Cloud, message: Callable[..., str], operation: str) -> None:
    """A live load does not meet the request: it may die, and another request may then come before its retry."""
    drop = cloud.drop()
    deliver(cloud, drop_message(drop))
    cloud.end_run(cloud.runs()[0], "SUCCEEDED", report=succeeded(drop))
    deliver(cloud, message(drop, request="first"), replay_message(drop, request="second"))
    [waiting] = cloud.sent_messages()
    assert len(cloud.runs()) == 2
    cloud.end_run(cloud.runs()[1], "SUCCEEDED", report=succeeded(drop, attempt=2))
    assert deliver(cloud, waiting.body, waits=1) == []
    started = [decode_run(run.arguments) for run in cloud.runs()]
    assert [run and run.operation for run in started] == [LOAD, operation, LOAD]


def test_a_missing_job_fails_the_message_and_frees_the_claim(cloud: Cloud) -> None:
    cloud.glue.delete_job(JobName=TRANSACTIONS_JOB)
    drop = cloud.drop()
    assert deliver(cloud, drop_message(drop)) == ["message-1"]
    cloud.glue.create_job(Name=TRANSACTIONS_JOB, Role="job", Command={"Name": "pythonshell"})
    assert deliver(cloud, drop_message(drop)) == []
    assert [cloud.drop_of(run) for run in cloud.runs()] == [(drop, 1)]


def test_events_repeated_by_a_new_queue_start_nothing(cloud: Cloud) -> None:
    drops = [cloud.drop(DAY_KEY.replace("_2023-03-15", str(number))) for number in range(3)]
    deliver(cloud, *map(drop_message, drops))
    for run in cloud.runs():
        cloud.end_run(run, "SUCCEEDED", report=succeeded(cloud.drop_of(run)[0]))
    handler.dependencies.cache_clear()
    assert deliver(cloud, *map(drop_message, drops)) == []
    assert len(cloud.runs()) == 3


@pytest.mark.usefixtures("cloud")
def test_a_missing_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("QUEUE_URL")
    monkeypatch.setenv("TOPIC_ARN", "")
    with pytest.raises(SettingsMissing, match="lacks QUEUE_URL, TOPIC_ARN"):
        handler.dependencies()


@given(st.integers(0, 10**6), st.integers(0, 2**32))
def test_a_wait_is_never_nothing_and_never_longer_than_sqs_can_wait(waits: int, seed: int) -> None:
    assert 1 <= backoff_seconds(waits, random.Random(seed)) <= LONGEST_WAIT_SECONDS <= 900


def test_a_backfill_drains_through_a_full_glue_without_failures(cloud: Cloud) -> None:
    """Each message is delivered once, so none can end in the dead-letter queue."""
    glue_backends[ACCOUNT_ID][REGION].jobs[TRANSACTIONS_JOB].execution_property = {"MaxConcurrentRuns": 10}
    drops = [cloud.drop(DAY_KEY.replace("_2023-03-15", f"_{number}")) for number in range(40)]
    bodies, chance = [drop_message(drop) for drop in drops], random.Random(7)
    rounds = 0
    while bodies:
        rounds += 1
        bodies += chance.sample(bodies, len(bodies) // 10)  # delivered twice
        chance.shuffle(bodies)
        for first in range(0, len(bodies), 10):
            assert deliver(cloud, *bodies[first : first + 10]) == []
        bodies = [message.body for message in cloud.sent_messages()]
        for run in cloud.live_runs():
            run.status = "SUCCEEDED"
    assert sorted(cloud.drop_of(run)[0].key for run in cloud.runs()) == sorted(drop.key for drop in drops)
    assert rounds == 4
