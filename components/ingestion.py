"""From a drop to a run: the bucket's one notification, the queue and the function that starts the job."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi_aws import lambda_, s3, sqs

from components.deployment import Deployment
from components.functions import Function, FunctionArgs, Runtime
from components.notifications import Notifications
from components.permissions import (
    Statement,
    allow_service,
    compact_json,
    count_readers,
    list_below,
    list_bucket_for_404,
    list_versions,
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
from components.pipeline_component import PipelineComponent
from components.processing import Processing
from components.storage import Storage
from schemas.drops import DIMENSIONS_PREFIX, TRANSACTIONS_PREFIX
from schemas.settings import StartRunSettings, environment_of
from schemas.work_bucket import ARCHIVED, CLAIMS, OPEN, REPORTS

FUNCTION_TIMEOUT_SECONDS = 60
# Six times the timeout, as Lambda advises: a throttled batch must not return while it is being processed.
VISIBILITY_SECONDS = 6 * FUNCTION_TIMEOUT_SECONDS
# AWS advises at least five. A drop that waits for a free job returns as a new message and does not count.
TRIES = 5
FOURTEEN_DAYS = 14 * 24 * 60 * 60


@dataclass(frozen=True, kw_only=True)
class IngestionArgs:
    deployment: Deployment
    runtime: Runtime
    storage: Storage
    processing: Processing
    notifications: Notifications


class Ingestion(PipelineComponent):
    """The queue of drops, its dead-letter queue, and `start_run`."""

    queue: sqs.Queue
    dead_letter_queue: sqs.Queue
    start_run: Function

    def __init__(self, name: str, args: IngestionArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, args.deployment, opts)
        self._args = args
        self.dead_letter_queue = self._queue("dead-letters")
        self.queue = self._queue(
            "drops",
            visibility_timeout_seconds=VISIBILITY_SECONDS,
            redrive_policy=compact_json({"deadLetterTargetArn": self.dead_letter_queue.arn, "maxReceiveCount": TRIES}),
        )
        self.start_run = self._start_run()
        lambda_.EventSourceMapping(
            name,
            event_source_arn=self.queue.arn,
            function_name=self.start_run.arn,
            batch_size=10,
            function_response_types=["ReportBatchItemFailures"],
            # Two, AWS's minimum: queued drops wait for Glue, not for more functions.
            scaling_config={"maximum_concurrency": 2},
            tags=self._tags("drops"),
            opts=self._child(),
        )
        self._notify_queue()
        self.register_outputs({"queue_url": self.queue.url})

    def _queue(self, resource: str, **more: Any) -> sqs.Queue:
        return sqs.Queue(
            f"{self._name}-{resource}",
            name=self._deployment.name(resource),
            message_retention_seconds=FOURTEEN_DAYS,
            sqs_managed_sse_enabled=True,
            tags=self._tags(resource),
            opts=self._child(),
            **more,
        )

    def _start_run(self) -> Function:
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
                    drop_bucket=args.storage.drop.bucket,
                    archive_bucket=args.storage.archive.bucket,
                    work_bucket=args.storage.work.bucket,
                    transactions_job=args.processing.transactions_job_name,
                    dimensions_job=args.processing.dimensions_job_name,
                    large_job=args.processing.large_job_name,
                    large_file_bytes=str(args.processing.large_file_bytes),
                    queue_url=self.queue.url,
                    topic_arn=args.notifications.outcomes.arn,
                    environment=args.deployment.environment,
                ),
                statements=self._statements(),
            ),
            opts=self._child(),
        )

    def _statements(self) -> list[Statement]:
        args = self._args
        drop, work, archive = (bucket.arn for bucket in args.storage.buckets)
        return [
            receive_from(self.queue.arn),
            # A drop that must wait goes back as a new message.
            send_to(self.queue.arn),
            read_objects(drop, TRANSACTIONS_PREFIX, DIMENSIONS_PREFIX),
            list_bucket_for_404(drop),
            # A version below a delete marker is withdrawn.
            list_versions(drop),
            # A drop that has left the drop bucket is read from the archive, by the copy's own metadata.
            list_versions(archive),
            read_object_versions(archive, TRANSACTIONS_PREFIX, DIMENSIONS_PREFIX),
            read_objects(work, ARCHIVED, CLAIMS, REPORTS),
            write_objects(work, CLAIMS, OPEN),
            list_below(work, ARCHIVED, CLAIMS, REPORTS),
            start_runs(args.processing.job_arns),
            read_runs(args.processing.job_arns),
            publish_to(args.notifications.outcomes.arn),
            count_readers(args.notifications.outcomes.arn),
        ]

    def _notify_queue(self) -> None:
        drop = self._args.storage.drop
        may_send = sqs.QueuePolicy(
            f"{self._name}-drops",
            queue_url=self.queue.url,
            policy=policy(
                [
                    allow_service("s3.amazonaws.com", drop.arn, "sqs:SendMessage", self.queue.arn),
                    refuse_plain_http("sqs:*", [self.queue.arn]),
                ]
            ),
            opts=self._child(),
        )
        # Every key, not just those of the layout: a file dropped in the wrong place is reported, not ignored.
        # A bucket has one notification, replaced as a whole: add another one here.
        s3.BucketNotification(
            self._name,
            bucket=drop.bucket,
            queues=[{"id": "drops", "queue_arn": self.queue.arn, "events": ["s3:ObjectCreated:*"]}],
            opts=self._child(may_send),
        )
