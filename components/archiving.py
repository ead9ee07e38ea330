"""After a load: the drop goes to the archive bucket."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi

from components.deployment import Deployment
from components.events import EventFunction, EventFunctionArgs, runs_that_end
from components.functions import FunctionArgs, Runtime
from components.permissions import (
    allow,
    below,
    list_below,
    list_bucket_for_404,
    list_versions,
    read_objects,
    read_run,
    write_objects,
)
from schemas.drops import DIMENSIONS_PREFIX, TRANSACTIONS_PREFIX
from schemas.settings import ArchiveSettings, environment_of
from schemas.work_bucket import ARCHIVING, REPORTS


@dataclass(frozen=True, kw_only=True)
class ArchivingArgs:
    deployment: Deployment
    runtime: Runtime
    drop_bucket: pulumi.Input[str]
    drop_bucket_arn: pulumi.Input[str]
    work_bucket: pulumi.Input[str]
    work_bucket_arn: pulumi.Input[str]
    archive_bucket: pulumi.Input[str]
    archive_bucket_arn: pulumi.Input[str]
    job_names: Sequence[str]
    job_arns: Sequence[pulumi.Input[str]]


class Archiving(pulumi.ComponentResource):
    """`archive`, called whenever a run has succeeded."""

    archive: EventFunction

    def __init__(self, name: str, args: ArchivingArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("transactions-pipeline:index:Archiving", name, {}, opts)
        self.archive = EventFunction(
            f"{name}-archive",
            EventFunctionArgs(
                function=FunctionArgs(
                    deployment=args.deployment,
                    runtime=args.runtime,
                    package="archive",
                    description="Moves a loaded drop to the archive bucket, verified",
                    # The longest Lambda allows: a drop of more than 5 GB is copied in parts.
                    timeout_seconds=900,
                    memory_mb=512,
                    environment=environment_of(
                        ArchiveSettings,
                        drop_bucket=args.drop_bucket,
                        archive_bucket=args.archive_bucket,
                        work_bucket=args.work_bucket,
                    ),
                    statements=[
                        read_run(args.job_arns),
                        read_objects(args.work_bucket_arn, REPORTS, ARCHIVING),
                        write_objects(args.work_bucket_arn, ARCHIVING),
                        list_below(args.work_bucket_arn, REPORTS, ARCHIVING),
                        # The pinned version and no other is read, and at the end deleted.
                        allow(
                            ["s3:GetObjectVersion", "s3:GetObjectVersionTagging", "s3:DeleteObjectVersion"],
                            below(args.drop_bucket_arn, TRANSACTIONS_PREFIX, DIMENSIONS_PREFIX),
                        ),
                        list_bucket_for_404(args.drop_bucket_arn),
                        allow(
                            [
                                "s3:GetObjectVersion",
                                "s3:PutObject",
                                "s3:PutObjectTagging",
                                "s3:AbortMultipartUpload",
                            ],
                            below(args.archive_bucket_arn, TRANSACTIONS_PREFIX, DIMENSIONS_PREFIX),
                        ),
                        # Its own copy is found among the versions by what it says of itself.
                        list_versions(args.archive_bucket_arn),
                    ],
                ),
                rules={
                    "succeeded": runs_that_end(args.job_names, "SUCCEEDED", description="A drop is loaded: archive it")
                },
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({"archive": self.archive.name})
