"""Mails: a topic for outcomes, a topic for alarms, their subscribers, and the function that writes the mails."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
from pulumi_aws import sns

from components.arns import sibling
from components.deployment import Deployment
from components.events import EventFunction, EventFunctionArgs, runs_that_end
from components.functions import FunctionArgs, Runtime
from components.permissions import (
    Statement,
    allow_service,
    count_readers,
    delete_objects,
    list_below,
    policy,
    publish_to,
    read_objects,
    read_run,
    refuse_plain_http,
    write_objects,
)
from components.pipeline_component import PipelineComponent
from components.processing import Processing
from components.refusals import require
from components.storage import Storage
from components.warehouse import Warehouse
from schemas.runs import ERROR_LOG_GROUP
from schemas.settings import NotifySettings, environment_of
from schemas.work_bucket import BACKFILL_KEY, CLAIMS, NOTIFIED, REPORTS

# RFC 5321: 64 characters before the @, 254 in all.
EMAIL = re.compile(r"(?=.{3,254}$)[^@\s]{1,64}@[^@\s]+\.[^@\s]+")


@dataclass(frozen=True, kw_only=True)
class NotificationsArgs:
    deployment: Deployment
    runtime: Runtime
    storage: Storage
    processing: Processing
    emails: Sequence[str]
    """The addresses that get a mail about every outcome. Each address must first confirm a message from AWS."""
    operators: Sequence[str]
    """The addresses for alarms and failures; empty means those of `emails`."""
    warehouse: Warehouse
    open_lineage_url: str
    """Where the lineage of each attempt is sent; empty for nowhere."""

    def __post_init__(self) -> None:
        require(
            not self.open_lineage_url or re.fullmatch(r"(?=.{1,2048}$)https?://\S+", self.open_lineage_url) is not None,
            "open_lineage_url",
            self.open_lineage_url,
            # A function has 4 KB for its whole environment.
            "empty or an address of at most 2,048 characters, such as https://lineage.example.com/api/v1/lineage",
        )
        for field in ("emails", "operators"):
            addresses = getattr(self, field)
            require(
                isinstance(addresses, (list, tuple))
                and all(isinstance(address, str) and EMAIL.fullmatch(address) for address in addresses)
                and len(set(addresses)) == len(addresses),
                field,
                addresses,
                'a list of different e-mail addresses, such as ["ann@example.com"]',
            )


class Notifications(PipelineComponent):
    """The topics, one subscription per address, and `notify`, which is called when a run has ended."""

    outcomes: sns.Topic
    operators: sns.Topic
    notify: EventFunction

    def __init__(self, name: str, args: NotificationsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, args.deployment, opts)
        self._args = args
        self.outcomes = self._topic("outcomes", args.emails, [])
        alarms = sibling(self.outcomes.arn, "cloudwatch", f"alarm:{args.deployment.name('')}*")
        self.operators = self._topic("operators", args.operators or args.emails, [alarms])
        self.notify = self._notify()
        self.register_outputs({"outcomes": self.outcomes.arn, "operators": self.operators.arn})

    def _topic(self, resource: str, addresses: Sequence[str], alarms: Sequence[pulumi.Input[str]]) -> sns.Topic:
        """A topic, its subscribers, and the alarms that may publish to it (besides this stack's functions)."""
        name, full_name = f"{self._name}-{resource}", self._deployment.name(resource)
        # Not encrypted at rest: that needs our own key, paid monthly, for a text that leaves as plain mail.
        topic = sns.Topic(name, name=full_name, display_name=full_name, tags=self._tags(resource), opts=self._child())
        sns.TopicPolicy(
            name,
            arn=topic.arn,
            policy=policy(
                [
                    *(allow_service("cloudwatch.amazonaws.com", arn, "sns:Publish", topic.arn) for arn in alarms),
                    refuse_plain_http("sns:Publish", [topic.arn]),
                ]
            ),
            opts=self._child(),
        )
        for address in addresses:
            sns.TopicSubscription(
                f"{name}-{address}", topic=topic.arn, protocol="email", endpoint=address, opts=self._child()
            )
        return topic

    def _notify(self) -> EventFunction:
        args = self._args
        function = FunctionArgs(
            deployment=args.deployment,
            runtime=args.runtime,
            package="notify",
            description="Writes the mail about the outcome of a run",
            timeout_seconds=60,
            environment=environment_of(
                NotifySettings,
                work_bucket=args.storage.work.bucket,
                drop_bucket=args.storage.drop.bucket,
                topic_arn=self.outcomes.arn,
                job_log_group=ERROR_LOG_GROUP,
                environment=args.deployment.environment,
                warehouse=self._warehouse(),
                open_lineage_url=args.open_lineage_url,
            ),
            statements=self._statements(),
        )
        jobs = args.processing.job_names
        # Two rules, since EventBridge counts by rule: the count of the second is the alarm on failed runs.
        rules = {
            "succeeded": runs_that_end(jobs, "SUCCEEDED", description="A run of our jobs succeeded"),
            "failed": runs_that_end(jobs, "FAILED", "TIMEOUT", "STOPPED", description="A run of our jobs failed"),
        }
        return EventFunction(
            f"{self._name}-notify", EventFunctionArgs(function=function, rules=rules), opts=self._child()
        )

    def _warehouse(self) -> pulumi.Output[str]:
        """The warehouse's name in OpenLineage's form for Redshift."""
        warehouse, region = self._args.warehouse, self._deployment.region
        return pulumi.Output.concat(
            "redshift://",
            warehouse.workgroup.workgroup_name,
            f".{region}:",
            warehouse.port.apply(str),
            f"/{warehouse.database}",
        )

    def _statements(self) -> list[Statement]:
        work = self._args.storage.work.arn
        return [
            read_run(self._args.processing.job_arns),
            read_objects(work, CLAIMS, NOTIFIED, REPORTS),
            write_objects(work, NOTIFIED),
            # Once a stopped backfill was mailed.
            delete_objects(work, BACKFILL_KEY),
            list_below(work, CLAIMS, NOTIFIED, REPORTS),
            publish_to(self.outcomes.arn),
            count_readers(self.outcomes.arn),
        ]
