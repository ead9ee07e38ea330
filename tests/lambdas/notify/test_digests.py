"""While a backfill runs, its digest reports the outcomes of its drops."""

from __future__ import annotations

import json

import pytest

from schemas.backfills import QUIET_SECONDS, Backfill
from schemas.drops import Drop
from schemas.messages import run_request
from schemas.work_bucket import BACKFILL_KEY, notified_stem, sent_key
from tests.lambdas.cloud import DAY_KEY, TRANSACTIONS_JOB, WORK, Cloud
from tests.lambdas.notify.notifying import event_of, notify_about, run_of
from tests.lambdas.reports import failed, succeeded


def begin_backfill(cloud: Cloud, *keys: str) -> None:
    body = json.dumps(Backfill("5f0c0123456789ab", keys).to_payload()).encode()
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
