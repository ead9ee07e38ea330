"""The smallest flows that need a right: each does one thing with one actor and raises where it did not happen."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import pytest

from jobs.errors import DropGone
from local.runtime.in_flight import InFlightCounter
from local.runtime.queue_reader import QueueReader, sqs_record
from schemas.drops import SOURCE_UPLOADED_AT, Drop
from schemas.messages import BACKFILL_STOPPED, drop_message, replay_message, run_request
from schemas.reports import Report
from schemas.runs import PLAN, ArchivedCopy
from schemas.work_bucket import (
    BACKFILL_KEY,
    CLAIMS,
    LAST_DROP_KEY,
    OPEN,
    SWEEP,
    archived_key,
    claim_key,
    notified_stem,
    plan_key,
    planned_key,
    resent_key,
    sent_key,
)
from tests.privileges.stack import CUSTOMERS, PRODUCTS, TRANSACTIONS, Stack, wait_until


@dataclass(frozen=True)
class Probe:
    name: str
    run: Callable[[Stack], None]


def _ask(stack: Stack, body: str) -> None:
    """start_run handles one message, which must be done afterwards."""
    message = {"MessageId": "m", "ReceiptHandle": "r", "Body": body, "MD5OfBody": "", "Attributes": {}}
    event = {"Records": [sqs_record(message, "arn:aws:sqs:eu-west-1:1:drops", "eu-west-1")]}
    assert stack.invoke("start-run", event) == {"batchItemFailures": []}


def start_a_drop(stack: Stack, kind: str) -> None:
    drop = stack.drop(kind)
    _ask(stack, drop_message(drop))
    assert stack.claim(drop)["run_id"]


def start_what_is_current(stack: Stack, kind: str) -> None:
    """The event names no version."""
    drop = stack.drop(kind)
    event = json.loads(drop_message(drop))
    del event["Records"][0]["s3"]["object"]["versionId"]
    _ask(stack, json.dumps(event))
    assert stack.claim(drop)["run_id"]


def pass_over_a_drop_that_is_gone(stack: Stack) -> None:
    """With and without a version in the event; a missing version must be distinguished from a lack of rights."""
    drop = stack.drop(TRANSACTIONS)
    stack.take_away(drop)
    _ask(stack, drop_message(drop))
    event = json.loads(drop_message(drop))
    del event["Records"][0]["s3"]["object"]["versionId"]
    _ask(stack, json.dumps(event))


def leave_a_running_drop_alone(stack: Stack, kind: str) -> None:
    drop = stack.drop(kind)
    run_id = stack.ran(drop)
    stack.claimed(drop, run_id)
    _ask(stack, drop_message(drop))
    assert stack.claim(drop)["run_id"] == run_id


def leave_a_loaded_drop_alone(stack: Stack) -> None:
    drop = stack.drop(TRANSACTIONS)
    stack.claimed(drop, "run")
    stack.reported(drop)
    _ask(stack, drop_message(drop))


def find_the_run_of_a_dead_worker(stack: Stack, kind: str) -> None:
    drop = stack.drop(kind)
    run_id = stack.ran(drop)
    stack.claimed(drop, None, lease_seconds=-1)
    _ask(stack, drop_message(drop))
    assert stack.claim(drop)["run_id"] == run_id


def send_a_drop_back_to_wait(stack: Stack) -> None:
    drop = stack.drop(TRANSACTIONS)
    stack.empty_queue(stack.cloud.outputs["queue_url"])
    stack.throttle("StartJobRun", times=1)
    try:
        _ask(stack, drop_message(drop))
        assert stack.cloud.queue("queue_url").all == 1
    finally:
        stack.unthrottle()


def mail_about_a_file_outside_the_layout(stack: Stack) -> None:
    before = len(stack.cloud.mails())
    drop = stack.drop(TRANSACTIONS)
    event = json.loads(drop_message(drop))
    event["Records"][0]["s3"]["object"]["key"] = "elsewhere/day.csv"
    _ask(stack, json.dumps(event))
    assert len(stack.cloud.mails()) == before + 1


def read_the_queue(stack: Stack) -> None:
    """Lambda's event source mapping, with the function's role."""
    cloud, url = stack.cloud, stack.cloud.outputs["queue_url"]
    stack.empty_queue(url)
    event = json.loads(drop_message(stack.drop(TRANSACTIONS)))
    event["Records"][0]["s3"]["object"]["key"] = "transactions/_SUCCESS"
    stack.client("sqs").send_message(QueueUrl=url, MessageBody=json.dumps(event))
    (mapping,) = stack.client("lambda").list_event_source_mappings()["EventSourceMappings"]
    warnings: list[str] = []
    closing = threading.Event()
    reader = QueueReader(
        cloud.aws, cloud.router.functions, mapping["UUID"], InFlightCounter(), warnings.append, closing
    )
    thread = threading.Thread(target=reader.read)
    thread.start()
    try:
        wait_until(lambda: bool(warnings) or cloud.queue("queue_url").all == 0)
    finally:
        closing.set()
        thread.join()
        stack.empty_queue(url)
    assert warnings == []


def _notify(stack: Stack, kind: str) -> Callable[[], Any]:
    drop = stack.drop(kind)
    run_id = stack.ran(drop)
    stack.claimed(drop, run_id)
    stack.reported(drop)
    return partial(stack.invoke, "notify", run_request(stack.job_of(drop), run_id))


def mail_an_outcome(stack: Stack, kind: str) -> None:
    assert _notify(stack, kind)() == {"sent": True}


def mail_an_outcome_without_a_confirmed_reader_first(stack: Stack) -> None:
    notify = _notify(stack, TRANSACTIONS)
    stack.throttle("Publish", times=1)
    try:
        with pytest.raises(Exception, match="Rate exceeded"):
            notify()
    finally:
        stack.unthrottle()
    assert notify() == {"sent": True}


def mail_about_earlier_attempts(stack: Stack) -> None:
    """A first attempt that died was noted and not mailed; the mail about the second reports both."""
    drop = stack.drop(TRANSACTIONS)
    stack.note_deferred(drop, failure="it was killed")
    run = run_request(stack.job_of(drop), stack.ran(drop, attempt=2), is_last=True)
    before = len(stack.cloud.mails())
    assert stack.invoke("notify", run) == {"sent": True}
    assert "it was killed" in stack.cloud.mails()[before].body


def mail_about_a_stopped_backfill(stack: Stack) -> None:
    stack.backfill_stopped()
    assert stack.invoke("notify", BACKFILL_STOPPED) == {"sent": True}
    assert BACKFILL_KEY not in stack.keys(BACKFILL_KEY)


def archive_a_drop(stack: Stack, kind: str) -> None:
    drop = stack.drop(kind, tags="from=shop")
    run = run_request(stack.job_of(drop), stack.ran(drop))
    stack.reported(drop)
    assert stack.invoke("archive", run) == {"archived": True}
    archived = {"Bucket": stack.cloud.outputs["archive_bucket"], "Key": drop.key}
    assert stack.client("s3").get_object_tagging(**archived)["TagSet"] == [{"Key": "from", "Value": "shop"}]
    # Its version is gone, which must be distinguished from a lack of rights.
    assert stack.invoke("archive", run) == {"archived": True}


def archive_a_drop_that_another_died_over(stack: Stack) -> None:
    drop = stack.drop(TRANSACTIONS)
    run = run_request(stack.job_of(drop), stack.ran(drop))
    stack.reported(drop)
    stack.archiving_began(drop)
    assert stack.invoke("archive", run) == {"archived": True}


def _archived(stack: Stack, kind: str) -> Drop:
    """A drop whose first attempt loaded it, and which was archived."""
    drop = stack.drop(kind)
    run_id = stack.ran(drop)
    stack.claimed(drop, run_id)
    stack.reported(drop)
    assert stack.invoke("archive", run_request(stack.job_of(drop), run_id)) == {"archived": True}
    return drop


def keep_the_newest_upload_on_top(stack: Stack, kind: str) -> None:
    """The newer upload is archived first and copied again above the older one."""
    older = stack.drop(kind)
    stored = stack.client("s3").put_object(Bucket=older.bucket, Key=older.key, Body=b"newer")
    for drop in (Drop(older.bucket, older.key, stored["VersionId"]), older):
        run = run_request(stack.job_of(drop), stack.ran(drop))
        stack.reported(drop)
        assert stack.invoke("archive", run) == {"archived": True}
    archived = stack.client("s3").get_object(Bucket=stack.cloud.outputs["archive_bucket"], Key=older.key)
    assert archived["Body"].read() == b"newer"


def ask_waiting_loads_to_flow_in(stack: Stack) -> None:
    stack.empty_queue(stack.cloud.outputs["queue_url"])
    waiting, drop = stack.drop(TRANSACTIONS), stack.drop(PRODUCTS)
    run = run_request(stack.job_of(drop), stack.ran(drop))
    stack.reported(drop, awaited_by=[waiting])
    assert stack.invoke("archive", run) == {"archived": True}
    assert stack.cloud.queue("queue_url").all == 1


def replay_an_archived_drop(stack: Stack, kind: str) -> None:
    for has_index in (True, False):
        drop = _archived(stack, kind)
        if not has_index:
            stack.forget(archived_key(drop.key))
        _ask(stack, replay_message(drop))
        assert claim_key(drop.load_id, 2) in stack.keys(CLAIMS)


def find_an_archived_drop_whose_starter_died(stack: Stack, kind: str) -> None:
    for has_index in (True, False):
        stack.empty()
        drop = _archived(stack, kind)
        if not has_index:
            stack.forget(archived_key(drop.key))
        stack.claimed(drop, None, attempt=2, lease_seconds=-1)
        assert _sweep(stack)["lost"] == 1


def find_loads_that_were_not_asked_to_flow_in(stack: Stack) -> None:
    stack.empty()
    drop = _archived(stack, PRODUCTS)
    stack.reported(drop, awaited_by=[drop])
    assert _sweep(stack)["unarchived"] == 1


def close_what_is_settled(stack: Stack) -> None:
    stack.empty()
    drop = _archived(stack, TRANSACTIONS)
    stack.note(sent_key(notified_stem(drop.load_id, 1)))
    stack.note(resent_key(drop.load_id, 1))
    for _ in range(3):
        _sweep(stack)
    assert stack.keys(OPEN) == []
    assert stack.keys(SWEEP) == [LAST_DROP_KEY]


def find_a_lost_drop(stack: Stack) -> None:
    stack.empty()
    stack.drop(TRANSACTIONS)
    assert _sweep(stack) == {"lost": 1, "retried": 0, "unarchived": 0, "unnotified": 0}
    assert stack.cloud.queue("queue_url").all == 1


def find_what_was_not_mailed_and_not_archived(stack: Stack) -> None:
    stack.empty()
    drop = stack.drop(TRANSACTIONS)
    stack.claimed(drop, stack.ran(drop))
    stack.reported(drop)
    assert _sweep(stack) == {"lost": 0, "retried": 0, "unarchived": 1, "unnotified": 1}
    assert stack.invoked == ["archive", "notify"]


def find_a_run_without_a_report(stack: Stack, kind: str) -> None:
    stack.empty()
    drop = stack.drop(kind)
    stack.claimed(drop, stack.ran(drop))
    assert _sweep(stack)["unnotified"] == 1


def _sweep(stack: Stack) -> Any:
    return stack.invoke("sweep", {"grace_seconds": 0})


def leave_what_failed_for_good(stack: Stack, actor: str) -> None:
    assert stack.fail_for_good(actor, {"grace_seconds": "not a number"}) == 1


def load_a_dimension(stack: Stack, kind: str) -> None:
    drop = stack.drop(kind)
    stack.run_job("load-dimensions", drop)
    assert stack.report(drop).outcome == "succeeded"
    assert stack.staged(drop) == []


def load_transactions(stack: Stack) -> None:
    drop = stack.drop(TRANSACTIONS)
    stack.run_job("process-transactions", drop)
    report = stack.report(drop)
    assert report.counts is not None
    assert (report.counts["rows_read"], report.counts["rejected"]) == (2, 1)
    assert report.rejected_uri is not None
    assert stack.staged(drop) == []


def find_a_drop_gone(stack: Stack, kind: str) -> None:
    drop = stack.drop(kind)
    stack.take_away(drop)
    with pytest.raises(DropGone):
        stack.run_job("process-transactions" if kind == TRANSACTIONS else "load-dimensions", drop)


def load_an_archived_drop(stack: Stack, kind: str) -> None:
    """Its copy is read; a missing copy must be distinguished from a lack of rights."""
    drop, job = _archived(stack, kind), "process-transactions" if kind == TRANSACTIONS else "load-dimensions"
    archive, s3 = stack.cloud.outputs["archive_bucket"], stack.client("s3")
    version = {
        "Bucket": archive,
        "Key": drop.key,
        "VersionId": s3.head_object(Bucket=archive, Key=drop.key)["VersionId"],
    }
    copy = ArchivedCopy(archive, drop.key, version["VersionId"])
    stack.run_job(job, drop, copy)
    s3.delete_object(**version)
    with pytest.raises(DropGone):
        stack.run_job(job, drop, copy)


def plan_a_file(stack: Stack, kind: str) -> None:
    """The file is in the run's staging prefix, and the run computes what a load would do."""
    drop, s3 = replace(stack.drop(kind), version_id="not-dropped"), stack.client("s3")
    bucket, key = stack.cloud.outputs["work_bucket"], planned_key(drop.load_id)
    body = s3.get_object(Bucket=drop.bucket, Key=drop.key)["Body"].read()
    version = s3.put_object(
        Bucket=bucket, Key=key, Body=body, Metadata={SOURCE_UPLOADED_AT: "2023-03-16T06:00:00+00:00"}
    )
    job = "process-transactions" if kind == TRANSACTIONS else "load-dimensions"
    stack.run_job(job, drop, ArchivedCopy(bucket, key, version["VersionId"]), operation=PLAN)
    response = Report.from_json(s3.get_object(Bucket=bucket, Key=plan_key(drop.load_id))["Body"].read().decode())
    assert response.error is None
    assert response.counts is not None


