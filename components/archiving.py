"""After a load: the drop goes to the archive bucket."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi

from components.deployment import Deployment
from components.events import EventFunction, EventFunctionArgs, runs_that_end
from components.functions import FunctionArgs, Runtime
from components.ingestion import Ingestion
from components.permissions import (
    Statement,
    allow,
    below,
    list_below,
    list_bucket_for_404,
    list_versions,
    read_objects,
    read_run,
    send_to,
    write_objects,
)
from components.pipeline_component import PipelineComponent
from components.processing import Processing
from components.storage import Storage
from schemas.drops import DIMENSIONS_PREFIX, TRANSACTIONS_PREFIX
from schemas.settings import ArchiveSettings, environment_of
from schemas.work_bucket import ARCHIVED, ARCHIVING, REPORTS

# Lambda's maximum: a drop of more than 5 GB is copied in parts.
TIMEOUT_SECONDS = 900


@dataclass(frozen=True, kw_only=True)
class ArchivingArgs:
    deployment: Deployment
    runtime: Runtime
    storage: Storage
    processing: Processing
    ingestion: Ingestion


class Archiving(PipelineComponent):
    """`archive`, which is called when a run has succeeded."""

    archive: EventFunction

    def __init__(self, name: str, args: ArchivingArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, args.deployment, opts)
        self._args = args
        function = FunctionArgs(
            deployment=args.deployment,
            runtime=args.runtime,
            package="archive",
            description="Moves a loaded drop to the archive bucket, verified",
            timeout_seconds=TIMEOUT_SECONDS,
            memory_mb=512,
            environment=environment_of(
                ArchiveSettings,
                drop_bucket=args.storage.drop.bucket,
                archive_bucket=args.storage.archive.bucket,
                work_bucket=args.storage.work.bucket,
                queue_url=args.ingestion.queue.url,
            ),
            statements=self._statements(),
        )
        succeeded = runs_that_end(args.processing.job_names, "SUCCEEDED", description="A drop is loaded: archive it")
        self.archive = EventFunction(
            f"{name}-archive",
            EventFunctionArgs(function=function, rules={"succeeded": succeeded}),
            opts=self._child(),
        )
        self.register_outputs({"archive": self.archive.name})

    def _statements(self) -> list[Statement]:
        drop, work, archive = (bucket.arn for bucket in self._args.storage.buckets)
        return [
            read_run(self._args.processing.job_arns),
            read_objects(work, ARCHIVED, ARCHIVING, REPORTS),
            write_objects(work, ARCHIVED, ARCHIVING),
            list_below(work, ARCHIVED, ARCHIVING, REPORTS),
            # For requests to load the rows that waited for this load.
            send_to(self._args.ingestion.queue.arn),
            # Only the pinned version is read, and deleted at the end.
            allow(
                ["s3:GetObjectVersion", "s3:GetObjectVersionTagging", "s3:DeleteObjectVersion"],
                below(drop, TRANSACTIONS_PREFIX, DIMENSIONS_PREFIX),
            ),
            list_bucket_for_404(drop),
            list_versions(drop),
            # The newest upload is copied again to be the current version; its older copy is deleted.
            allow(
                [
                    "s3:GetObjectVersion",
                    "s3:GetObjectVersionTagging",
                    "s3:PutObject",
                    "s3:PutObjectTagging",
                    "s3:AbortMultipartUpload",
                    "s3:DeleteObjectVersion",
                ],
                below(archive, TRANSACTIONS_PREFIX, DIMENSIONS_PREFIX),
            ),
            allow(["s3:GetBucketVersioning"], [archive]),
            # The drop's own copy is identified by the metadata of the versions.
            list_versions(archive),
        ]
