"""A mail is sent at most once, whichever process dies and whatever SNS responds."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, ReadTimeoutError

from lambdas.errors import TerminalError
from lambdas.notify import handler
from tests.lambdas.cloud import TRANSACTIONS_JOB, Cloud, Killed, killed_at
from tests.lambdas.notify.notifying import event_of, notify_about, only_mail, run_of
from tests.lambdas.reports import failed, succeeded


def test_a_repeated_outcome_is_mailed_once(cloud: Cloud) -> None:
    drop = cloud.drop()
    cloud.put_report(failed(drop))
    run_id = run_of(cloud, drop)
    assert notify_about(event_of("glue_failed", run_id)) is True
    assert notify_about(event_of("glue_failed", run_id)) is False
    cloud.runs()[0].status = "FAILED"
    assert notify_about({"job_name": TRANSACTIONS_JOB, "run_id": run_id}) is False
    assert len(cloud.mails()) == 1
    assert cloud.read(f"notified/{drop.load_id}/1.json")["subject"] == only_mail(cloud)[0]


def test_each_attempt_has_its_own_mail(cloud: Cloud) -> None:
    drop = cloud.drop()
    for attempt in (1, 11):  # 1 must not match as a part of 11
        cloud.put_report(failed(drop, attempt=attempt))
        assert notify_about(event_of("glue_failed", run_of(cloud, drop, attempt=attempt))) is True
    assert len(cloud.mails()) == 2


def test_two_senders_at_once_send_one_mail(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    drop = cloud.drop()
    cloud.put_report(succeeded(drop))
    event = event_of("glue_succeeded", run_of(cloud, drop))
    sns = handler.dependencies().notifier.sns
    publish = sns.publish

    def publish_while_another_tries(**mail: Any) -> Any:
        assert notify_about(event) is False
        return publish(**mail)

    monkeypatch.setattr(sns, "publish", publish_while_another_tries)
    assert notify_about(event) is True
    assert len(cloud.mails()) == 1


def test_a_sender_that_dies_before_its_claim_is_followed_by_another(cloud: Cloud) -> None:
    drop = cloud.drop()
    cloud.put_report(succeeded(drop))
    event = event_of("glue_succeeded", run_of(cloud, drop))
    release = killed_at(handler.dependencies().leases.s3, "PutObject")
    with pytest.raises(Killed):
        notify_about(event)
    release()
    assert notify_about(event) is True
    assert len(cloud.mails()) == 1


@pytest.mark.parametrize("was_published", [False, True])
def test_no_second_mail_follows_a_sender_that_dies_sending(cloud: Cloud, was_published: bool) -> None:
    drop = cloud.drop()
    cloud.put_report(succeeded(drop))
    event = event_of("glue_succeeded", run_of(cloud, drop))
    release = killed_at(handler.dependencies().notifier.sns, "Publish", after=was_published)
    with pytest.raises(Killed):
        notify_about(event, seconds=30)
    release()
    assert notify_about(event) is False, "its sender may still be alive"
    cloud.outlive(f"notified/{drop.load_id}/1.sending.json")
    with pytest.raises(TerminalError, match="may or may not have been sent"):  # raised once, so one alarm
        notify_about(event)
    assert notify_about(event) is False
    assert len(cloud.mails()) == was_published
    assert cloud.read(f"notified/{drop.load_id}/1.json") == {"undecided": True}


def publish_fails(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def publish(**_: Any) -> Any:
        raise error

    monkeypatch.setattr(handler.dependencies().notifier.sns, "publish", publish)


def sns_error(code: str, status: int) -> ClientError:
    answer: Any = {"Error": {"Code": code, "Message": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(answer, "Publish")


@pytest.mark.parametrize(
    "error",
    [sns_error("Throttled", 429), sns_error("AuthorizationError", 403), EndpointConnectionError(endpoint_url="x")],
)
def test_a_mail_that_was_surely_not_sent_is_sent_at_the_next_try(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    drop = cloud.drop()
    cloud.put_report(succeeded(drop))
    event = event_of("glue_succeeded", run_of(cloud, drop))
    with monkeypatch.context() as patched:
        publish_fails(patched, error)
        with pytest.raises(type(error)):
            notify_about(event)
    assert notify_about(event) is True
    assert len(cloud.mails()) == 1


@pytest.mark.parametrize("error", [sns_error("InternalError", 500), ReadTimeoutError(endpoint_url="x")])
def test_a_mail_whose_answer_was_lost_is_not_sent_again(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    drop = cloud.drop()
    cloud.put_report(succeeded(drop))
    event = event_of("glue_succeeded", run_of(cloud, drop))
    with monkeypatch.context() as patched:
        publish_fails(patched, error)
        with pytest.raises(type(error)):
            notify_about(event)
    assert notify_about(event) is False
    cloud.outlive(f"notified/{drop.load_id}/1.sending.json")
    with pytest.raises(TerminalError):
        notify_about(event)
    assert cloud.mails() == []


def test_a_publish_is_sent_once_whatever_the_answer(cloud: Cloud) -> None:
    sent: list[str] = []
    sns = handler.dependencies().notifier.sns

    def lose_the_answer(request: Any, **_: Any) -> None:
        sent.append(request.url)
        raise ReadTimeoutError(endpoint_url=request.url)

    sns.meta.events.register("before-send.sns.Publish", lose_the_answer)
    with pytest.raises(ReadTimeoutError):
        notify_about(event_of("glue_stopped", run_of(cloud, cloud.drop())))
    assert len(sent) == 1


@pytest.mark.parametrize(("confirmed", "pending", "is_sent"), [(0, 1, False), (1, 1, True), (0, 0, True)])
def test_a_mail_without_a_reader_is_not_marked_as_sent(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, confirmed: int, pending: int, is_sent: bool
) -> None:
    drop = cloud.drop()
    cloud.put_report(succeeded(drop))
    event = event_of("glue_succeeded", run_of(cloud, drop))
    attributes = {"SubscriptionsConfirmed": str(confirmed), "SubscriptionsPending": str(pending)}
    with monkeypatch.context() as patched:
        sns = handler.dependencies().notifier.sns
        patched.setattr(sns, "get_topic_attributes", lambda **_: {"Attributes": attributes})
        assert notify_about(event) is is_sent
    assert cloud.keys("notified/") == ([] if not is_sent else sorted(cloud.keys("notified/")))
    notify_about(event)
    assert len(cloud.mails()) == 1
