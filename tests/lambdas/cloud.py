"""A small AWS in this process (moto) in which the functions run as they do in Lambda, one invocation at a time."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.client import ClientCreator
from botocore.model import ServiceModel
from moto import mock_aws
from moto.glue.models import glue_backends
from moto.moto_api import state_manager
from moto.s3.models import s3_backends
from moto.sns.models import sns_backends
from moto.sqs.models import sqs_backends

from lambdas.archive import handler as archive
from lambdas.notify import handler as notify
from lambdas.start_run import handler as start_run
from lambdas.sweep import handler as sweep
from schemas.drops import Drop
from schemas.reports import Report
from schemas.runs import decode_run
from schemas.work_bucket import report_key

REGION = "eu-west-1"
DROPS, WORK, ARCHIVE = "shop-drops", "shop-work", "shop-archive"
TRANSACTIONS_JOB, DIMENSIONS_JOB = "process_transactions", "load_dimensions"
LARGE_JOB = "process_transactions_large"
DAY_KEY = "transactions/year=2023/month=03/day=15/transactions_2023-03-15.csv"

ACCOUNT_ID = "123456789012"
EVENTS = Path(__file__).parent.parent / "events"


def recorded(name: str) -> dict[str, Any]:
    """An event as AWS sends it."""
    event: dict[str, Any] = json.loads((EVENTS / f"{name}.json").read_text(encoding="utf-8"))
    return event


class Invocation(LambdaContext):
    """The context that Lambda passes to a function."""

    def __init__(self, seconds: float = 30.0) -> None:
        self._function_name = "function"
        self._memory_limit_in_mb = 256
        self._invoked_function_arn = "arn:aws:lambda:eu-west-1:123456789012:function:function"
        self._aws_request_id = "8f507cfc-cba5-4ad1-8a35-2a5b4b8f5c5d"
        self._seconds = seconds

    def get_remaining_time_in_millis(self) -> int:  # type: ignore[override]
        return int(self._seconds * 1000)


@dataclass(frozen=True)
class SentMessage:
    body: str
    waits: int
    backoff_seconds: int


class Killed(BaseException):
    """The process ended here, in the middle of its work."""


@dataclass
class Cloud:
    """The buckets, queue, topic and jobs of one stack."""

    s3: Any
    sqs: Any
    glue: Any
    queue_url: str
    topic_arn: str
    message_count: int = field(default=0)

    @classmethod
    def create(cls) -> Cloud:
        s3 = boto3.client("s3")
        for bucket in (DROPS, WORK, ARCHIVE):
            s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
            s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        sqs, glue, sns = boto3.client("sqs"), boto3.client("glue"), boto3.client("sns")
        for job in (TRANSACTIONS_JOB, DIMENSIONS_JOB, LARGE_JOB):
            glue.create_job(
                Name=job,
                Role="job",
                Command={
                    "Name": "pythonshell",
                    "PythonVersion": "3.9",
                    "ScriptLocation": "s3://shop-work/code/glue_entry.py",
                },
                DefaultArguments={"--pipeline-job": job, "--pipeline-work-bucket": WORK},
                ExecutionProperty={"MaxConcurrentRuns": 3},
                Timeout=60,
            )
        queue_url = sqs.create_queue(QueueName="shop-drops")["QueueUrl"]
        return cls(s3, sqs, glue, queue_url, sns.create_topic(Name="shop-outcomes")["TopicArn"])

    # Drops

    def drop(self, key: str = DAY_KEY, body: bytes = b"transaction_id\n", **more: Any) -> Drop:
        actual = self.s3.put_object(Bucket=DROPS, Key=key, Body=body, **more)
        return Drop(DROPS, key, actual["VersionId"])

    def versions(self, bucket: str, key: str = "") -> list[str]:
        response = self.s3.list_object_versions(Bucket=bucket, Prefix=key)
        return [version["VersionId"] for version in response.get("Versions", [])]

    def keys(self, prefix: str = "", bucket: str = WORK) -> list[str]:
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        return [entry["Key"] for page in pages for entry in page.get("Contents", [])]

    def outlive(self, key: str) -> None:
        """Make a lease expire: its holder is presumed dead."""
        payload = self.read(key)
        if payload.get("lease_seconds"):
            body = json.dumps({**payload, "lease_seconds": 0.001}).encode("utf-8")
            self.s3.put_object(Bucket=WORK, Key=key, Body=body)

    def age(self, key: str, by: timedelta, *, bucket: str = WORK) -> None:
        """Move an object's time of writing back by this much."""
        stored = s3_backends[ACCOUNT_ID]["aws"].get_object(bucket, key)
        assert stored is not None, f"there is no {key}"
        stored.last_modified = stored.last_modified - by

    def move_into_one_second(self, key: str, *, bucket: str = DROPS) -> None:
        """Move the times of a key's versions and delete markers into one second. Their order stays."""
        written = s3_backends[ACCOUNT_ID]["aws"].get_bucket(bucket).keys.getlist(key)
        second = written[0].last_modified.replace(microsecond=0)
        for place, version in enumerate(written):
            version.last_modified = second.replace(microsecond=place)

    def read(self, key: str) -> Any:
        return json.loads(self.s3.get_object(Bucket=WORK, Key=key)["Body"].read())

    # The queue

    def batch(self, *bodies: dict[str, Any] | str, waits: int | None = None) -> dict[str, Any]:
        """The messages as Lambda hands them to the function."""
        records = []
        for body in bodies:
            self.message_count += 1
            record = recorded("sqs_to_lambda" if waits is None else "sqs_to_lambda_sent_back")["Records"][0]
            record["messageId"] = f"message-{self.message_count}"
            record["body"] = body if isinstance(body, str) else json.dumps(body)
            if waits is not None:
                record["messageAttributes"]["waits"]["stringValue"] = str(waits)
            records.append(record)
        return {"Records": records}

    def sent_messages(self) -> list[SentMessage]:
        """The messages sent to the queue since the last call, delayed ones included."""
        queue = sqs_backends[ACCOUNT_ID][REGION].queues["shop-drops"]
        messages = list(queue._messages)
        queue._messages.clear()
        return [
            SentMessage(
                body=message.body,
                waits=int(message.message_attributes.get("waits", {}).get("StringValue", 0)),
                backoff_seconds=round((message.delayed_until - (message.sent_timestamp or 0)) / 1000),
            )
            for message in messages
        ]

    # Glue

    def runs(self, job: str = TRANSACTIONS_JOB) -> list[Any]:
        return list(self.job_runs(job))

    def job_runs(self, job: str = TRANSACTIONS_JOB) -> list[Any]:
        """Glue's own list of runs; tests change it."""
        runs: list[Any] = glue_backends[ACCOUNT_ID][REGION].jobs[job].job_runs
        return runs

    def live_runs(self, job: str = TRANSACTIONS_JOB) -> list[Any]:
        return [run for run in self.runs(job) if run.status in ("STARTING", "RUNNING")]

    def hide_run(self, run: Any) -> None:
        """Hide a run from Glue's reads, as if it were too new to be listed."""
        for job in glue_backends[ACCOUNT_ID][REGION].jobs.values():
            job.job_runs = [other for other in job.job_runs if other is not run]

    def end_run(self, run: Any, state: str, *, report: Report | None = None) -> str:
        """End a run as Glue does. With a report, write it first as the job does."""
        run.status = state
        if report is not None:
            self.put_report(report)
        return str(run.job_run_id)

    def drop_of(self, run: Any) -> tuple[Drop, int]:
        arguments = decode_run(run.arguments)
        assert arguments is not None, "the run was not started for a drop"
        return arguments.drop, arguments.attempt

    def put_report(self, report: Report) -> None:
        key = report_key(report.load_id, report.attempt)
        self.s3.put_object(Bucket=WORK, Key=key, Body=report.to_json().encode("utf-8"))

    # Mail

    def mails(self) -> list[tuple[str, str]]:
        """Subject and body of every mail published so far."""
        topic = sns_backends[ACCOUNT_ID][REGION].topics[self.topic_arn]
        return [(sent[2] or "", sent[1]) for sent in topic.sent_notifications]