def run_in_glue(stack: Stack, kind: str) -> None:
    assert stack.run_in_glue(stack.drop(kind)) == "SUCCEEDED"


def _probe(flow: Callable[..., None], *given: str) -> Probe:
    return Probe(" ".join((flow.__name__, *given)), lambda stack: flow(stack, *given))


# In this order: transactions need the dimensions, and of two probes for a right the earlier, quicker one is taken.
PROBES = (
    *(_probe(load_a_dimension, kind) for kind in (PRODUCTS, CUSTOMERS)),
    _probe(load_transactions),
    *(_probe(find_a_drop_gone, kind) for kind in (TRANSACTIONS, PRODUCTS)),
    *(_probe(load_an_archived_drop, kind) for kind in (TRANSACTIONS, PRODUCTS)),
    *(_probe(plan_a_file, kind) for kind in (TRANSACTIONS, PRODUCTS)),
    *(_probe(run_in_glue, kind) for kind in (TRANSACTIONS, PRODUCTS)),
    *(_probe(start_a_drop, kind) for kind in (TRANSACTIONS, PRODUCTS)),
    *(_probe(start_what_is_current, kind) for kind in (TRANSACTIONS, PRODUCTS)),
    _probe(pass_over_a_drop_that_is_gone),
    *(_probe(leave_a_running_drop_alone, kind) for kind in (TRANSACTIONS, PRODUCTS)),
    _probe(leave_a_loaded_drop_alone),
    *(_probe(find_the_run_of_a_dead_worker, kind) for kind in (TRANSACTIONS, PRODUCTS)),
    _probe(send_a_drop_back_to_wait),
    _probe(mail_about_a_file_outside_the_layout),
    _probe(read_the_queue),
    *(_probe(mail_an_outcome, kind) for kind in (TRANSACTIONS, PRODUCTS)),
    _probe(mail_an_outcome_without_a_confirmed_reader_first),
    _probe(mail_about_earlier_attempts),
    _probe(mail_about_a_stopped_backfill),
    *(_probe(archive_a_drop, kind) for kind in (TRANSACTIONS, PRODUCTS)),
    _probe(archive_a_drop_that_another_died_over),
    *(_probe(keep_the_newest_upload_on_top, kind) for kind in (TRANSACTIONS, PRODUCTS)),
    _probe(ask_waiting_loads_to_flow_in),
    *(_probe(replay_an_archived_drop, kind) for kind in (TRANSACTIONS, PRODUCTS)),
    *(_probe(find_an_archived_drop_whose_starter_died, kind) for kind in (TRANSACTIONS, PRODUCTS)),
    _probe(find_loads_that_were_not_asked_to_flow_in),
    _probe(close_what_is_settled),
    _probe(find_a_lost_drop),
    _probe(find_what_was_not_mailed_and_not_archived),
    *(_probe(find_a_run_without_a_report, kind) for kind in (TRANSACTIONS, PRODUCTS)),
    *(_probe(leave_what_failed_for_good, actor) for actor in ("notify", "archive", "sweep")),
)
