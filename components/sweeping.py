"""What an event lost is found and finished, on a schedule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi

from components.deployment import Deployment
from components.events import EventFunction, EventFunctionArgs, Rule
from components.functions import FunctionArgs, Runtime
from components.permissions import count_messages, invoke, list_below, list_versions, read_objects, read_run, send_to
from components.refusals import require
from schemas.settings import SweepSettings, environment_of
from schemas.work_bucket import CLAIMS, NOTIFIED, REPORTS


@dataclass(frozen=True, kw_only=True)
class SweepingArgs:
    deployment: Deployment
    runtime: Runtime
    drop_bucket: pulumi.Input[str]
    drop_bucket_arn: pulumi.Input[str]
    work_bucket: pulumi.Input[str]
    work_bucket_arn: pulumi.Input[str]
    job_arns: Sequence[pulumi.Input[str]]
    queue_url: pulumi.Input[str]
    queue_arn: pulumi.Input[str]
    archive_function: str
    archive_function_arn: pulumi.Input[str]
    notify_function: str
    notify_function_arn: pulumi.Input[str]
    sweep_minutes: int

    def __post_init__(self) -> None:
        require(5 <= self.sweep_minutes <= 24 * 60, "sweep_minutes", self.sweep_minutes, "from 5 to 1440 minutes")


class Sweeping(pulumi.ComponentResource):
    """`sweep`: drops without a run, loads not archived, outcomes nobody was told of."""

    sweep: EventFunction

    def __init__(self, name: str, args: SweepingArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("transactions-pipeline:index:Sweeping", name, {}, opts)
        self.sweep = EventFunction(
            f"{name}-sweep",
            EventFunctionArgs(
                function=FunctionArgs(
                    deployment=args.deployment,
                    runtime=args.runtime,
                    package="sweep",
                    description="Finds what an event lost, and finishes it",
                    timeout_seconds=300,
                    environment=environment_of(
                        SweepSettings,
                        drop_bucket=args.drop_bucket,
                        work_bucket=args.work_bucket,
                        queue_url=args.queue_url,
                        archive_function=args.archive_function,
                        notify_function=args.notify_function,
                    ),
                    statements=[
                        list_versions(args.drop_bucket_arn),
                        list_below(args.work_bucket_arn, CLAIMS, REPORTS, NOTIFIED),
                        read_objects(args.work_bucket_arn, CLAIMS, REPORTS),
                        read_run(args.job_arns),
                        # A drop without a run is lost only if none is waiting.
                        count_messages(args.queue_arn),
                        send_to(args.queue_arn),
                        invoke([args.archive_function_arn, args.notify_function_arn]),
                    ],
                ),
                rules={
                    "schedule": Rule(
                        description="Time to look for what an event lost",
                        schedule=f"rate({args.sweep_minutes} minutes)",
                    )
                },
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({"sweep": self.sweep.name})
