"""A function that EventBridge calls, and the queue of events that it could not handle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pulumi
from pulumi_aws import cloudwatch, lambda_, sqs

from components.functions import Function, FunctionArgs
from components.permissions import allow_service, compact_json, policy, refuse_plain_http
from components.pipeline_component import PipelineComponent

FOURTEEN_DAYS = 14 * 24 * 60 * 60


@dataclass(frozen=True, kw_only=True)
class Rule:
    """The trigger with which EventBridge calls a function: events of a pattern, or a schedule."""

    description: str
    event_pattern: Mapping[str, Any] | None = None
    schedule: str | None = None

    def __post_init__(self) -> None:
        if (self.event_pattern is None) == (self.schedule is None):
            raise ValueError(f"the rule {self.description!r} needs either an event pattern or a schedule")


def runs_that_end(job_names: Sequence[str], *states: str, description: str) -> Rule:
    """A rule for runs of some jobs that end in one of some states."""
    return Rule(
        description=description,
        event_pattern={
            "source": ["aws.glue"],
            "detail-type": ["Glue Job State Change"],
            # The event's `resources` is empty: only its `detail` has the job's name.
            "detail": {"jobName": list(job_names), "state": list(states)},
        },
    )


@dataclass(frozen=True, kw_only=True)
class EventFunctionArgs:
    function: FunctionArgs
    rules: Mapping[str, Rule]
    """A word for each rule -> when it calls the function."""


class EventFunction(PipelineComponent):
    """A function, the rules that call it and the queue of the events that failed for good."""

    package: str
    name: str
    arn: pulumi.Output[str]
    failure_queue: pulumi.Output[str]
    rules: dict[str, pulumi.Output[str]]
    """The word for each rule -> its name in AWS."""

    def __init__(self, name: str, args: EventFunctionArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, args.function.deployment, opts)
        self.package = args.function.package
        failures = sqs.Queue(
            f"{name}-failures",
            message_retention_seconds=FOURTEEN_DAYS,
            sqs_managed_sse_enabled=True,
            tags=self._tags(f"{self.package}-failures"),
            opts=self._child(),
        )
        function = Function(name, replace(args.function, failure_queue_arn=failures.arn), opts=self._child())
        rules = {word: self._rule(word, rule) for word, rule in args.rules.items()}
        may_send = sqs.QueuePolicy(
            f"{name}-failures",
            queue_url=failures.url,
            policy=policy(
                [
                    *(
                        allow_service("events.amazonaws.com", rule.arn, "sqs:SendMessage", failures.arn)
                        for rule in rules.values()
                    ),
                    refuse_plain_http("sqs:*", [failures.arn]),
                ]
            ),
            opts=self._child(),
        )
        for word, rule in rules.items():
            self._call(word, rule, function, failures, may_send)

        self.name, self.arn = function.name, function.arn
        self.failure_queue = failures.name
        self.rules = {word: rule.name for word, rule in rules.items()}
        self.register_outputs({"arn": self.arn})

    def _rule(self, word: str, rule: Rule) -> cloudwatch.EventRule:
        return cloudwatch.EventRule(
            f"{self._name}-{word}",
            description=rule.description,
            event_pattern=None if rule.event_pattern is None else compact_json(rule.event_pattern),
            schedule_expression=rule.schedule,
            tags=self._tags(f"{self.package}-{word}"),
            opts=self._child(),
        )

    def _call(
        self,
        word: str,
        rule: cloudwatch.EventRule,
        function: Function,
        failures: sqs.Queue,
        may_send: sqs.QueuePolicy,
    ) -> None:
        """Let a rule call the function, after the permission and the dead-letter queue exist."""
        name = f"{self._name}-{word}"
        permission = lambda_.Permission(
            name,
            action="lambda:InvokeFunction",
            function=function.arn,
            principal="events.amazonaws.com",
            source_arn=rule.arn,
            opts=self._child(),
        )
        cloudwatch.EventTarget(
            name,
            rule=rule.name,
            arn=function.arn,
            dead_letter_config={"arn": failures.arn},
            opts=self._child(permission, may_send),
        )
