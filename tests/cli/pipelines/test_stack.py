"""Commands with --stack work on the stack that Pulumi names, on AWS."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer
from typer.testing import CliRunner

from cli.main import app
from schemas.drops import Drop
from schemas.messages import replay_message, retract_message
from schemas.reports import FAILED, SUCCEEDED, Error, Report
from schemas.work_bucket import claim_key, report_key
from tests.cli.terminals import checked
from tests.local.local_clouds import transactions_key

pytestmark = pytest.mark.flow

COUNTS = {"rows_read": 3, "inserted": 2, "updated": 0, "unchanged": 0, "stale": 0, "duplicate": 0, "rejected": 1}
REGION = "eu-central-1"


@dataclass(frozen=True)
class Stack:
    """A stack on a separate AWS, with its buckets and queues but without functions."""

    outputs: dict[str, str]

    def client(self, service: str) -> Any:
        return boto3.client(service)

    def run(self, *words: str) -> Any:
        return CliRunner().invoke(app, [*words, "--stack", "prod"])

    def json(self, *words: str) -> Any:
        return checked(words[0], json.loads(self.run(*words, "--json").stdout))

    def messages(self) -> list[str]:
        received = self.client("sqs").receive_message(QueueUrl=self.outputs["queue_url"], MaxNumberOfMessages=10)
        return [message["Body"] for message in received.get("Messages", [])]

    def drop(self, key: str) -> Drop:
        bucket = self.outputs["drop_bucket"]
        return Drop(bucket, key, self.client("s3").put_object(Bucket=bucket, Key=key, Body=b"rows")["VersionId"])

    def archive(self, drop: Drop) -> None:
        s3 = self.client("s3")
        s3.put_object(
            Bucket=self.outputs["archive_bucket"],
            Key=drop.key,
            Body=b"rows",
            Metadata={"source-version-id": drop.version_id, "load-id": drop.load_id},
        )
        s3.delete_object(Bucket=drop.bucket, Key=drop.key, VersionId=drop.version_id)

    def attempt(self, drop: Drop, number: int, outcome: str | None) -> None:
        """Write an attempt's objects into the work bucket. Without an outcome it is claimed and not started."""
        s3, bucket = self.client("s3"), self.outputs["work_bucket"]
        identity = {"bucket": drop.bucket, "key": drop.key, "version_id": drop.version_id}
        claim = {**identity, "load_id": drop.load_id, "attempt": number, "job_name": "job", "run_id": None}
        s3.put_object(Bucket=bucket, Key=claim_key(drop.load_id, number), Body=json.dumps(claim))
        if outcome is not None:
            succeeded = outcome == SUCCEEDED
            report = Report(
                load_id=drop.load_id,
                attempt=number,
                kind="transactions",
                outcome=outcome,
                started_at="2026-11-26T10:00:00+00:00",
                finished_at="2026-11-26T10:00:09+00:00",
                counts=COUNTS if succeeded else None,
                error=None if succeeded else Error("line 3 is not UTF-8", False, "TerminalError"),
                **identity,
            )
            s3.put_object(Bucket=bucket, Key=report_key(drop.load_id, number), Body=report.to_json())


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def stack(tmp_path: Path, endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Stack:
    for name, value in {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "operator",
        "AWS_SECRET_ACCESS_KEY": "operator",
        # The stack's own Region comes from its outputs.
        "AWS_DEFAULT_REGION": REGION,
    }.items():
        monkeypatch.setenv(name, value)
    name = uuid.uuid4().hex[:12]
    s3, sqs = boto3.client("s3"), boto3.client("sqs")
    outputs = {f"{kind}_bucket": f"{kind}-{name}" for kind in ("drop", "work", "archive")}
    for bucket in outputs.values():
        s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    outputs["queue_url"] = sqs.create_queue(QueueName=f"drops-{name}")["QueueUrl"]
    outputs["dead_letter_queue_url"] = sqs.create_queue(QueueName=f"dead-{name}")["QueueUrl"]
    outputs["topic_arn"] = boto3.client("sns").create_topic(Name=f"outcomes-{name}")["TopicArn"]
    (tmp_path / "outputs.json").write_text(json.dumps(outputs))
    (tmp_path / "pulumi").write_text(
        f'#!/bin/sh\necho "$@" > "{tmp_path}/asked"\n[ "$6" = prod ] && cat "{tmp_path}/outputs.json"\n'
    )
    (tmp_path / "pulumi").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return Stack(outputs)


def test_the_outputs_of_the_named_stack_are_asked_for(stack: Stack, tmp_path: Path) -> None:
    assert stack.json("loads")["loads"] == []
    asked = (tmp_path / "asked").read_text().split()
    assert asked[:6] == ["stack", "output", "--json", "--non-interactive", "--stack", "prod"]


def test_the_environment_variable_names_a_stack_too(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIPELINE_STACK", "prod")
    result = CliRunner().invoke(app, ["loads"])
    assert (result.exit_code, result.stdout) == (0, "No load in the stack prod.\n")


def test_loads_of_every_phase_are_distinguished(stack: Stack) -> None:
    archived, failed, claimed, waiting = (stack.drop(transactions_key(day)) for day in (1, 2, 3, 4))
    stack.attempt(archived, 1, SUCCEEDED)
    stack.archive(archived)
    stack.attempt(failed, 1, FAILED)
    stack.attempt(claimed, 1, None)
    stages = {load["load_id"]: load["stage"] for load in stack.json("loads")["loads"]}
    assert stages == {
        archived.load_id: "archived",
        failed.load_id: "failed",
        claimed.load_id: "queued",
        waiting.load_id: "queued",
    }
    shown = stack.run("show", failed.load_id).stdout
    assert "line 3 is not UTF-8" in shown
    assert f"pipeline replay {failed.load_id} --stack prod" in shown


def test_an_archived_load_is_replayed_once_for_many_requests(stack: Stack) -> None:
    drop = stack.drop(transactions_key(5))
    stack.attempt(drop, 1, SUCCEEDED)
    stack.archive(drop)
    other = stack.drop(drop.key)
    stack.attempt(other, 1, FAILED)
    planned = stack.json("replay", drop.load_id, "--dry-run")
    assert planned["loads"][0]["reason"] == "attempt 2 starts from the archive"
    assert stack.messages() == []
    for _ in range(2):
        assert stack.run("replay", "2023-03-05", "--version-id", drop.version_id).exit_code == 0
    assert stack.messages() == [replay_message(drop, request=f"replay:{drop.load_id}:1")] * 2


def test_all_failed_loads_are_replayed_at_once(stack: Stack) -> None:
    assert stack.run("replay", "--failed").stdout == "No load has failed.\n"
    good, bad, worse = (stack.drop(transactions_key(day)) for day in (1, 2, 3))
    stack.attempt(good, 1, SUCCEEDED)
    stack.attempt(bad, 1, FAILED)
    stack.attempt(worse, 1, FAILED)
    stack.attempt(worse, 2, FAILED)
    stack.run("replay", "--failed")
    attempts = ((bad, 1), (worse, 2))
    expected = [replay_message(drop, request=f"replay:{drop.load_id}:{last}") for drop, last in attempts]
    assert sorted(stack.messages()) == sorted(expected)


def test_a_load_is_retracted_only_when_that_is_said(stack: Stack) -> None:
    drop = stack.drop(transactions_key(6))
    stack.attempt(drop, 1, SUCCEEDED)
    unsaid = stack.run("retract", drop.load_id)
    assert (unsaid.exit_code, "confirm it with --yes" in unsaid.stderr, stack.messages()) == (2, True, [])
    assert stack.json("retract", drop.load_id, "--yes") == {"load_id": drop.load_id, "starts": True, "reason": None}
    assert stack.messages() == [retract_message(drop, request=f"retract:{drop.load_id}:1")]


@pytest.mark.parametrize(
    ("key", "outcome", "sentence"),
    [
        (transactions_key(7), FAILED, "nothing of it was ever loaded"),
        (transactions_key(7), None, "it was not loaded yet"),
        ("dimensions/dim_products.csv", SUCCEEDED, "a dimension cannot be taken back"),
    ],
)
def test_a_load_that_cannot_be_retracted_says_why(stack: Stack, key: str, outcome: str | None, sentence: str) -> None:
    drop = stack.drop(key)
    stack.attempt(drop, 1, outcome)
    output = stack.run("retract", drop.load_id, "--yes")
    assert (output.exit_code, sentence in output.stdout, stack.messages()) == (1, True, [])


def test_what_keeps_a_stack_from_working_is_found(stack: Stack) -> None:
    stack.archive(stack.drop("dimensions/dim_customers.csv"))
    stack.client("s3").put_bucket_versioning(
        Bucket=stack.outputs["drop_bucket"], VersioningConfiguration={"Status": "Suspended"}
    )
    stack.client("sqs").send_message(QueueUrl=stack.outputs["dead_letter_queue_url"], MessageBody="?")
    actual = {finding["what"]: finding for finding in stack.json("doctor")["findings"]}
    bad = {what: finding["advice"] for what, finding in actual.items() if not finding["is_good"]}
    assert "its versioning is Suspended" in bad["drop bucket"]
    assert "no dim_products was ever loaded" in bad["products"]
    assert "no address gets them" in bad["mails"]
    assert "1 message could not be handled" in bad["dead letters"]
    assert "has no output transactions_job" in bad["jobs"]
    assert {"archive bucket", "customers"} & set(bad) == set()
    assert stack.run("doctor").exit_code == 3


def test_a_large_job_that_is_missing_is_found(stack: Stack, tmp_path: Path) -> None:
    job = {"Role": "role", "Command": {"Name": "glueetl", "ScriptLocation": "s3://code/glue_entry.py"}}
    names = {f"{job}_job": f"{job}-{uuid.uuid4().hex[:12]}" for job in ("transactions", "dimensions", "large")}
    (tmp_path / "outputs.json").write_text(json.dumps({**stack.outputs, **names}))

    def advice() -> str:
        findings = {finding["what"]: finding["advice"] for finding in stack.json("doctor")["findings"]}
        return str(findings["jobs"])

    for name in (names["transactions_job"], names["dimensions_job"]):
        stack.client("glue").create_job(Name=name, **job)
    assert advice().startswith(f"the job {names['large_job']} does not exist in {REGION}; run `pulumi up`")
    stack.client("glue").create_job(Name=names["large_job"], **job)
    assert "does not exist" not in advice()


def test_generate_uploads_and_stops_when_a_dimension_fails(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail_the_products(_: float) -> None:
        versions = stack.client("s3").list_object_versions(Bucket=stack.outputs["drop_bucket"])["Versions"]
        for version in versions:
            drop = Drop(stack.outputs["drop_bucket"], version["Key"], version["VersionId"])
            stack.attempt(drop, 1, FAILED if "products" in drop.key else SUCCEEDED)
            if "products" not in drop.key:
                stack.archive(drop)

    monkeypatch.setattr("cli.drops.uploads.time", SimpleNamespace(sleep=fail_the_products, monotonic=lambda: 0.0))
    output = stack.run("generate", "--upload", "--days", "2", "--rows", "20", "--products", "3", "--customers", "3")
    assert output.exit_code == 1
    assert "dim_products.csv was not loaded, so no day was uploaded: line 3 is not UTF-8" in output.stderr
    left = stack.client("s3").list_objects_v2(Bucket=stack.outputs["drop_bucket"])["Contents"]
    assert [entry["Key"] for entry in left] == ["dimensions/dim_products.csv"]
