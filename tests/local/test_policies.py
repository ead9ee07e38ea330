"""Roles, trust, and the policies of queues and functions: a request that the program does not allow is refused."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError
from moto.s3.models import S3Backend

from cli.drops.progress import Progress
from cli.drops.status import Phase
from local.local_cloud import LocalCloud
from tests.local.local_clouds import GOOD, phase_of, put, transactions, transactions_key

pytestmark = pytest.mark.flow


def test_a_role_may_no_more_than_its_policies_say(undisturbed: LocalCloud) -> None:
    notify = undisturbed.router.functions.describe("transactions-pipeline-dev-notify")
    s3 = undisturbed.aws.client_as("s3", undisturbed.router.functions.credentials(notify))
    bucket = undisturbed.outputs["drop_bucket"]
    with pytest.raises(ClientError, match="is not authorized to perform s3:PutObject on"):
        s3.put_object(Bucket=bucket, Key=transactions_key(20), Body=b"")
    with pytest.raises(ClientError, match="Forbidden"):
        s3.head_object(Bucket=bucket, Key=transactions_key(1))
    # For a role that may read but not list, S3 answers AccessDenied where an object is missing.
    with pytest.raises(ClientError, match="AccessDenied"):
        s3.get_object(Bucket=undisturbed.outputs["work_bucket"], Key="reports/missing.json")
    assert not [drop for drop in Progress(undisturbed).in_drop_bucket() if "day=20" in drop.key]


def test_a_role_is_assumed_by_the_service_it_trusts_and_no_other(undisturbed: LocalCloud) -> None:
    notify = undisturbed.router.functions.describe("transactions-pipeline-dev-notify")
    with pytest.raises(ClientError, match=r"does not trust glue\.amazonaws\.com"):
        undisturbed.aws.assume(notify.role, service="glue.amazonaws.com", session="test")


def test_an_unsigned_request_is_refused(undisturbed: LocalCloud) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"{undisturbed.aws.url}/{undisturbed.outputs['drop_bucket']}")
    refused.value.close()
    assert refused.value.code == 403


def test_without_the_queues_policy_the_bucket_cannot_send_to_it(undisturbed: LocalCloud) -> None:
    sqs, url = undisturbed.client("sqs"), undisturbed.outputs["queue_url"]
    policy = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["Policy"])["Attributes"]["Policy"]
    nobody = json.dumps({"Version": "2012-10-17", "Statement": []})
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": nobody})
    drop = put(undisturbed, transactions_key(21), transactions(GOOD.format(number=21, day=21)))
    undisturbed.wait_until_idle()
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
    assert phase_of(undisturbed, drop) is Phase.QUEUED
    (trouble,) = undisturbed.router.warnings
    assert "may not send to" in trouble


def test_an_event_that_its_rule_may_not_deliver_is_a_dead_letter(
    undisturbed: LocalCloud,
) -> None:
    functions, sqs = undisturbed.client("lambda"), undisturbed.client("sqs")
    notify = undisturbed.router.functions.describe("transactions-pipeline-dev-notify")
    statements = json.loads(functions.get_policy(FunctionName=notify.name)["Policy"])["Statement"]

    def let_invoke(source_arn: Callable[[dict[str, Any]], str]) -> None:
        for statement in statements:
            functions.remove_permission(FunctionName=notify.name, StatementId=statement["Sid"])
            functions.add_permission(
                FunctionName=notify.name,
                StatementId=statement["Sid"],
                Action=statement["Action"],
                Principal=statement["Principal"]["Service"],
                SourceArn=source_arn(statement),
            )

    let_invoke(lambda _: f"arn:aws:events:{undisturbed.aws.region}:{undisturbed.aws.account}:rule/another")
    before = len(undisturbed.mails())
    drop = put(undisturbed, transactions_key(22), transactions(GOOD.format(number=22, day=22)))
    undisturbed.wait_until_idle()
    let_invoke(lambda statement: statement["Condition"]["ArnLike"]["AWS:SourceArn"])
    assert phase_of(undisturbed, drop) is Phase.ARCHIVED, "archive is invoked by its own rule"
    assert len(undisturbed.mails()) == before
    queue = undisturbed.router.functions.gaps.dead_letter_of_function[notify.arn].rpartition(":")[2]
    url = sqs.get_queue_url(QueueName=queue)["QueueUrl"]
    (message,) = sqs.receive_message(QueueUrl=url)["Messages"]
    sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    assert json.loads(message["Body"])["detail-type"] == "Glue Job State Change"


def test_of_concurrent_conditional_writes_one_succeeds(
    undisturbed: LocalCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    s3, bucket = undisturbed.client("s3"), undisturbed.outputs["work_bucket"]
    put_object = S3Backend.put_object

    def put_object_slowly(*arguments: Any, **named: Any) -> Any:
        time.sleep(0.05)
        return put_object(*arguments, **named)

    # moto checks first and writes afterwards. The pause lets other writers in between.
    monkeypatch.setattr(S3Backend, "put_object", put_object_slowly)

    def write(number: int) -> bool:
        try:
            s3.put_object(Bucket=bucket, Key="claims/test", Body=bytes([number]), IfNoneMatch="*")
        except ClientError as error:
            if error.response["Error"]["Code"] != "PreconditionFailed":
                raise
            return False
        return True

    with ThreadPoolExecutor(8) as writers:
        assert sum(writers.map(write, range(8))) == 1
