"""From a drop to a run: the bucket's one notification, the queue and the function that starts the job."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
from pulumi_aws import lambda_, s3, sqs

from components.deployment import Deployment
from components.functions import Function, FunctionArgs, Runtime
from components.permissions import (
    allow_service,
    list_below,
    list_bucket_for_404,
    policy,
    publish_to,
    read_object_versions,
    read_objects,
    read_runs,
    receive_from,
    refuse_plain_http,
    send_to,
    start_runs,
    write_objects,
)
from schemas.drops import DIMENSIONS_PREFIX, TRANSACTIONS_PREFIX
from schemas.settings import StartRunSettings, environment_of
from schemas.work_bucket import CLAIMS, REPORTS

FUNCTION_TIMEOUT_SECONDS = 60
# Six times: Lambda's own advice, for a batch that was throttled must not come back while it is being tried.
VISIBILITY_SECONDS = 6 * FUNCTION_TIMEOUT_SECONDS
# Five is the least AWS advises. A drop that waits for a free job is sent anew and does not use them up.
TRIES = 5
FOURTEEN_DAYS = 14 * 24 * 60 * 60


@dataclass(frozen=True, kw_only=True)
class IngestionArgs:
    deployment: Deployment
    runtime: Runtime
    drop_bucket: pulumi.Input[str]
    drop_bucket_arn: pulumi.Input[str]
    work_bucket: pulumi.Input[str]
    work_bucket_arn: pulumi.Input[str]
    transactions_job: str
    dimensions_job: str
    job_arns: Sequence[pulumi.Input[str]]
    topic_arn: pulumi.Input[str]


class Ingestion(pulumi.ComponentResource):
    """The queue of drops, its dead-letter queue, and `start_run`."""

    queue: pulumi.Output[str]
    queue_arn: pulumi.Output[str]
    queue_url: pulumi.Output[str]
    dead_letter_queue: pulumi.Output[str]
    dead_letter_queue_url: pulumi.Output[str]
    start_run: Function

    def __init__(self, name: str, args: IngestionArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("transactions-pipeline:index:Ingestion", name, {}, opts)
        self._name, self._args = name, args
        self._child = pulumi.ResourceOptions(parent=self)

        dead_letters = self._queue("dead-letters")
        drops = self._queue(
            "drops",
            visibility_timeout_seconds=VISIBILITY_SECONDS,
            redrive_policy=pulumi.Output.json_dumps(
                {"deadLetterTargetArn": dead_letters.arn, "maxReceiveCount": TRIES}
            ),
        )
        self.start_run = self._start_run(drops)
        lambda_.EventSourceMapping(
            name,
            event_source_arn=drops.arn,
            function_name=self.start_run.arn,
            batch_size=10,
            function_response_types=["ReportBatchItemFailures"],
            # Two, the least AWS takes: what is queued waits for Glue, not for more functions.
            scaling_config={"maximum_concurrency": 2},
            tags=self._tags("drops"),
            opts=self._child,
        )
        self._notify_queue(drops)

        self.queue, self.queue_arn, self.queue_url = drops.name, drops.arn, drops.url
        self.dead_letter_queue, self.dead_letter_queue_url = dead_letters.name, dead_letters.url
        self.register_outputs({"queue_url": self.queue_url})

    def _queue(
        self,
        thing: str,
        visibility_timeout_seconds: int | None = None,
        redrive_policy: pulumi.Input[str] | None = None,
    ) -> sqs.Queue:
        return sqs.Queue(
            f"{self._name}-{thing}",
            name=self._args.deployment.name(thing),
            message_retention_seconds=FOURTEEN_DAYS,
            sqs_managed_sse_enabled=True,
            visibility_timeout_seconds=visibility_timeout_seconds,
            redrive_policy=redrive_policy,
            tags=self._tags(thing),
            opts=self._child,
        )

    def _start_run(self, drops: sqs.Queue) -> Function:
        args = self._args
        return Function(
            f"{self._name}-start-run",
            FunctionArgs(
                deployment=args.deployment,
                runtime=args.runtime,
                package="start_run",
                description="Starts a run of the job for every drop",
                timeout_seconds=FUNCTION_TIMEOUT_SECONDS,
                environment=environment_of(
                    StartRunSettings,
                    drop_bucket=args.drop_bucket,
                    work_bucket=args.work_bucket,
                    transactions_job=args.transactions_job,
                    dimensions_job=args.dimensions_job,
                    queue_url=drops.url,
                    topic_arn=args.topic_arn,
                    environment=args.deployment.environment,
                ),
                statements=[
                    receive_from(drops.arn),
                    # A drop that must wait goes back as a new message.
                    send_to(drops.arn),
                    read_objects(args.drop_bucket_arn, TRANSACTIONS_PREFIX, DIMENSIONS_PREFIX),
                    read_object_versions(args.drop_bucket_arn, TRANSACTIONS_PREFIX, DIMENSIONS_PREFIX),
                    list_bucket_for_404(args.drop_bucket_arn),
                    read_objects(args.work_bucket_arn, CLAIMS, REPORTS),
                    write_objects(args.work_bucket_arn, CLAIMS),
                    list_below(args.work_bucket_arn, CLAIMS, REPORTS),
                    start_runs(args.job_arns),
                    read_runs(args.job_arns),
                    publish_to(args.topic_arn),
                ],
            ),
            opts=self._child,
        )

    def _notify_queue(self, drops: sqs.Queue) -> None:
        args = self._args
        may_send = sqs.QueuePolicy(
            f"{self._name}-drops",
            queue_url=drops.url,
            policy=policy(
                [
                    allow_service("s3.amazonaws.com", args.drop_bucket_arn, "sqs:SendMessage", drops.arn),
                    refuse_plain_http("sqs:*", [drops.arn]),
                ]
            ),
            opts=self._child,
        )
        # Every key, not just those of the layout: a file dropped in the wrong place is reported, not ignored.
        # A bucket has one notification, replaced as a whole: whoever needs another adds it here.
        s3.BucketNotification(
            self._name,
            bucket=args.drop_bucket,
            queues=[{"id": "drops", "queue_arn": drops.arn, "events": ["s3:ObjectCreated:*"]}],
            opts=pulumi.ResourceOptions(parent=self, depends_on=[may_send]),
        )

    def _tags(self, thing: str) -> dict[str, str]:
        return self._args.deployment.tags(Name=self._args.deployment.name(thing))
