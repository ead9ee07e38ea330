"""Small programs are deployed. A resource that the local cloud does not support is refused by name."""

from __future__ import annotations

import gc
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.api.aws import Aws
from local.api.program_warehouse import ProgramWarehouse
from local.deploy import Deployed, DeployFailed, deploy
from local.moto_hooks import Hooks, remove_account, use_hooks
from local.provider import MotoProvider

PROJECT = "name: small\nruntime: python\nconfig: {}\n"


@pytest.fixture
def provider() -> Iterator[MotoProvider]:
    account = f"{uuid.uuid4().int % 10**12:012}"
    aws = Aws.start(account=account, region="eu-west-1")
    use_hooks(account, Hooks(on_object_event=lambda _: None, pace=1.0))
    yield MotoProvider(aws, ProgramWarehouse(aws))
    aws.stop()
    remove_account(account)


def run(program: str, provider: MotoProvider, folder: Path) -> Deployed:
    (folder / "Pulumi.yaml").write_text(PROJECT)
    (folder / "__main__.py").write_text(program)
    return deploy(folder, provider, stack="test", config={"aws:region": "eu-west-1"})


def test_declared_resources_exist_and_outputs_are_read_back(provider: MotoProvider, tmp_path: Path) -> None:
    deployed = run(
        "import pulumi\nfrom pulumi_aws import sqs\n"
        "queue = sqs.Queue('mine', visibility_timeout_seconds=42)\n"
        "pulumi.export('url', queue.url)\n",
        provider,
        tmp_path,
    )
    assert deployed.resources == (("aws:sqs/queue:Queue", "mine"),)
    response = provider.client("sqs").get_queue_attributes(QueueUrl=deployed.outputs["url"], AttributeNames=["All"])
    assert response["Attributes"]["VisibilityTimeout"] == "42"


def test_an_unknown_resource_type_is_refused_by_name(provider: MotoProvider, tmp_path: Path) -> None:
    with pytest.raises(DeployFailed, match=r"'mine' of type aws:kms/key:Key, which the local cloud cannot create"):
        run("from pulumi_aws import kms\nkms.Key('mine')\n", provider, tmp_path)


def test_a_failure_is_reported_once(provider: MotoProvider, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(DeployFailed, match="which the local cloud cannot create"):
        run(
            "from pulumi_aws import kms, sqs\nkey = kms.Key('mine')\nsqs.Queue('its', name=key.id)\n",
            provider,
            tmp_path,
        )
    gc.collect()
    assert caplog.text == ""


def test_a_failed_deployment_names_the_resource(provider: MotoProvider, tmp_path: Path) -> None:
    with pytest.raises(DeployFailed, match=r"aws:sqs/queuePolicy:QueuePolicy 'wrong' was not created"):
        run(
            "from pulumi_aws import sqs\nsqs.QueuePolicy('wrong', queue_url='http://127.0.0.1/1/none', policy='{}')\n",
            provider,
            tmp_path,
        )


def test_a_program_may_not_look_things_up(provider: MotoProvider, tmp_path: Path) -> None:
    with pytest.raises(Exception, match="must not look anything up in AWS"):
        run("from pulumi_aws import get_region\nget_region()\n", provider, tmp_path)


def test_a_bucket_may_notify_queues_only(provider: MotoProvider, tmp_path: Path) -> None:
    with pytest.raises(DeployFailed, match="notify queues only, not topics"):
        run(
            "from pulumi_aws import s3\nbucket = s3.Bucket('mine')\n"
            "s3.BucketNotification('mine', bucket=bucket.bucket, topics=[{'topic_arn': 'arn:a', 'events': ['x']}])\n",
            provider,
            tmp_path,
        )


def test_a_setting_that_would_be_ignored_is_refused_by_name(provider: MotoProvider, tmp_path: Path) -> None:
    with pytest.raises(DeployFailed, match=r"sets delaySeconds of 'mine', a aws:sqs/queue:Queue, .* ignores"):
        run("from pulumi_aws import sqs\nsqs.Queue('mine', delay_seconds=5)\n", provider, tmp_path)
    with pytest.raises(DeployFailed, match=r"sets rules.bucketKeyEnabled of 'mine'"):
        run(
            "from pulumi_aws import s3\nbucket = s3.Bucket('mine')\n"
            "s3.BucketServerSideEncryptionConfiguration('mine', bucket=bucket.bucket, rules=[{\n"
            "    'apply_server_side_encryption_by_default': {'sse_algorithm': 'AES256'},\n"
            "    'blocked_encryption_types': ['SSE-C'], 'bucket_key_enabled': True}])\n",
            provider,
            tmp_path,
        )
