"""Drops that have left the drop bucket: replay, retraction, flow-in, and the order of versions in the archive."""

from __future__ import annotations

import json
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from jobs.attempt import describe
from jobs.errors import DropGone
from lambdas.archive import handler as archive
from lambdas.errors import TerminalError
from lambdas.leases import leased
from lambdas.notify import handler as notify
from lambdas.start_run import handler as start_run
from lambdas.sweep import handler as sweep
from schemas.drops import Drop
from schemas.messages import drop_message, flow_in_message, read_message, replay_message, retract_message
from schemas.runs import FLOW_IN, LOAD, RETRACT, ArchivedCopy, decode_run
from schemas.work_bucket import outside_layout_stem, refused_stem, sending_key, sent_key
from tests.lambdas.cloud import ARCHIVE, DAY_KEY, DROPS, WORK, Cloud, Invocation, recorded
from tests.lambdas.reports import failed, succeeded


def deliver(cloud: Cloud, *bodies: str) -> None:
    assert start_run.handle(cloud.batch(*bodies), Invocation()) == {"batchItemFailures": []}


def archive_run(cloud: Cloud, run: Any, **changes: Any) -> bool:
    drop, attempt = cloud.drop_of(run)
    cloud.end_run(run, "SUCCEEDED", report=succeeded(drop, attempt=attempt, etag=None, **changes))
    event = recorded("glue_succeeded")
    event["detail"]["jobRunId"] = run.job_run_id
    event["detail"]["jobName"] = run.job_name
    archived: bool = archive.handle(event, Invocation())["archived"]
    return archived


def loaded_and_archived(cloud: Cloud, drop: Drop) -> None:
    deliver(cloud, drop_message(drop))
    [run] = [run for run in cloud.live_runs() if cloud.drop_of(run)[0] == drop]
    assert archive_run(cloud, run) is True


def bodies(cloud: Cloud) -> list[bytes]:
    """The content of every archived version, the current object first."""
    return [
        cloud.s3.get_object(Bucket=ARCHIVE, Key=DAY_KEY, VersionId=version)["Body"].read()
        for version in cloud.versions(ARCHIVE, DAY_KEY)
    ]


@pytest.mark.parametrize("has_index", [True, False])
def test_replay_of_an_archived_drop_reads_its_own_copy(cloud: Cloud, has_index: bool) -> None:
    drops = [cloud.drop(body=body) for body in (b"first", b"second", b"third")]
    for drop in drops:
        loaded_and_archived(cloud, drop)
    if not has_index:
        for key in cloud.keys("archived/"):
            cloud.s3.delete_object(Bucket=WORK, Key=key)
    deliver(cloud, replay_message(drops[1]))
    [run] = cloud.live_runs()
    arguments = decode_run(run.arguments)
    assert arguments is not None
    assert (arguments.drop, arguments.attempt) == (drops[1], 2)
    assert isinstance(arguments.archived, ArchivedCopy)
    copy = cloud.s3.get_object(
        Bucket=arguments.archived.bucket, Key=arguments.archived.key, VersionId=arguments.archived.version_id
    )
    assert copy["Body"].read() == b"second"


def test_redelivered_upload_of_an_archived_drop_starts_nothing(cloud: Cloud) -> None:
    drop = cloud.drop()
    loaded_and_archived(cloud, drop)
    deliver(cloud, drop_message(drop))
    assert (cloud.live_runs(), cloud.mails()) == ([], [])


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (replay_message(Drop(DROPS, DAY_KEY, "no-such-version")), "the object version does not exist"),
        (retract_message(Drop(DROPS, DAY_KEY, "no-such-version")), "the drop was never loaded"),
    ],
)
def test_request_that_cannot_be_met_is_answered_by_one_mail(cloud: Cloud, message: str, reason: str) -> None:
    batch = cloud.batch(message)
    for _ in range(2):
        assert start_run.handle(batch, Invocation()) == {"batchItemFailures": []}
    [(subject, body)] = cloud.mails()
    assert subject.startswith("[dev] Not ")
    assert reason in body


MISSING = Drop(DROPS, DAY_KEY, "no-such-version")
OUTSIDE = Drop(DROPS, "transactions/2023-03-15.csv", "v1")


@pytest.mark.parametrize(
    ("message", "stem"),
    [
        (replay_message(MISSING, request="once more"), refused_stem(MISSING.load_id, "once more")),
        (drop_message(OUTSIDE), outside_layout_stem(OUTSIDE.load_id)),
    ],
)
def test_a_refusal_whose_sender_dies_is_not_lost(cloud: Cloud, message: str, stem: str) -> None:
    """The message arrives twice at once, and the worker that began to send the mail dies."""
    sending = start_run.dependencies().dispatcher.leases.create(sending_key(stem), leased(30))
    assert sending is not None
    deliver(cloud, message)
    [waiting] = cloud.sent_messages()
    assert (read_message(waiting.body, message_id="m"), cloud.mails()) == (read_message(message, message_id="m"), [])
    cloud.outlive(sending.key)
    assert start_run.handle(cloud.batch(waiting.body), Invocation())["batchItemFailures"], "an alarm, once"
    deliver(cloud, waiting.body)
    assert cloud.read(sent_key(stem)) == {"undecided": True}


