"""The warehouse's daily usage limit is reached. Loads wait until the time in the report, and lose no try."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lambdas.notify import handler as notify
from lambdas.start_run import handler as start_run
from lambdas.sweep import handler as sweep
from schemas.drops import Drop
from schemas.messages import drop_message, replay_message, run_request
from schemas.reports import Error, Report
from tests.lambdas.cloud import Cloud, Invocation, running_cloud
from tests.lambdas.reports import failed

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
LIMIT = "the warehouse's usage limit of the day is reached"


def at_the_limit(drop: Drop, attempt: int, *, waits: timedelta) -> Report:
    """The report of an attempt that reached the limit. The next day begins after `waits`."""
    not_before = (datetime.now(UTC) + waits).isoformat()
    return failed(drop, attempt=attempt, error=Error(LIMIT, True, "WarehouseSpent", not_before))


def deliver(cloud: Cloud, body: str) -> None:
    assert start_run.handle(cloud.batch(body), Invocation()) == {"batchItemFailures": []}


def sweep_once(cloud: Cloud) -> list[str]:
    """Run the sweep once. Returns the messages that it sends to the queue."""
    sweep.handle({"grace_seconds": 0}, Invocation())
    return [message.body for message in cloud.sent_messages()]


def attempts(cloud: Cloud) -> list[int]:
    return [cloud.drop_of(run)[1] for run in cloud.runs()]


def failing(cloud: Cloud, drop: Drop, *kinds: str) -> None:
    """Each attempt fails in turn: at the `limit`, whose day has ended, or for another passing cause."""
    for kind in kinds:
        deliver(cloud, drop_message(drop))
        attempt = attempts(cloud)[-1]
        is_limit = kind == "limit"
        report = (
            at_the_limit(drop, attempt, waits=-HOUR) if is_limit else failed(drop, attempt=attempt, is_transient=True)
        )
        cloud.end_run(cloud.runs()[-1], "FAILED", report=report)


@pytest.fixture(autouse=True)
def quiet_functions(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sweep's calls of the other functions go nowhere."""
    monkeypatch.setattr(sweep, "call", lambda *_: None)


def test_a_load_waits_for_the_instant_in_its_report(cloud: Cloud) -> None:
    drop = cloud.drop()
    deliver(cloud, drop_message(drop))
    cloud.end_run(cloud.runs()[-1], "FAILED", report=at_the_limit(drop, 1, waits=HOUR))
    assert sweep_once(cloud) == []
    deliver(cloud, drop_message(drop))
    deliver(cloud, replay_message(drop, after_attempt=1))
    assert attempts(cloud) == [1]
    cloud.put_report(at_the_limit(drop, 1, waits=-HOUR))
    [message] = sweep_once(cloud)
    assert message == replay_message(drop, after_attempt=1)
    deliver(cloud, message)
    assert attempts(cloud) == [1, 2]


def test_a_person_need_not_wait(cloud: Cloud) -> None:
    """The limit may have been raised."""
    drop = cloud.drop()
    deliver(cloud, drop_message(drop))
    cloud.end_run(cloud.runs()[-1], "FAILED", report=at_the_limit(drop, 1, waits=HOUR))
    deliver(cloud, replay_message(drop))
    assert attempts(cloud) == [1, 2]


def test_a_load_waits_night_after_night(cloud: Cloud) -> None:
    drop = cloud.drop()
    failing(cloud, drop, *["limit"] * 7)
    assert sweep_once(cloud) == [replay_message(drop, after_attempt=7)]


@settings(max_examples=10, deadline=None)
@given(kinds=st.lists(st.sampled_from(["limit", "passing"]), min_size=1, max_size=7))
@example(kinds=["passing", "passing", "limit", "passing"])
def test_only_other_failures_use_up_the_three_tries(kinds: list[str]) -> None:
    with running_cloud() as cloud:
        drop, expected, passing = cloud.drop(), 0, 0
        for kind in kinds:
            expected += 1
            passing += kind == "passing"
            if passing == 3:
                break
        failing(cloud, drop, *kinds[:expected])
        deliver(cloud, drop_message(drop))
        assert len(attempts(cloud)) == (expected if passing == 3 else expected + 1)


@pytest.mark.parametrize(("waited", "is_retried"), [(timedelta(hours=47), True), (timedelta(hours=49), False)])
def test_two_days_count_from_the_end_of_the_wait(cloud: Cloud, waited: timedelta, is_retried: bool) -> None:
    drop = cloud.drop()
    deliver(cloud, drop_message(drop))
    cloud.end_run(cloud.runs()[-1], "FAILED", report=at_the_limit(drop, 1, waits=-waited))
    cloud.age(f"claims/{drop.load_id}/1.json", waited + DAY)
    assert sweep_once(cloud) == ([replay_message(drop, after_attempt=1)] if is_retried else [])


def test_the_mail_about_a_load_that_waits_is_deferred(cloud: Cloud) -> None:
    drop = cloud.drop()
    failing(cloud, drop, "passing", "passing", "limit")
    run: Any = cloud.runs()[-1]
    event = run_request("process_transactions", run.job_run_id)
    notify.handle(event, Invocation())
    assert cloud.mails() == []
    assert cloud.read(f"notified/{drop.load_id}/3.deferred.json") == {"failure": LIMIT}
