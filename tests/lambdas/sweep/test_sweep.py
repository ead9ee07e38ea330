"""sweep, as its schedule calls it, under moto. It calls the real functions."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from lambdas.archive import handler as archive
from lambdas.notify import handler as notify
from lambdas.start_run import handler as start_run
from lambdas.sweep import handler
from schemas.drops import Drop
from schemas.messages import drop_message, replay_message, run_request
from schemas.retries import RETRIED_WITHIN
from schemas.work_bucket import open_key
from tests.lambdas.cloud import DAY_KEY, DROPS, Cloud, Invocation, Killed, killed_at, recorded
from tests.lambdas.reports import failed, succeeded
from tests.lambdas.sweep.sweeping import Calls, deliver_what_was_sent, etag, started, sweep

NOTHING = {"lost": 0, "retried": 0, "unarchived": 0, "unnotified": 0}


pytestmark = pytest.mark.usefixtures("calls")


@pytest.fixture
def calls(cloud: Cloud) -> Calls:
    caught = Calls()
    handler.dependencies().functions.meta.events.register("before-call.lambda.Invoke", caught)
    return caught


def test_there_is_nothing_to_do_in_an_empty_house() -> None:
    assert sweep(grace_seconds=None) == NOTHING


def test_a_drop_whose_event_was_lost_is_started(cloud: Cloud) -> None:
    older, newer = cloud.drop(body=b"1"), cloud.drop(body=b"2")
    cloud.drop("transactions/2023-03-15.csv")  # outside the layout: no job would take it
    cloud.drop(DAY_KEY.rsplit("/", 1)[0] + "/")
    assert sweep() == {**NOTHING, "lost": 2}
    deliver_what_was_sent(cloud)
    assert {cloud.drop_of(run) for run in cloud.runs()} == {(older, 1), (newer, 1)}
    assert (sweep(), sweep()) == (NOTHING, NOTHING), "their runs are still running"


def test_a_drop_of_a_moment_ago_is_left_to_its_event(cloud: Cloud) -> None:
    cloud.drop()
    assert sweep(grace_seconds=None) == NOTHING
    assert sweep(grace_seconds=3600) == NOTHING


def test_a_deleted_drop_is_not_lost(cloud: Cloud) -> None:
    drop = cloud.drop()
    cloud.s3.delete_object(Bucket=DROPS, Key=DAY_KEY)
    cloud.s3.delete_object(Bucket=DROPS, Key=DAY_KEY, VersionId=drop.version_id)
    assert sweep() == NOTHING


def test_drops_that_wait_in_the_queue_are_not_sent_again(cloud: Cloud) -> None:
    drops = [cloud.drop(DAY_KEY.replace("_2023-03-15", str(number))) for number in range(5)]
    start_run.handle(cloud.batch(*map(drop_message, drops)), Invocation())  # three start, and two wait with a delay
    assert sweep() == NOTHING
    assert len(cloud.sent_messages()) == 2
    assert sweep() == {**NOTHING, "lost": 2}, "the sweep finds them once the queue has lost them"


def test_a_claim_whose_holder_died_is_taken_up(cloud: Cloud) -> None:
    drop = cloud.drop()
    release = killed_at(start_run.dependencies().dispatcher.runner.starter, "StartJobRun")
    with pytest.raises(Killed):
        started(cloud, drop)
    release()
    assert sweep() == NOTHING, "its holder may still be alive"
    cloud.outlive(f"claims/{drop.load_id}/1.json")
    assert sweep() == {**NOTHING, "lost": 1}
    deliver_what_was_sent(cloud)
    assert [cloud.drop_of(run) for run in cloud.runs()] == [(drop, 1)]


def test_lost_glue_events_delay_mail_and_archive_but_lose_neither(cloud: Cloud, calls: Calls) -> None:
    drop = cloud.drop()
    run = started(cloud, drop)
    run_id = cloud.end_run(run, "SUCCEEDED", report=succeeded(drop, etag=etag(cloud, drop)))
    assert sweep() == {**NOTHING, "unarchived": 1, "unnotified": 1}
    request = run_request("process_transactions", run_id)
    assert sorted(calls.asked, key=lambda call: call[0]) == [("shop-archive", request), ("shop-notify", request)]
    calls.run()
    assert (cloud.versions(DROPS), len(cloud.mails()), len(cloud.versions("shop-archive"))) == ([], 1, 1)
    assert sweep() == NOTHING


def test_a_load_of_a_moment_ago_is_left_to_its_own_archiving(cloud: Cloud) -> None:
    drop = cloud.drop()
    just_now = "2999-01-01T00:00:00Z"
    cloud.end_run(started(cloud, drop), "SUCCEEDED", report=succeeded(drop, finished_at=just_now))
    assert sweep()["unarchived"] == 0


@pytest.mark.parametrize("state", ["FAILED", "TIMEOUT", "ERROR"])
def test_a_run_that_died_is_retried_twice_then_left_to_a_person(cloud: Cloud, calls: Calls, state: str) -> None:
    drop = cloud.drop()
    cloud.end_run(started(cloud, drop), state)
    for attempt in (1, 2):
        assert sweep() == {**NOTHING, "retried": 1, "unnotified": 1}
        calls.run()
        assert sweep() == {**NOTHING, "retried": 1}, "a repeated request is harmless"
        deliver_what_was_sent(cloud)
        assert [cloud.drop_of(run)[1] for run in cloud.live_runs()] == [attempt + 1]
        cloud.end_run(cloud.runs()[-1], state)
    assert sweep() == {**NOTHING, "unnotified": 1}
    calls.run()
    assert sweep() == NOTHING
    [(subject, body)] = cloud.mails()
    assert "NOT loaded" in subject
    assert "This was attempt 3; the 2 before it failed too." in body
    assert f"pipeline replay {drop.load_id} --stack dev" in body
    assert cloud.versions(DROPS) == [drop.version_id]


@pytest.mark.parametrize("how", ["gone", "withdrawn", "too old"])
def test_deferred_failure_is_mailed_when_no_retry_follows(cloud: Cloud, calls: Calls, how: str) -> None:
    drop = cloud.drop()
    cloud.end_run(started(cloud, drop), "FAILED")
    sweep()
    calls.run()
    assert cloud.mails() == []
    if how == "too old":
        assert sweep() == {**NOTHING, "retried": 1}
        cloud.age(f"claims/{drop.load_id}/1.json", RETRIED_WITHIN)
    else:
        version = {"VersionId": drop.version_id} if how == "gone" else {}
        cloud.s3.delete_object(Bucket=DROPS, Key=drop.key, **version)
    assert sweep() == {**NOTHING, "unnotified": 1}
    calls.run()
    assert (len(cloud.mails()), sweep()) == (1, NOTHING)


def test_a_transient_failure_is_tried_again(cloud: Cloud) -> None:
    drop = cloud.drop()
    cloud.end_run(started(cloud, drop), "FAILED", report=failed(drop, is_transient=True))
    assert sweep()["retried"] == 1


@pytest.mark.parametrize("died", [("FAILED", True), ("STOPPED", False), ("SUCCEEDED", False)])
def test_what_a_person_must_fix_is_mailed_and_left_alone(cloud: Cloud, calls: Calls, died: tuple[str, bool]) -> None:
    state, has_report = died
    drop = cloud.drop()
    cloud.end_run(started(cloud, drop), state, report=failed(drop) if has_report else None)
    assert sweep() == {**NOTHING, "unnotified": 1}
    calls.run()
    assert (sweep(), cloud.versions(DROPS)) == (NOTHING, [drop.version_id])


def test_a_committed_load_is_archived_even_if_its_replay_failed(cloud: Cloud, calls: Calls) -> None:
    drop = cloud.drop()
    first = cloud.end_run(started(cloud, drop), "SUCCEEDED", report=succeeded(drop, etag=etag(cloud, drop)))
    start_run.handle(
        cloud.batch({"replay": {**recorded("replay")["replay"], "version_id": drop.version_id}}), Invocation()
    )
    assert sweep()["unarchived"] == 0, "the replay reads the drop"
    cloud.end_run(cloud.runs()[-1], "FAILED", report=failed(drop, attempt=2, is_transient=True))
    assert sweep() == {**NOTHING, "unarchived": 1, "unnotified": 2, "retried": 1}
    assert ("shop-archive", run_request("process_transactions", first)) in calls.asked
    cloud.sent_messages()
    calls.run()
    assert (cloud.versions(DROPS), sweep()) == ([], {**NOTHING, "retried": 1})
    deliver_what_was_sent(cloud)
    [run] = cloud.live_runs()
    assert cloud.drop_of(run) == (drop, 3), "the replay continues from the archived copy"


def test_a_mail_that_may_have_been_sent_is_not_sent_again(cloud: Cloud, calls: Calls) -> None:
    drop = cloud.drop()
    run_id = cloud.end_run(started(cloud, drop), "SUCCEEDED", report=succeeded(drop, etag=etag(cloud, drop)))
    release = killed_at(notify.dependencies().notifier.sns, "Publish", after=True)
    with pytest.raises(Killed):
        notify.handle(run_request("process_transactions", run_id), Invocation())
    release()
    cloud.outlive(f"notified/{drop.load_id}/1.sending.json")
    assert sweep()["unnotified"] == 1
    with pytest.raises(Exception, match="may or may not have been sent"):
        calls.run()
    assert (sweep()["unnotified"], len(cloud.mails())) == (0, 1)


def test_a_run_that_glue_does_not_know_yet_is_not_over(cloud: Cloud) -> None:
    drop = cloud.drop()
    run = started(cloud, drop)
    cloud.hide_run(run)
    assert sweep() == NOTHING
    assert start_run.handle(cloud.batch(replay_message(drop, after_attempt=1)), Invocation()) == {
        "batchItemFailures": []
    }
    assert len(cloud.runs()) == 0


def test_a_forgotten_run_is_mailed_and_its_drop_retried(cloud: Cloud, calls: Calls) -> None:
    drop = cloud.drop()
    started(cloud, drop)
    cloud.glue.delete_job(JobName="process_transactions")
    cloud.age(f"claims/{drop.load_id}/1.json", timedelta(hours=1))
    assert sweep() == {**NOTHING, "retried": 1, "unnotified": 1}
    calls.run()
    assert cloud.mails() == []
    cloud.age(f"claims/{drop.load_id}/1.json", RETRIED_WITHIN)
    assert sweep() == {**NOTHING, "unnotified": 1}
    calls.run()
    [(subject, _)] = cloud.mails()
    assert "NOT loaded" in subject


def test_a_failed_drop_with_an_expired_report_is_no_dead_run(cloud: Cloud, calls: Calls) -> None:
    drop = cloud.drop()
    cloud.end_run(started(cloud, drop), "FAILED", report=failed(drop))
    sweep()
    calls.run()
    cloud.age(f"claims/{drop.load_id}/1.json", RETRIED_WITHIN)
    cloud.s3.delete_object(Bucket="shop-work", Key=f"reports/{drop.load_id}/1.json")
    assert (sweep(), cloud.versions(DROPS)) == (NOTHING, [drop.version_id])


@pytest.mark.parametrize(("age", "tried_again"), [(timedelta(hours=47), 1), (timedelta(hours=49), 0)])
def test_a_run_that_died_is_tried_again_for_two_days(cloud: Cloud, age: timedelta, tried_again: int) -> None:
    drop = cloud.drop()
    cloud.end_run(started(cloud, drop), "FAILED")
    cloud.age(f"claims/{drop.load_id}/1.json", age)
    assert sweep()["retried"] == tried_again


def test_an_outage_of_an_hour_does_not_use_up_the_three_tries(cloud: Cloud) -> None:
    """The sweep runs on its schedule, every 15 minutes."""
    drop, tried = cloud.drop(), []
    cloud.end_run(started(cloud, drop), "FAILED")
    for tick in range(1, 13):
        for key in cloud.keys(f"claims/{drop.load_id}/"):
            cloud.age(key, timedelta(minutes=15))
        sweep(grace_seconds=None)
        deliver_what_was_sent(cloud)
        for run in cloud.live_runs():
            tried.append(15 * tick)
            cloud.end_run(run, "FAILED")
    assert tried == [15, 135]


def test_what_cannot_be_read_hides_nothing_else(cloud: Cloud) -> None:
    broken, lost = cloud.drop(), cloud.drop(DAY_KEY + ".gz")
    cloud.s3.put_object(Bucket="shop-work", Key=f"claims/{broken.load_id}/1.json", Body=b"{")
    with pytest.raises(ExceptionGroup, match="loads that need a person") as raised:
        sweep()
    [error] = raised.value.exceptions
    assert broken.version_id in str(error.__notes__)
    deliver_what_was_sent(cloud)
    assert [cloud.drop_of(run)[0] for run in cloud.runs()] == [lost]


def test_everything_is_looked_at_however_many_pages_it_fills(cloud: Cloud) -> None:
    s3 = handler.dependencies().s3
    for operation in ("ListObjectVersions", "ListObjectsV2"):
        s3.meta.events.register(
            f"before-parameter-build.s3.{operation}", lambda params, **_: params.setdefault("MaxKeys", 3)
        )
    drops = [cloud.drop(DAY_KEY.replace("_2023-03-15", str(number))) for number in range(10)]
    assert sweep()["lost"] == 10
    cloud.sent_messages()
    for drop in drops[:8]:
        cloud.end_run(started(cloud, drop), "FAILED", report=failed(drop))
    assert sweep() == {**NOTHING, "lost": 2, "unnotified": 8}


def test_what_is_settled_costs_only_listings_however_much_it_is(cloud: Cloud) -> None:
    for number in range(30):
        drop = Drop(DROPS, DAY_KEY, f"v{number}")
        for key in (
            f"claims/{drop.load_id}/1.json",
            f"reports/{drop.load_id}/1.json",
            f"notified/{drop.load_id}/1.deferred.json",
            f"claims/{drop.load_id}/2.json",
            f"reports/{drop.load_id}/2.json",
            f"notified/{drop.load_id}/2.json",
        ):
            cloud.s3.put_object(Bucket="shop-work", Key=key, Body=b"not even read")
    requests: list[str] = []
    s3 = handler.dependencies().s3
    s3.meta.events.register("before-call.s3", lambda model, **_: requests.append(model.name))
    assert sweep() == NOTHING
    # It lists the drops, the open attempts, its own notes, running backfills, and the time of the last drop.
    assert sorted(requests) == ["ListObjectVersions", *["ListObjectsV2"] * 4]


def test_a_load_whose_starter_died_is_mailed_though_archived(cloud: Cloud, calls: Calls) -> None:
    """The claim names no run, and the event to notify was lost."""
    drop = cloud.drop()
    release = killed_at(start_run.dependencies().dispatcher.runner.starter, "StartJobRun", after=True)
    with pytest.raises(Killed):
        started(cloud, drop)
    release()
    [run] = cloud.runs()
    run_id = cloud.end_run(run, "SUCCEEDED", report=succeeded(drop, etag=etag(cloud, drop)))
    archive.handle(run_request("process_transactions", run_id), Invocation())
    cloud.outlive(f"claims/{drop.load_id}/1.json")
    assert start_run.handle(cloud.batch(drop_message(drop)), Invocation()) == {"batchItemFailures": []}
    assert sweep() == {**NOTHING, "unnotified": 1}
    calls.run()
    assert (len(cloud.mails()), sweep(), len(cloud.runs())) == (1, NOTHING, 1)


def test_run_of_a_dead_starter_is_mailed_without_a_redelivery(cloud: Cloud, calls: Calls) -> None:
    drop = cloud.drop()
    release = killed_at(start_run.dependencies().dispatcher.runner.starter, "StartJobRun", after=True)
    with pytest.raises(Killed):
        started(cloud, drop)
    release()
    run_id = cloud.end_run(cloud.runs()[0], "SUCCEEDED", report=succeeded(drop, etag=etag(cloud, drop)))
    archive.handle(run_request("process_transactions", run_id), Invocation())
    cloud.outlive(f"claims/{drop.load_id}/1.json")
    assert sweep() == {**NOTHING, "unnotified": 1}
    calls.run()
    assert (len(cloud.mails()), sweep()) == (1, NOTHING)


def test_loaded_drop_that_is_not_archived_for_a_day_is_an_error(cloud: Cloud) -> None:
    drop = cloud.drop()
    cloud.end_run(started(cloud, drop), "SUCCEEDED", report=succeeded(drop, etag=etag(cloud, drop)))
    assert sweep()["unarchived"] == 1
    cloud.age(f"claims/{drop.load_id}/1.json", timedelta(days=1))
    with pytest.raises(ExceptionGroup) as raised:
        sweep()
    [error] = raised.value.exceptions
    assert "still not archived" in str(error)


def test_lost_drop_does_not_wait_for_an_idle_queue_for_ever(cloud: Cloud) -> None:
    cloud.drop()
    cloud.sqs.send_message(QueueUrl=cloud.queue_url, MessageBody="{}")
    assert sweep() == NOTHING
    cloud.age(DAY_KEY, timedelta(hours=6), bucket=DROPS)
    assert sweep() == {**NOTHING, "lost": 1}


def test_drop_whose_starter_died_before_its_claim_is_sent_again(cloud: Cloud) -> None:
    """The starter noted the attempt and claimed nothing; its message became a dead letter."""
    drop = cloud.drop()
    note = open_key(drop.load_id, 1, "0" * 32)
    handler.dependencies().leases.create(note, {})
    cloud.age(note, timedelta(hours=1))
    cloud.age(DAY_KEY, timedelta(hours=1), bucket=DROPS)
    assert sweep(grace_seconds=None) == NOTHING
    assert sweep(grace_seconds=None) == {**NOTHING, "lost": 1}


def test_drop_that_cannot_be_started_is_sent_ever_more_rarely(cloud: Cloud) -> None:
    drop = cloud.drop()
    cloud.age(DAY_KEY, timedelta(hours=1), bucket=DROPS)
    sent = 0
    for _ in range(2 * 24 * 2):  # two days of ticks, half an hour each
        sent += sweep(grace_seconds=None)["lost"]
        cloud.sent_messages()
        for key in cloud.keys(f"sweep/{drop.load_id}/"):
            cloud.age(key, timedelta(minutes=30))
    assert 5 <= sent <= 10


def test_failed_drop_costs_requests_once(cloud: Cloud, calls: Calls) -> None:
    drop = cloud.drop()
    cloud.end_run(started(cloud, drop), "FAILED", report=failed(drop))
    sweep()
    calls.run()
    sweep()
    requests: list[str] = []
    handler.dependencies().s3.meta.events.register("before-call.s3", lambda model, **_: requests.append(model.name))
    assert sweep() == NOTHING
    assert [name for name in requests if not name.startswith("List")] == ["GetObject"], "the note about the last drop"
    cloud.s3.delete_object(Bucket=DROPS, Key=drop.key, VersionId=drop.version_id)
    sweep()
    assert cloud.keys(f"sweep/{drop.load_id}/") == []


def test_figures_for_the_alarms_are_published(cloud: Cloud, capsys: pytest.CaptureFixture[str]) -> None:
    cloud.drop()
    cloud.age(DAY_KEY, timedelta(hours=2), bucket=DROPS)
    sweep(grace_seconds=None)
    published = [json.loads(line) for line in capsys.readouterr().out.splitlines() if '"_aws"' in line]
    [waiting] = [line["OldestWaitingDropMinutes"] for line in published if "OldestWaitingDropMinutes" in line]
    [newest] = [line["HoursSinceLastDrop"] for line in published if "HoursSinceLastDrop" in line]
    assert 119 <= waiting[0] <= 122
    assert 1.9 <= newest[0] <= 2.1
    assert {line["stack"] for line in published} == {"dev"}