def test_s3s_demand_to_try_again_loses_no_mail_and_no_run(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """409 ConditionalRequestConflict means that another write was in progress, not that it succeeded."""
    s3 = start_run.dependencies().dispatcher.leases.s3
    put_object, tried = s3.put_object, set()

    def conflict_at_first(**request: Any) -> Any:
        if request["Key"] in tried:
            return put_object(**request)
        tried.add(request["Key"])
        answer: Any = {"Error": {"Code": "ConditionalRequestConflict"}, "ResponseMetadata": {"HTTPStatusCode": 409}}
        raise ClientError(answer, "PutObject")

    monkeypatch.setattr(s3, "put_object", conflict_at_first)
    deliver(cloud, drop_message(cloud.drop()), replay_message(MISSING))
    assert (len(cloud.runs()), len(cloud.mails()), cloud.sent_messages()) == (1, 1, [])


def test_flow_in_waits_for_a_live_run_and_is_made_once(cloud: Cloud) -> None:
    drop = cloud.drop()
    deliver(cloud, drop_message(drop))
    wish = flow_in_message(drop, request="flow_in:0123456789abcdef:1")
    deliver(cloud, wish)
    [waiting] = cloud.sent_messages()
    archive_run(cloud, cloud.live_runs()[0])
    deliver(cloud, waiting.body, wish)
    [run] = cloud.live_runs()
    arguments = decode_run(run.arguments)
    assert arguments is not None
    assert (arguments.operation, arguments.attempt) == (FLOW_IN, 2)
    assert arguments.archived is not None
    archive_run(cloud, run)
    deliver(cloud, wish)
    assert cloud.live_runs() == []


@pytest.fixture
def calls(cloud: Cloud) -> list[Any]:
    """The events with which the sweep calls other functions."""
    asked: list[Any] = []

    def caught(params: dict[str, Any], **_: Any) -> Any:
        asked.append((params["url_path"].split("/")[3], json.loads(params["body"])))
        return SimpleNamespace(status_code=202), {"StatusCode": 202}

    sweep.dependencies().functions.meta.events.register("before-call.lambda.Invoke", caught)
    return asked


def replay_that_found_no_drop(cloud: Cloud) -> Drop:
    """A replay started while its drop was in the drop bucket. Its run looked for the drop after it was archived."""
    drop = cloud.drop()
    deliver(cloud, drop_message(drop))
    [first] = cloud.live_runs()
    cloud.end_run(first, "SUCCEEDED", report=succeeded(drop, etag=None))
    deliver(cloud, replay_message(drop))
    [replay] = cloud.live_runs()
    archive_run(cloud, first)
    error = describe(DropGone("the drop does not exist any more"))
    cloud.end_run(replay, "FAILED", report=failed(drop, attempt=2, error=error))
    return drop


def notify_of(cloud: Cloud, run: Any) -> bool:
    sent: bool = notify.handle({"job_name": run.job_name, "run_id": run.job_run_id}, Invocation())["sent"]
    return sent


def test_replay_that_found_its_drop_gone_is_retried_with_the_copy(cloud: Cloud, calls: list[Any]) -> None:
    drop = replay_that_found_no_drop(cloud)
    assert notify_of(cloud, cloud.runs()[1]) is False
    assert sweep.handle({"grace_seconds": 0}, Invocation())["retried"] == 1
    deliver(cloud, *[message.body for message in cloud.sent_messages()])
    [run] = cloud.live_runs()
    arguments = decode_run(run.arguments)
    assert arguments is not None
    assert (arguments.drop, arguments.attempt, arguments.operation) == (drop, 3, LOAD)
    assert arguments.archived is not None
    assert arguments.archived.version_id in cloud.versions(ARCHIVE)
    archive_run(cloud, run)
    assert notify_of(cloud, run) is True
    [(subject, _)] = cloud.mails()
    assert "NOT loaded" not in subject
    assert [function for function, _ in calls] == ["shop-notify"], "only the first load's mail is still missing"


def test_replay_of_a_drop_that_is_nowhere_is_mailed_once(cloud: Cloud, calls: list[Any]) -> None:
    replay_that_found_no_drop(cloud)
    for version in cloud.versions(ARCHIVE):
        cloud.s3.delete_object(Bucket=ARCHIVE, Key=DAY_KEY, VersionId=version)
    assert notify_of(cloud, cloud.runs()[1]) is False
    for _ in range(2):
        assert sweep.handle({"grace_seconds": 0}, Invocation())["retried"] == 0
        for function, event in calls:
            assert function == "shop-notify"
            notify.handle(event, Invocation())
    assert sorted("NOT loaded" in subject for subject, _ in cloud.mails()) == [False, True]
    assert cloud.live_runs() == []


def test_retraction_needs_no_file(cloud: Cloud) -> None:
    drop = cloud.drop()
    loaded_and_archived(cloud, drop)
    for version in cloud.versions(ARCHIVE):
        cloud.s3.delete_object(Bucket=ARCHIVE, Key=DAY_KEY, VersionId=version)
    deliver(cloud, retract_message(drop))
    [run] = cloud.live_runs()
    arguments = decode_run(run.arguments)
    assert arguments is not None
    assert (arguments.operation, arguments.archived) == (RETRACT, None)


def test_retry_of_a_request_does_the_same_operation(cloud: Cloud) -> None:
    drop = cloud.drop()
    loaded_and_archived(cloud, drop)
    deliver(cloud, retract_message(drop))
    [run] = cloud.live_runs()
    cloud.end_run(run, "FAILED", report=failed(drop, attempt=2, is_transient=True))
    deliver(cloud, replay_message(drop, after_attempt=2))
    [run] = cloud.live_runs()
    arguments = decode_run(run.arguments)
    assert arguments is not None
    assert (arguments.operation, arguments.attempt) == (RETRACT, 3)


def test_loads_that_waited_for_a_dimension_are_asked_to_flow_in_once(cloud: Cloud) -> None:
    waiting = [Drop(DROPS, DAY_KEY, f"v{number}") for number in range(2)]
    dimension = cloud.drop("dimensions/dim_products.csv")
    deliver(cloud, drop_message(dimension))
    [run] = cloud.live_runs("load_dimensions")
    for _ in range(2):
        archive_run(cloud, run, awaited_by=waiting)
    requests = [read_message(message.body, message_id="m")[0] for message in cloud.sent_messages()]
    assert [request.version_id for request in requests] == ["v0", "v1"]
    assert {request.replay.operation for request in requests if request.replay} == {FLOW_IN}
    assert {request.replay.request for request in requests if request.replay} == {f"flow_in:{dimension.load_id}:1"}


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0), (2, 0, 1)])
def test_the_newest_upload_is_current_in_any_archiving_order(cloud: Cloud, order: tuple[int, ...]) -> None:
    drops = [cloud.drop(body=body) for body in (b"first", b"second", b"third")]
    for number in order:
        loaded_and_archived(cloud, drops[number])
    assert bodies(cloud)[0] == b"third"
    assert sorted(bodies(cloud)) == [b"first", b"second", b"third"]
    assert cloud.versions(DROPS) == []


