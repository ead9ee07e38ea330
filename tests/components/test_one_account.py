"""Stacks side by side, and one after another, in an account that others have used before: moto refuses names twice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local.deploy import DeployFailed
from tests.components.one_account import Account, State, opened_account

pytestmark = pytest.mark.flow

REGION = "eu-west-1"


@pytest.fixture
def account(wheel_directory: Path) -> Iterator[Account]:
    with opened_account(wheel_directory) as opened:
        yield opened


def test_a_second_stack_and_region_fit_beside_the_first(account: Account) -> None:
    stacks = [account.up(State(*item)) for item in (("dev", REGION), ("prod", REGION), ("dev", "us-east-2"))]
    outputs: list[Any] = ["drop_bucket", "work_bucket", "archive_bucket", "dashboard"]
    for output in outputs:
        assert len({stack.outputs[output] for stack in stacks}) == 3
    # A name that exists already is noticed: a stack of another state cannot be deployed over the first.
    with pytest.raises(DeployFailed, match="exist"):
        account.up(State("dev", REGION))


def test_a_stack_that_was_destroyed_is_deployed_again(account: Account) -> None:
    """Its buckets hold versions and deleted objects; nothing is left of it, and every name is free again."""
    before, state = account.names(REGION), State("dev", REGION)
    outputs = account.up(state).outputs
    s3 = account.aws(REGION).client("s3")
    for bucket in ("drop_bucket", "work_bucket", "archive_bucket"):
        for _ in range(2):
            s3.put_object(Bucket=outputs[bucket], Key="transactions/a.csv", Body=b"x")
        s3.delete_object(Bucket=outputs[bucket], Key="transactions/a.csv")
    account.destroy(state)
    assert account.names(REGION) == before
    account.up(state)
    # A name that is left behind is noticed: Glue's log groups stood in the way when a stack owned them.
    account.destroy(state, stays=lambda entry: entry.kind == "LogGroup")
    with pytest.raises(DeployFailed, match="exist"):
        account.up(state)


def test_a_stack_that_keeps_its_data_finds_it_again(account: Account) -> None:
    state = State("prod", REGION)
    first = account.up(state).outputs
    s3 = account.aws(REGION).client("s3")
    version = s3.put_object(Bucket=first["archive_bucket"], Key="transactions/a.csv", Body=b"x")["VersionId"]
    account.destroy(state)
    for bucket in ("drop_bucket", "work_bucket", "archive_bucket"):
        named = {"Bucket": first[bucket]}
        assert s3.get_bucket_versioning(**named)["Status"] == "Enabled"
        for ask in (s3.get_bucket_policy, s3.get_bucket_encryption, s3.get_public_access_block):
            ask(**named)
        assert s3.get_bucket_lifecycle_configuration(**named)["Rules"]
    assert {kind for _, kind, _ in account.warehouses} == {"aws:redshiftserverless/namespace:Namespace"}

    again = account.up(state).outputs
    assert dict(again) == dict(first)
    assert s3.get_object(Bucket=again["archive_bucket"], Key="transactions/a.csv", VersionId=version)["Body"].read()
    [queue] = s3.get_bucket_notification_configuration(Bucket=again["drop_bucket"])["QueueConfigurations"]
    assert queue["QueueArn"].endswith(":transactions-pipeline-prod-drops")
