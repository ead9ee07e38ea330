"""Who is told what became of a drop: the topic, its readers, and the function that writes the mail."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
from pulumi_aws import sns

from components.deployment import Deployment, account_of
from components.events import EventFunction, EventFunctionArgs, runs_that_end
from components.functions import FunctionArgs, Runtime
from components.permissions import (
    allow_service,
    list_below,
    policy,
    publish_to,
    read_objects,
    read_run,
    refuse_plain_http,
    write_objects,
)
from components.refusals import require
from schemas.settings import NotifySettings, environment_of
from schemas.work_bucket import NOTIFIED, REPORTS

EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")


@dataclass(frozen=True, kw_only=True)
class NotificationsArgs:
    deployment: Deployment
    runtime: Runtime
    drop_bucket: pulumi.Input[str]
    work_bucket: pulumi.Input[str]
    work_bucket_arn: pulumi.Input[str]
    job_names: Sequence[str]
    job_arns: Sequence[pulumi.Input[str]]
    job_log_group: str
    emails: Sequence[str]
    """Each gets a message from AWS first, and mails only once it has agreed there."""

    def __post_init__(self) -> None:
        require(
            isinstance(self.emails, (list, tuple))
            and all(isinstance(email, str) and EMAIL.fullmatch(email) for email in self.emails)
            and len(set(self.emails)) == len(self.emails),
            "emails",
            self.emails,
            'a list of different e-mail addresses, such as ["ann@example.com"]',
        )


class Notifications(pulumi.ComponentResource):
    """The topic, one subscription per address, and `notify`, called whenever a run has ended."""

    topic_arn: pulumi.Output[str]
    notify: EventFunction

    def __init__(self, name: str, args: NotificationsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("transactions-pipeline:index:Notifications", name, {}, opts)
        self._name, self._args = name, args
        self._child = pulumi.ResourceOptions(parent=self)

        topic = self._topic()
        for email in args.emails:
            sns.TopicSubscription(
                f"{name}-{email}", topic=topic.arn, protocol="email", endpoint=email, opts=self._child
            )
        self.topic_arn = topic.arn
        self.notify = self._notify(topic)
        self.register_outputs({"topic_arn": self.topic_arn})

    def _topic(self) -> sns.Topic:
        deployment = self._args.deployment
        # Not encrypted at rest: that takes a key of our own, paid by the month, for a text that leaves as plain mail.
        topic = sns.Topic(
            self._name,
            name=deployment.name("mails"),
            display_name=deployment.name("mails"),
            tags=deployment.tags(Name=deployment.name("mails")),
            opts=self._child,
        )
        alarms = pulumi.Output.concat(
            f"arn:aws:cloudwatch:{deployment.region}:",
            topic.arn.apply(account_of),
            f":alarm:{deployment.name('')}*",
        )
        sns.TopicPolicy(
            self._name,
            arn=topic.arn,
            policy=policy(
                [
                    allow_service("cloudwatch.amazonaws.com", alarms, "sns:Publish", topic.arn),
                    refuse_plain_http("sns:Publish", [topic.arn]),
                ]
            ),
            opts=self._child,
        )
        return topic

    def _notify(self, topic: sns.Topic) -> EventFunction:
        args = self._args
        function = FunctionArgs(
            deployment=args.deployment,
            runtime=args.runtime,
            package="notify",
            description="Writes the mail that says what became of a drop",
            timeout_seconds=60,
            environment=environment_of(
                NotifySettings,
                work_bucket=args.work_bucket,
                drop_bucket=args.drop_bucket,
                topic_arn=topic.arn,
                job_log_group=args.job_log_group,
                environment=args.deployment.environment,
            ),
            statements=[
                read_run(args.job_arns),
                read_objects(args.work_bucket_arn, REPORTS, NOTIFIED),
                write_objects(args.work_bucket_arn, NOTIFIED),
                list_below(args.work_bucket_arn, REPORTS, NOTIFIED),
                publish_to(topic.arn),
            ],
        )
        # Two rules, for EventBridge counts by rule: the count of the second is the alarm on failed runs.
        rules = {
            "succeeded": runs_that_end(args.job_names, "SUCCEEDED", description="A run of our jobs succeeded"),
            "failed": runs_that_end(
                args.job_names, "FAILED", "TIMEOUT", "STOPPED", description="A run of our jobs failed"
            ),
        }
        return EventFunction(
            f"{self._name}-notify", EventFunctionArgs(function=function, rules=rules), opts=self._child
        )