def test_uploads_of_different_seconds_are_ordered_without_each_other(cloud: Cloud) -> None:
    older = cloud.drop(body=b"older")
    cloud.age(DAY_KEY, timedelta(hours=1), bucket=DROPS)
    newer = cloud.drop(body=b"newer")
    loaded_and_archived(cloud, newer)
    loaded_and_archived(cloud, older)
    assert bodies(cloud) == [b"newer", b"older"]


@pytest.mark.parametrize("status", ["Suspended", None])
def test_archive_that_keeps_no_versions_is_refused(cloud: Cloud, status: str | None) -> None:
    drop = cloud.drop()
    deliver(cloud, drop_message(drop))
    if status:
        cloud.s3.put_bucket_versioning(Bucket=ARCHIVE, VersioningConfiguration={"Status": status})
    else:
        cloud.s3.delete_bucket(Bucket=ARCHIVE)
        cloud.s3.create_bucket(Bucket=ARCHIVE, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    with pytest.raises(TerminalError, match="keeps no versions"):
        archive_run(cloud, cloud.live_runs()[0])
    assert cloud.versions(DROPS) == [drop.version_id]


def test_archiving_costs_as_much_for_a_key_archived_often(cloud: Cloud) -> None:
    requests: list[str] = []
    s3 = archive.dependencies().archiver.s3
    s3.meta.events.register("before-call.s3", lambda model, **_: requests.append(model.name))
    costs = []
    for number in range(16):
        requests.clear()
        loaded_and_archived(cloud, cloud.drop(body=str(number).encode()))
        costs.append(sorted(requests))
    assert costs[-1] == costs[2], "as many requests as when two copies were there"


def test_a_suspended_drop_bucket_is_refused(cloud: Cloud, caplog: pytest.LogCaptureFixture) -> None:
    event = json.loads(drop_message(Drop(DROPS, DAY_KEY, "null")))
    batch = cloud.batch(event)
    assert len(start_run.handle(batch, Invocation())["batchItemFailures"]) == 1
    assert "keeps no versions" in caplog.text
    assert cloud.runs() == []
