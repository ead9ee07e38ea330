"""While a backfill runs, its digest reports the outcomes of its drops; a stopped one is mailed after a day."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lambdas.notify.digests import stopped_mail
from lambdas.sweep import handler as sweep_handler
from schemas.backfills import QUIET_SECONDS, Backfill
from schemas.drops import Drop
from schemas.messages import BACKFILL_STOPPED, run_request
from schemas.work_bucket import BACKFILL_KEY, digest_key, notified_stem, sent_key
from tests.lambdas.cloud import DAY_KEY, TRANSACTIONS_JOB, WORK, Cloud
from tests.lambdas.notify.notifying import event_of, notify_about, run_of
from tests.lambdas.reports import failed, succeeded
from tests.lambdas.sweep.sweeping import Calls, sweep

NAME = "5f0c0123456789ab"
MAIL = Path(__file__).parents[3] / "docs" / "mails" / "backfill_stopped.txt"


def begin_backfill(cloud: Cloud, *keys: str) -> None:
    body = json.dumps(Backfill(NAME, keys).to_payload()).encode()
    cloud.s3.put_object(Bucket=WORK, Key=BACKFILL_KEY, Body=body)


def ended(cloud: Cloud, drop: Drop, outcome: str) -> bool:
    """True when the end of the drop's run was mailed."""
    cloud.put_report(succeeded(drop) if outcome == "glue_succeeded" else failed(drop))
    return notify_about(event_of(outcome, run_of(cloud, drop)))


@pytest.mark.parametrize("outcome", ["glue_succeeded", "glue_failed"])
def test_an_outcome_of_a_backfill_gets_no_separate_mail(cloud: Cloud, outcome: str) -> None:
    drop = cloud.drop()
    begin_backfill(cloud, "transactions/year=2023/month=03/day=14/other.csv", DAY_KEY)
    assert ended(cloud, drop, outcome) is False
    assert sent_key(notified_stem(drop.load_id, 1)) in cloud.keys("notified/")
    cloud.s3.delete_object(Bucket=WORK, Key=BACKFILL_KEY)
    assert notify_about(run_request(TRANSACTIONS_JOB, cloud.runs()[0].job_run_id)) is False
    assert cloud.mails() == []


def test_other_drops_are_mailed_while_a_backfill_runs(cloud: Cloud) -> None:
    begin_backfill(cloud, "transactions/year=2023/month=03/day=14/other.csv")
    assert ended(cloud, cloud.drop(), "glue_succeeded") is True
    assert len(cloud.mails()) == 1


def test_an_abandoned_backfill_stops_no_mail(cloud: Cloud) -> None:
    begin_backfill(cloud, DAY_KEY)
    note = json.loads(cloud.s3.get_object(Bucket=WORK, Key=BACKFILL_KEY)["Body"].read())
    assert note["lease_seconds"] == QUIET_SECONDS
    cloud.outlive(BACKFILL_KEY)
    assert ended(cloud, cloud.drop(), "glue_succeeded") is True


@pytest.fixture
def calls(cloud: Cloud) -> Calls:
    """The events that the sweep sends to other functions."""
    caught = Calls()
    sweep_handler.dependencies().functions.meta.events.register("before-call.lambda.Invoke", caught)
    return caught


def stop_backfill(cloud: Cloud) -> None:
    """Leave the state of a backfill that was killed a day ago."""
    begin_backfill(cloud, DAY_KEY)
    cloud.age(BACKFILL_KEY, timedelta(seconds=QUIET_SECONDS))


def test_a_stopped_backfill_is_mailed_once(cloud: Cloud, calls: Calls) -> None:
    stop_backfill(cloud)
    sweep()
    assert calls.asked == [("shop-notify", BACKFILL_STOPPED)]
    calls.asked *= 2
    calls.run()
    [(subject, body)] = cloud.mails()
    assert "Backfill of 1 file was stopped" in subject
    assert NAME in body
    sweep()
    assert calls.asked == []


def test_a_backfill_that_is_stopped_twice_is_mailed_twice(cloud: Cloud, calls: Calls) -> None:
    for days in (1, 2):
        begin_backfill(cloud, DAY_KEY)
        cloud.age(BACKFILL_KEY, timedelta(days=days))
        sweep()
        calls.run()
    assert len(cloud.mails()) == 2


def test_a_backfill_that_may_run_is_left_alone(cloud: Cloud, calls: Calls) -> None:
    begin_backfill(cloud, DAY_KEY)
    cloud.age(BACKFILL_KEY, timedelta(seconds=QUIET_SECONDS - 3600))
    sweep()
    assert calls.asked == []
    assert notify_about(dict(BACKFILL_STOPPED)) is False
    assert (cloud.mails(), BACKFILL_KEY in cloud.keys("notified/")) == ([], True)


def test_a_backfill_killed_after_its_digest_is_not_mailed(cloud: Cloud, calls: Calls) -> None:
    stop_backfill(cloud)
    cloud.s3.put_object(Bucket=WORK, Key=digest_key(NAME), Body=b"{}")
    sweep()
    calls.run()
    assert (cloud.mails(), BACKFILL_KEY in cloud.keys("notified/")) == ([], False)


def test_the_mail_about_a_stopped_backfill_reads_as_reviewed() -> None:
    keys = [f"transactions/year=2023/month=01/day={day:02}/till_2023-01-{day:02}.csv" for day in range(1, 20)]
    backfill = Backfill(NAME, ["dimensions/dim_products.csv", *keys])
    mail = stopped_mail(backfill, datetime(2023, 3, 21, 3, 10, tzinfo=UTC), "prod")
    assert f"Subject: {mail.subject}\n\n{mail.body}" == MAIL.read_text(encoding="utf-8")