ACCOUNT = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_DEFAULT_REGION": REGION}
SESSION = boto3.Session(aws_access_key_id="testing", aws_secret_access_key="testing", region_name=REGION)
"""One session for all tests, because reading the services' descriptions takes longer than most tests."""


def _one_class_for_each_service() -> Callable[..., type]:
    make, made = ClientCreator._create_client_class, dict[str, type]()

    def client_class(creator: ClientCreator, service: str, model: ServiceModel) -> type:
        if service not in made:
            made[service] = make(creator, service, model)
        return made[service]

    return client_class


CLIENT_CLASS = _one_class_for_each_service()
"""A test makes ten clients. Writing their classes anew would take a third of that time."""


@contextmanager
def running_cloud() -> Iterator[Cloud]:
    """A fresh stack and its functions' environment. A run ends only when a test says so."""
    with pytest.MonkeyPatch.context() as patched, mock_aws(config={"core": {"reset_boto3_session": False}}):
        patched.setattr(boto3, "DEFAULT_SESSION", SESSION)
        patched.setattr(ClientCreator, "_create_client_class", CLIENT_CLASS)
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patched.delenv(name)
        for name, value in ACCOUNT.items():
            patched.setenv(name, value)
        state_manager.set_transition("glue::job_run", {"progression": "manual", "times": 10**9})
        cloud = Cloud.create()
        settings = {
            "DROP_BUCKET": DROPS,
            "WORK_BUCKET": WORK,
            "ARCHIVE_BUCKET": ARCHIVE,
            "TRANSACTIONS_JOB": TRANSACTIONS_JOB,
            "DIMENSIONS_JOB": DIMENSIONS_JOB,
            "QUEUE_URL": cloud.queue_url,
            "TOPIC_ARN": cloud.topic_arn,
            "ENVIRONMENT": "dev",
            "JOB_LOG_GROUP": "/aws-glue/python-jobs/output",
            "WAREHOUSE": "redshift://shop-warehouse.eu-west-1:5439/shop",
            "ARCHIVE_FUNCTION": "shop-archive",
            "NOTIFY_FUNCTION": "shop-notify",
        }
        for name, value in settings.items():
            patched.setenv(name, value)
        for function in (start_run, notify, archive, sweep):
            function.dependencies.cache_clear()
        yield cloud
        state_manager.unset_transition("glue::job_run")


def killed_at(client: Any, operation: str, *, after: bool = False) -> Callable[[], None]:
    """From now on the process dies when the client calls an operation: before it, or after its effect.

    Returns a function that removes the trap.
    """

    def die(**_: Any) -> None:
        raise Killed(operation)

    event = f"{'after' if after else 'before'}-call.{client.meta.service_model.service_id.hyphenize()}.{operation}"
    client.meta.events.register(event, die)
    return lambda: client.meta.events.unregister(event, die)
