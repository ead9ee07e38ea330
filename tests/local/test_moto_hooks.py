"""Differences between moto and AWS that the local cloud corrects: deletions in a bucket, e-mail subscriptions."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.api.aws import Aws
from local.moto_hooks import Hooks, ObjectEvent, remove_account, use_hooks
from local.moto_hooks.sns import confirm_subscriptions

KEY = "transactions/file.csv"


@pytest.fixture
def events() -> list[ObjectEvent]:
    return []


@pytest.fixture
def mails() -> list[tuple[str, str, str]]:
    return []


@pytest.fixture
def aws(events: list[ObjectEvent], mails: list[tuple[str, str, str]]) -> Iterator[Aws]:
    account = f"{uuid.uuid4().int % 10**12:012}"
    aws = Aws.start(account=account, region="eu-west-1")
    hooks = Hooks(
        on_object_event=events.append,
        pace=1.0,
        on_mail=lambda to, subject, body: mails.append((to, subject, body)),
        confirms_subscriptions=False,
    )
    use_hooks(account, hooks)
    yield aws
    aws.stop()
    remove_account(account)


@pytest.fixture
def s3(aws: Aws) -> Any:
    """A client, with the versioned bucket `drops`."""
    s3 = aws.client("s3")
    s3.create_bucket(Bucket="drops", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    s3.put_bucket_versioning(Bucket="drops", VersioningConfiguration={"Status": "Enabled"})
    return s3


def keys_and_versions(events: list[ObjectEvent]) -> list[tuple[str, str | None]]:
    """The keys and versions of the events, without moto's tagging event after every upload."""
    named = [(event.name.removeprefix("s3:Object"), event.version_id) for event in events]
    return [(name, version) for name, version in named if not name.startswith("Tagging")]


def test_a_deletion_leaves_a_marker_and_makes_its_event(s3: Any, events: list[ObjectEvent]) -> None:
    version = s3.put_object(Bucket="drops", Key=KEY, Body=b"x")["VersionId"]
    marker = s3.delete_object(Bucket="drops", Key=KEY)
    assert marker["DeleteMarker"] is True
    assert keys_and_versions(events) == [("Created:Put", version), ("Removed:DeleteMarkerCreated", marker["VersionId"])]
    with pytest.raises(ClientError, match="404"):
        s3.head_object(Bucket="drops", Key=KEY)
    assert s3.head_object(Bucket="drops", Key=KEY, VersionId=version)["ContentLength"] == 1
    with pytest.raises(ClientError, match="405"):
        s3.head_object(Bucket="drops", Key=KEY, VersionId=marker["VersionId"])


def test_a_version_and_a_marker_are_deleted_for_good(s3: Any, events: list[ObjectEvent]) -> None:
    version = s3.put_object(Bucket="drops", Key=KEY, Body=b"x")["VersionId"]
    marker = s3.delete_object(Bucket="drops", Key=KEY)["VersionId"]
    s3.delete_object(Bucket="drops", Key=KEY, VersionId=marker)
    assert s3.head_object(Bucket="drops", Key=KEY)["VersionId"] == version, "the hidden version is current again"
    s3.delete_objects(Bucket="drops", Delete={"Objects": [{"Key": KEY, "VersionId": version}]})
    assert keys_and_versions(events)[2:] == [("Removed:Delete", marker), ("Removed:Delete", version)]
    assert "Versions" not in s3.list_object_versions(Bucket="drops")


def test_deleting_a_version_that_is_not_there_makes_no_event(s3: Any, events: list[ObjectEvent]) -> None:
    s3.put_object(Bucket="drops", Key=KEY, Body=b"x")
    s3.delete_object(Bucket="drops", Key=KEY, VersionId="00000000-0000-0000-0000-000000000000")
    assert len(keys_and_versions(events)) == 1


def test_what_is_deleted_a_second_time_is_no_error(s3: Any, events: list[ObjectEvent]) -> None:
    version = s3.put_object(Bucket="drops", Key=KEY, Body=b"x")["VersionId"]
    for _ in range(2):
        answer = s3.delete_objects(Bucket="drops", Delete={"Objects": [{"Key": KEY, "VersionId": version}]})
        assert "Errors" not in answer
    assert keys_and_versions(events) == [("Created:Put", version), ("Removed:Delete", version)]


def test_a_pending_subscription_receives_nothing(aws: Aws, mails: list[tuple[str, str, str]]) -> None:
    sns = aws.client("sns")
    topic = sns.create_topic(Name="outcomes")["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="email", Endpoint="analyst@example.com")

    def counts() -> tuple[str, str]:
        attributes = sns.get_topic_attributes(TopicArn=topic)["Attributes"]
        return attributes["SubscriptionsConfirmed"], attributes["SubscriptionsPending"]

    sns.publish(TopicArn=topic, Subject="first", Message="…")
    assert (mails, counts()) == ([], ("0", "1"))
    (listed,) = sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
    assert listed["SubscriptionArn"] == "PendingConfirmation"

    confirm_subscriptions(aws.account, aws.region)
    sns.publish(TopicArn=topic, Subject="second", Message="…")
    assert (mails, counts()) == ([("analyst@example.com", "second", "…")], ("1", "0"))
    (listed,) = sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
    assert listed["SubscriptionArn"].startswith(topic)


def test_a_second_subscription_of_one_address_is_the_first(aws: Aws) -> None:
    sns = aws.client("sns")
    topic = sns.create_topic(Name="outcomes")["TopicArn"]
    subscribe: Callable[[], Any] = lambda: sns.subscribe(  # noqa: E731
        TopicArn=topic, Protocol="email", Endpoint="analyst@example.com", ReturnSubscriptionArn=True
    )["SubscriptionArn"]
    assert subscribe() == subscribe()
    assert sns.get_topic_attributes(TopicArn=topic)["Attributes"]["SubscriptionsPending"] == "1"
