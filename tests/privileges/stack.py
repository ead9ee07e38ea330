"""A deployed stack in which functions and jobs run only when a test calls them."""

from __future__ import annotations

import json
import os
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any
from unittest import mock

import boto3
import redshift_connector
from moto.sqs.models import sqs_backends
from redshift_connector.iam_helper import IamHelper

from jobs.arguments import parse_arguments
from jobs.load_dimensions import load_dimensions
from jobs.process_transactions import process_transactions
from local.api.aws import Credentials
from local.api.aws_requests import AwsRequest
from local.api.iam_middleware import Refused
from local.api.permissions import RequiredPermission
from local.local_cloud import LocalCloud
from local.runtime.queue_reader import QueueReader
from schemas.backfills import Backfill
from schemas.drops import Drop
from schemas.reports import SUCCEEDED, Report
from schemas.runs import LOAD, ArchivedCopy, RunArguments
from schemas.work_bucket import (
    BACKFILL_KEY,
    CLAIMS,
    NOTIFIED,
    OPEN,
    REPORTS,
    SWEEP,
    archiving_key,
    claim_key,
    deferred_key,
    open_key,
    report_key,
    staging_prefix,
)
from tests.local.local_clouds import ROOT, transactions
from tests.privileges.rights import Right, document_of, rights_of

TRANSACTIONS, PRODUCTS, CUSTOMERS = "transactions", "dim_products", "dim_customers"
SAMPLES = ROOT / "schemas" / "samples"
CONTENT = {
    TRANSACTIONS: transactions("T1,C12345,P12345,3,2023-03-15,Completed", "T2,C12345,P12345,3,2023-03-15,lost"),
    PRODUCTS: (SAMPLES / "dim_products.csv").read_bytes(),
    CUSTOMERS: (SAMPLES / "dim_customers.csv").read_bytes(),
}
_FOLDERS = {TRANSACTIONS: "transactions/year=2023/month=03/day=15/day", PRODUCTS: "dimensions/dim_products"}
_FOLDERS[CUSTOMERS] = "dimensions/dim_customers"


@contextmanager
def nothing_moves() -> Iterator[None]:
    """No queue is read while the local cloud starts."""
    with mock.patch.object(QueueReader, "read", return_value=None):
        yield


