"""What is watched: alarms that mail to the same topic, and one dashboard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi_aws import cloudwatch

from components.deployment import Deployment
from components.refusals import require

FIVE_MINUTES = 300
HOUR = 3600


@dataclass(frozen=True, kw_only=True)
class MonitoringArgs:
    deployment: Deployment
    topic_arn: pulumi.Input[str]
    queue: pulumi.Input[str]
    dead_letter_queue: pulumi.Input[str]
    failure_queues: Mapping[str, pulumi.Input[str]]
    """Function's package -> the queue of events it could not handle."""
    failed_runs_rule: pulumi.Input[str]
    function_names: Mapping[str, str]
    """Function's package -> its name."""
    workgroup: pulumi.Input[str]
    waiting_drop_minutes: int
    quiet_hours: int

    def __post_init__(self) -> None:
        require(
            5 <= self.waiting_drop_minutes <= 24 * 60,
            "waiting_drop_minutes",
            self.waiting_drop_minutes,
            "from 5 to 1440 minutes",
        )
        # CloudWatch looks back seven days at most.
        require(1 <= self.quiet_hours <= 168, "quiet_hours", self.quiet_hours, "from 1 to 168 hours")


class Monitoring(pulumi.ComponentResource):
    """Alarms that say what happened and what to do, and a dashboard."""

    dashboard: str

    def __init__(self, name: str, args: MonitoringArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("transactions-pipeline:index:Monitoring", name, {}, opts)
        self._name, self._args = name, args
        self._child = pulumi.ResourceOptions(parent=self)

        self._not_empty(
            "dead-letters",
            args.dead_letter_queue,
            "A drop could not be started after several tries. Read the message, mend the cause, then move the messages "
            "back with the queue's redrive.",
        )
        for package, queue in args.failure_queues.items():
            self._not_empty(
                f"{package.replace('_', '-')}-failures",
                queue,
                f"An event for {package} failed for good. Read the function's log; the sweep finishes what is left "
                "once the cause is mended. Then purge the queue.",
            )
        self._alarm(
            "waiting-drops",
            "A drop has been waiting too long. Look for runs that hang, and whether jobMaxConcurrentRuns is enough.",
            metric=("AWS/SQS", "ApproximateAgeOfOldestMessage", {"QueueName": args.queue}),
            statistic="Maximum",
            period=FIVE_MINUTES,
            comparison_operator="GreaterThanThreshold",
            threshold=args.waiting_drop_minutes * 60,
        )
        self._alarm(
            "failed-runs",
            "A run failed, ran out of time or was stopped. The mail about its drop says why and how to replay it.",
            metric=("AWS/Events", "Invocations", {"RuleName": args.failed_runs_rule}),
            statistic="Sum",
            period=FIVE_MINUTES,
            comparison_operator="GreaterThanThreshold",
            threshold=0,
        )
        for package, function in args.function_names.items():
            self._alarm(
                f"{package.replace('_', '-')}-errors",
                f"The function {package} failed. Read its log.",
                metric=("AWS/Lambda", "Errors", {"FunctionName": function}),
                statistic="Sum",
                period=FIVE_MINUTES,
                comparison_operator="GreaterThanThreshold",
                threshold=0,
            )
        self._alarm(
            "no-drop",
            f"Nothing was dropped for {args.quiet_hours} hours. Ask whoever drops the daily file.",
            metric=("AWS/SQS", "NumberOfMessagesSent", {"QueueName": args.queue}),
            statistic="Sum",
            period=HOUR,
            evaluation_periods=args.quiet_hours,
            comparison_operator="LessThanThreshold",
            threshold=1,
            # An idle queue stops sending its metrics: no number is no drop.
            treat_missing_data="breaching",
        )
        self.dashboard = args.deployment.name("pipeline")
        cloudwatch.Dashboard(
            name, dashboard_name=self.dashboard, dashboard_body=self._dashboard_body(), opts=self._child
        )
        self.register_outputs({"dashboard": self.dashboard})

    def _not_empty(self, thing: str, queue: pulumi.Input[str], description: str) -> None:
        self._alarm(
            thing,
            description,
            metric=("AWS/SQS", "ApproximateNumberOfMessagesVisible", {"QueueName": queue}),
            statistic="Maximum",
            period=FIVE_MINUTES,
            comparison_operator="GreaterThanThreshold",
            threshold=0,
        )

    def _alarm(
        self,
        thing: str,
        description: str,
        *,
        metric: tuple[str, str, Mapping[str, pulumi.Input[str]]],
        statistic: str,
        period: int,
        comparison_operator: str,
        threshold: float,
        evaluation_periods: int = 1,
        treat_missing_data: str = "notBreaching",
    ) -> None:
        namespace, metric_name, dimensions = metric
        full_name = self._args.deployment.name(thing)
        cloudwatch.MetricAlarm(
            f"{self._name}-{thing}",
            name=full_name,
            alarm_description=description,
            namespace=namespace,
            metric_name=metric_name,
            dimensions=dimensions,
            statistic=statistic,
            period=period,
            evaluation_periods=evaluation_periods,
            comparison_operator=comparison_operator,
            threshold=threshold,
            treat_missing_data=treat_missing_data,
            alarm_actions=[self._args.topic_arn],
            ok_actions=[self._args.topic_arn],
            tags=self._args.deployment.tags(Name=full_name),
            opts=self._child,
        )

    def _dashboard_body(self) -> pulumi.Output[str]:
        args = self._args

        def per_function(metric: str) -> list[list[Any]]:
            return [["AWS/Lambda", metric, "FunctionName", name] for name in args.function_names.values()]

        return pulumi.Output.json_dumps(
            {
                "widgets": [
                    self._graph(0, 0, "Drops", "Sum", [["AWS/SQS", "NumberOfMessagesSent", "QueueName", args.queue]]),
                    self._graph(
                        12,
                        0,
                        "Waiting and failed",
                        "Maximum",
                        [
                            ["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", queue]
                            for queue in (args.queue, args.dead_letter_queue, *args.failure_queues.values())
                        ],
                    ),
                    self._graph(
                        0, 6, "Failed runs", "Sum", [["AWS/Events", "Invocations", "RuleName", args.failed_runs_rule]]
                    ),
                    self._graph(12, 6, "Functions: calls", "Sum", per_function("Invocations")),
                    self._graph(0, 12, "Functions: errors", "Sum", per_function("Errors")),
                    self._graph(
                        12,
                        12,
                        "Warehouse: RPU in use",
                        "Maximum",
                        [["AWS/Redshift-Serverless", "ComputeCapacity", "Workgroup", args.workgroup]],
                    ),
                ]
            }
        )

    def _graph(self, x: int, y: int, title: str, statistic: str, metrics: Sequence[Sequence[Any]]) -> Mapping[str, Any]:
        return {
            "type": "metric",
            "x": x,
            "y": y,
            "width": 12,
            "height": 6,
            "properties": {
                "title": title,
                "region": self._args.deployment.region,
                "stat": statistic,
                "period": FIVE_MINUTES,
                "metrics": metrics,
            },
        }
