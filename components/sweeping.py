"""The scheduled reconciliation: it completes work whose event was lost."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi

from components.archiving import Archiving
from components.deployment import Deployment
from components.events import EventFunction, EventFunctionArgs, Rule
from components.functions import FunctionArgs, Runtime
from components.ingestion import Ingestion
from components.notifications import Notifications
from components.permissions import (
    Statement,
    count_messages,
    delete_objects,
    invoke,
    list_below,
    list_versions,
    read_object_versions,
    read_objects,
    read_runs,
    send_to,
    write_objects,
)
from components.pipeline_component import PipelineComponent
from components.processing import Processing
from components.refusals import require
from components.storage import Storage
from schemas.drops import DIMENSIONS_PREFIX, TRANSACTIONS_PREFIX
from schemas.settings import SweepSettings, environment_of
from schemas.work_bucket import ARCHIVED, ARCHIVING, CLAIMS, NOTIFIED, OPEN, REPORTS, SWEEP


@dataclass(frozen=True, kw_only=True)
class SweepingArgs:
    deployment: Deployment
    runtime: Runtime
    storage: Storage
    processing: Processing
    notifications: Notifications
    ingestion: Ingestion
    archiving: Archiving
    sweep_minutes: int

    def __post_init__(self) -> None:
        require(5 <= self.sweep_minutes <= 24 * 60, "sweep_minutes", self.sweep_minutes, "from 5 to 1440 minutes")


class Sweeping(PipelineComponent):
    """`sweep`: starts drops without a run, archives loads, sends outcome mails that are missing."""

    sweep: EventFunction
    minutes: int

    def __init__(self, name: str, args: SweepingArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, args.deployment, opts)
        self._args, self.minutes = args, args.sweep_minutes
        function = FunctionArgs(
            deployment=args.deployment,
            runtime=args.runtime,
            package="sweep",
            description="Completes work whose event was lost",
            timeout_seconds=300,
            environment=environment_of(
                SweepSettings,
                drop_bucket=args.storage.drop.bucket,
                archive_bucket=args.storage.archive.bucket,
                work_bucket=args.storage.work.bucket,
                queue_url=args.ingestion.queue.url,
                archive_function=args.archiving.archive.name,
                notify_function=args.notifications.notify.name,
                environment=args.deployment.environment,
            ),
            statements=self._statements(),
        )
        schedule = Rule(description="Time to look for lost events", schedule=f"rate({args.sweep_minutes} minutes)")
        self.sweep = EventFunction(
            f"{name}-sweep",
            EventFunctionArgs(function=function, rules={"schedule": schedule}),
            opts=self._child(),
        )
        self.register_outputs({"sweep": self.sweep.name})

    def _statements(self) -> list[Statement]:
        args = self._args
        drop, work, archive = (bucket.arn for bucket in args.storage.buckets)
        return [
            list_versions(drop),
            # To check whether a drop that has left the drop bucket is in the archive.
            list_versions(archive),
            read_object_versions(archive, TRANSACTIONS_PREFIX, DIMENSIONS_PREFIX),
            list_below(work, ARCHIVED, ARCHIVING, CLAIMS, NOTIFIED, OPEN, REPORTS, SWEEP),
            read_objects(work, ARCHIVED, CLAIMS, REPORTS, SWEEP),
            write_objects(work, SWEEP),
            # Settled work is not examined again.
            delete_objects(work, OPEN, SWEEP),
            read_runs(args.processing.job_arns),
            # A drop without a run is lost only if no message waits in the queue.
            count_messages(args.ingestion.queue.arn),
            send_to(args.ingestion.queue.arn),
            invoke([args.archiving.archive.arn, args.notifications.notify.arn]),
        ]