@dataclass
class Stack:
    cloud: LocalCloud
    statements: list[str]
    """Everything the warehouse was sent since it was opened."""
    needed: list[tuple[str, RequiredPermission]] = field(default_factory=list)
    """Role and need of everything that was asked for since the list was last emptied."""
    invoked: list[str] = field(default_factory=list)
    """Functions that were asked for by other functions."""
    _signed_in: dict[str, Credentials] = field(default_factory=dict)

    def __post_init__(self) -> None:
        iam, router = self.cloud.aws.iam, self.cloud.router
        iam.on_permission = lambda role, need: self.needed.append((role, need))
        iam.on_invoke = self._note_invocation
        iam.after_run_start = lambda job, run: router.glue.run(job, run).end("SUCCEEDED", "")
        router.delivery_policy = lambda _: ()
        # Lambda's minutes between its tries.
        router.pace = 1e9

    @cached_property
    def roles(self) -> dict[str, str]:
        """ARN of every role, by the name of the function, the job or the command that acts in it."""
        functions = self.client("lambda").list_functions()["Functions"]
        glue = self.client("glue")
        jobs = [glue.get_job(JobName=name)["Job"] for name in glue.list_jobs()["JobNames"]]
        roles = {_last(actual["FunctionName"]): actual["Role"] for actual in functions}
        roles |= {_last(job["Name"]): job["Role"] for job in jobs}
        return roles | {"copy": jobs[0]["NonOverridableArguments"]["--pipeline-copy-role-arn"]}

    def client(self, service: str) -> Any:
        """A client with every right."""
        return self.cloud.client(service)

    def client_as(self, actor: str, service: str) -> Any:
        """A client with an actor's rights."""
        return self.cloud.aws.client_as(service, self._credentials(actor))

    def role_name(self, actor: str) -> str:
        return self.roles[actor].rpartition("/")[2]

    @contextmanager
    def without(self, actor: str, right: Right) -> Iterator[None]:
        """The actor's role lacks one right of its policy."""
        name, whole = self._policy(actor)
        rights = rights_of(whole)
        put = partial(self.client("iam").put_role_policy, RoleName=self.role_name(actor), PolicyName=name)
        rights.remove(right)
        put(PolicyDocument=document_of(rights))
        try:
            yield
        finally:
            put(PolicyDocument=whole)

    def rights(self, actor: str) -> list[Right]:
        """Every single right that the actor's role has."""
        return rights_of(self._policy(actor)[1])

    def _policy(self, actor: str) -> tuple[str, str]:
        """The name and the text of the one policy of the actor's role."""
        iam, role = self.client("iam"), self.role_name(actor)
        (name,) = iam.list_role_policies(RoleName=role)["PolicyNames"]
        return name, json.dumps(iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"])

    # what is in the buckets

    def drop(self, kind: str, *, tags: str = "") -> Drop:
        bucket, key = self.cloud.outputs["drop_bucket"], f"{_FOLDERS[kind]}_{uuid.uuid4().hex[:8]}.csv"
        tagged = {"Tagging": tags} if tags else {}
        stored = self.client("s3").put_object(Bucket=bucket, Key=key, Body=CONTENT[kind], **tagged)
        return Drop(bucket, key, stored["VersionId"])

    def take_away(self, drop: Drop) -> None:
        self.client("s3").delete_object(Bucket=drop.bucket, Key=drop.key, VersionId=drop.version_id)

    def job_of(self, drop: Drop) -> str:
        return str(self.cloud.outputs["transactions_job" if drop.key.startswith("tr") else "dimensions_job"])

    def ran(self, drop: Drop, *, attempt: int = 1) -> str:
        """A run for the drop was started and is over; its id."""
        arguments = RunArguments(drop, attempt).encode()
        started = self.client("glue").start_job_run(JobName=self.job_of(drop), Arguments=arguments)
        return str(started["JobRunId"])

    def claimed(self, drop: Drop, run_id: str | None, *, attempt: int = 1, lease_seconds: float | None = None) -> None:
        """An attempt is open and claimed, as start_run does it."""
        payload = {
            "load_id": drop.load_id,
            "attempt": attempt,
            "bucket": drop.bucket,
            "key": drop.key,
            "version_id": drop.version_id,
            "job_name": self.job_of(drop),
            "requested_by": None,
            "run_id": run_id,
            **({} if lease_seconds is None else {"holder": "dead", "lease_seconds": lease_seconds}),
        }
        self._write(open_key(drop.load_id, attempt, "0a"), "{}")
        self._write(claim_key(drop.load_id, attempt), json.dumps(payload))

    def claim(self, drop: Drop) -> Mapping[str, Any]:
        key = claim_key(drop.load_id, 1)
        body = self.client("s3").get_object(Bucket=self.cloud.outputs["work_bucket"], Key=key)["Body"].read()
        return dict(json.loads(body))

    def reported(self, drop: Drop, *, awaited_by: Sequence[Drop] = ()) -> None:
        """The first attempt loaded the drop."""
        moment = "2023-03-16T06:00:00+00:00"
        kind = TRANSACTIONS if drop.key.startswith("tr") else PRODUCTS
        counts = dict.fromkeys(("rows_read", "inserted", "updated", "unchanged", "stale", "duplicate", "rejected"), 0)
        report = Report(
            load_id=drop.load_id,
            attempt=1,
            kind=kind,
            outcome=SUCCEEDED,
            bucket=drop.bucket,
            key=drop.key,
            version_id=drop.version_id,
            started_at=moment,
            finished_at=moment,
            partition_day="2023-03-15" if kind == TRANSACTIONS else None,
            counts=counts,
            awaited_by=list(awaited_by),
        )
        self._write(report_key(drop.load_id, 1), report.to_json())

    def report(self, drop: Drop) -> Report:
        key = report_key(drop.load_id, 1)
        body = self.client("s3").get_object(Bucket=self.cloud.outputs["work_bucket"], Key=key)["Body"].read()
        return Report.from_json(body.decode("utf-8"))

    def staged(self, drop: Drop) -> list[str]:
        return self.keys(staging_prefix(drop.load_id, 1))

    def empty(self) -> None:
        """No drop, no claim, no report, no note, no message: what a sweep looks at."""
        s3, bucket = self.client("s3"), self.cloud.outputs["drop_bucket"]
        for version in s3.list_object_versions(Bucket=bucket).get("Versions", []):
            s3.delete_object(Bucket=bucket, Key=version["Key"], VersionId=version["VersionId"])
        for prefix in (CLAIMS, REPORTS, NOTIFIED, OPEN, SWEEP):
            for key in self.keys(prefix):
                self.forget(key)
        self.empty_queue(self.cloud.outputs["queue_url"])
        self.invoked.clear()

    def empty_queue(self, url: str) -> None:
        """Its messages are gone, which SQS would do but once a minute."""
        backend = sqs_backends[self.cloud.aws.account][self.cloud.aws.region]
        backend.get_queue(url.rpartition("/")[2])._messages.clear()

    def backfill_stopped(self) -> None:
        """A backfill was killed and not continued."""
        backfill = Backfill("5f0c0123456789ab", ["transactions/year=2023/month=03/day=15/day.csv"])
        self._write(BACKFILL_KEY, json.dumps({**backfill.to_payload(), "lease_seconds": -1}))

    def archiving_began(self, drop: Drop) -> None:
        """A run of archive claimed the drop, and died."""
        self._write(archiving_key(drop.load_id), json.dumps({"holder": "dead", "lease_seconds": -1}))

    def note(self, key: str) -> None:
        """A note of one of the functions, without a content that anybody reads."""
        self._write(key, "{}")

    def forget(self, key: str) -> None:
        """An object of the work bucket is gone."""
        self.client("s3").delete_object(Bucket=self.cloud.outputs["work_bucket"], Key=key)

    def note_deferred(self, drop: Drop, *, failure: str) -> None:
        """The first attempt failed and was followed by another instead of a mail, as notify notes it."""
        self._write(deferred_key(drop.load_id, 1), json.dumps({"failure": failure}))

    def keys(self, prefix: str) -> list[str]:
        response = self.client("s3").list_objects_v2(Bucket=self.cloud.outputs["work_bucket"], Prefix=prefix)
        return [entry["Key"] for entry in response.get("Contents", [])]

    def _write(self, key: str, text: str) -> None:
        self.client("s3").put_object(Bucket=self.cloud.outputs["work_bucket"], Key=key, Body=text.encode("utf-8"))

    # who acts

    def function(self, actor: str) -> str:
        return f"transactions-pipeline-dev-{actor}"

    def invoke(self, actor: str, event: Mapping[str, Any]) -> Any:
        """The result of the function's real handler; raises FunctionFailed."""
        return self.cloud.router.functions.invoke(self.function(actor), event)

    def fail_for_good(self, actor: str, event: Mapping[str, Any]) -> int:
        """Lambda tries an event three times without success; returns the number of messages in its failure queue."""
        router = self.cloud.router
        function = router.functions.describe(self.function(actor))
        name = router.functions.gaps.dead_letter_of_function[function.arn].rpartition(":")[2]
        url = self.client("sqs").get_queue_url(QueueName=name)["QueueUrl"]
        self.empty_queue(url)
        router.delivery_policy = lambda delivery: (0.0,) if delivery.kind == "invocation" else ()
        try:
            router.invoke_later(function.arn, event)
            wait_until(lambda: router.is_idle)
        finally:
            router.delivery_policy = lambda _: ()
        names = ["ApproximateNumberOfMessages"]
        response = self.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=names)
        return int(response["Attributes"][names[0]])

    def run_job(self, actor: str, drop: Drop, archived: ArchivedCopy | None = None, *, operation: str = LOAD) -> None:
        """The job in this process, with its role's rights; raises what the job raises."""
        job = self.client("glue").get_job(JobName=self.job_of(drop))["Job"]
        assert _last(job["Name"]) == actor
        given = {**job["NonOverridableArguments"], **RunArguments(drop, 1, operation, archived).encode()}
        arguments = parse_arguments([word for pair in given.items() for word in pair])
        with self._acting_as(actor):
            (process_transactions if arguments.job == "process_transactions" else load_dimensions)(arguments)

    def run_in_glue(self, drop: Drop) -> str:
        """The job as Glue plays it, its script and wheel fetched with its role's rights; the run's state."""
        glue, run_id = self.cloud.router.glue, self.ran(drop)
        glue.execute(self.job_of(drop), run_id)
        return str(glue.run(self.job_of(drop), run_id).status)

    def sign_in(self, actor: str) -> Any:
        """A connection to the warehouse as the job's database user, each statement its own transaction."""
        with self._acting_as(actor):
            connection = redshift_connector.connect(
                **{
                    **self.cloud.warehouse.running().iam_connection(self.cloud.outputs["database"]),
                    "serverless_work_group": self.cloud.outputs["workgroup"],
                }
            )
        connection.autocommit = True
        return connection

    def throttle(self, operation: str, *, times: int) -> None:
        """AWS refuses an operation for the time being."""
        left = [times]

        def refuse(asked: AwsRequest) -> None:
            if asked.operation == operation and left[0]:
                left[0] -= 1
                raise Refused("ThrottlingException", "Rate exceeded")

        self.cloud.aws.iam.before = refuse

    def unthrottle(self) -> None:
        self.cloud.aws.iam.before = None

    @contextmanager
    def _acting_as(self, actor: str) -> Iterator[None]:
        """This process has the environment that Glue gives the job's."""
        aws = self.cloud.aws
        environment = {
            **aws.environment(self._credentials(actor)),
            **self.cloud.warehouse.running().client_environment(),
        }
        # The driver keeps passwords for the process; in the cloud each run has its own.
        with (
            mock.patch.dict(os.environ, environment),
            mock.patch.object(boto3, "DEFAULT_SESSION", None),
            mock.patch.dict(IamHelper.credentials_cache, clear=True),
        ):
            yield

    def _credentials(self, actor: str) -> Credentials:
        if actor not in self._signed_in:
            service = {"copy": "redshift", "process-transactions": "glue", "load-dimensions": "glue"}.get(
                actor, "lambda"
            )
            self._signed_in[actor] = self.cloud.aws.assume(
                self.roles[actor], service=f"{service}.amazonaws.com", session="probe"
            )
        return self._signed_in[actor]

    def _note_invocation(self, asked: AwsRequest) -> bytes:
        self.invoked.append(_last(str(asked.parameters["FunctionName"])))
        return b""


def wait_until(is_so: Callable[[], bool], seconds: float = 300) -> None:
    until = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < until, f"it was not so within {seconds} seconds"
        time.sleep(0.01)


def _last(name: str) -> str:
    return name.rpartition("transactions-pipeline-dev-")[2]


@dataclass(frozen=True)
class Calm:
    """The results of a run of every probe with all rights."""

    stack: Stack
    needed: Mapping[Any, tuple[tuple[str, RequiredPermission], ...]]
    """By probe: role and need of everything that was asked for."""
