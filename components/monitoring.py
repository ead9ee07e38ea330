"""Monitoring: alarms that are mailed to the operators, and one dashboard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi_aws import cloudwatch

from components.archiving import Archiving
from components.deployment import Deployment
from components.ingestion import Ingestion
from components.notifications import Notifications
from components.permissions import compact_json
from components.pipeline_component import PipelineComponent
from components.refusals import require
from components.sweeping import Sweeping
from components.warehouse import Warehouse
from schemas import metrics

FIVE_MINUTES = 300

MISSED_SWEEPS = 4
"""After so many sweeps that did not run, the schedule counts as stopped; one may be late and miss its period."""

Metric = tuple[str, str, Mapping[str, pulumi.Input[str]]]
"""Namespace, name, dimensions."""


@dataclass(frozen=True, kw_only=True)
class MonitoringArgs:
    deployment: Deployment
    warehouse: Warehouse
    notifications: Notifications
    ingestion: Ingestion
    archiving: Archiving
    sweeping: Sweeping
    waiting_drop_minutes: int
    quiet_hours: int

    def __post_init__(self) -> None:
        require(
            5 <= self.waiting_drop_minutes <= 24 * 60,
            "waiting_drop_minutes",
            self.waiting_drop_minutes,
            "from 5 to 1440 minutes",
        )
        require(1 <= self.quiet_hours <= 168, "quiet_hours", self.quiet_hours, "from 1 to 168 hours")


class Monitoring(PipelineComponent):
    """Alarms that say what happened and what to do, and a dashboard."""

    dashboard: str

    def __init__(self, name: str, args: MonitoringArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, args.deployment, opts)
        self._args = args
        self._event_functions = (args.notifications.notify, args.archiving.archive, args.sweeping.sweep)
        self._functions = {
            function.package: function.name for function in (args.ingestion.start_run, *self._event_functions)
        }
        self._alarm_on_drops()
        self._alarm_on_silence()
        self._alarm_on_failures()
        # CloudWatch shows an account the dashboards of all its Regions, and a name only once.
        self.dashboard = args.deployment.regional_name("pipeline")
        cloudwatch.Dashboard(
            name, dashboard_name=self.dashboard, dashboard_body=self._dashboard_body(), opts=self._child()
        )
        self.register_outputs({"dashboard": self.dashboard})

    def _alarm_on_drops(self) -> None:
        """Alarms by what the sweep sees in the buckets.

        The queue's own metrics do not help: a waiting drop returns as a new message, whose age is zero, and a lost
        drop that the sweep sends looks new. Between two sweeps an alarm keeps its state.
        """
        args = self._args
        by_sweep: dict[str, Any] = {
            "statistic": "Maximum",
            "period": args.sweeping.minutes * 60,
            "comparison_operator": "GreaterThanThreshold",
            "treat_missing_data": "ignore",
        }
        self._alarm(
            "waiting-drops",
            f"A drop has been in the drop bucket for {args.waiting_drop_minutes} minutes without an outcome. "
            "Look for runs that hang, and check whether jobMaxConcurrentRuns is enough.",
            metric=self._published(metrics.OLDEST_WAITING_DROP_MINUTES),
            threshold=args.waiting_drop_minutes,
            **by_sweep,
        )
        self._alarm(
            "no-drop",
            f"Nothing was dropped for {args.quiet_hours} hours. Ask the sender of the daily file.",
            metric=self._published(metrics.HOURS_SINCE_LAST_DROP),
            threshold=args.quiet_hours,
            says_when_over=True,
            **by_sweep,
        )

    def _alarm_on_silence(self) -> None:
        """The alarm that the sweep has stopped: the alarms about drops would then keep their state for ever.

        Lambda publishes no figure for a function that is not called. Without any, the state becomes "insufficient
        data", which is also the first state of a new alarm. So the first deployment does not mail, and a stop does.
        """
        args = self._args
        self._alarm(
            "no-sweep",
            f"The sweep has not run for {MISSED_SWEEPS} x {args.sweeping.minutes} minutes, so lost events are not "
            "completed and the alarms about drops do not change. Check that its schedule is enabled.",
            metric=("AWS/Lambda", "Invocations", {"FunctionName": args.sweeping.sweep.name}),
            statistic="Sum",
            period=args.sweeping.minutes * 60,
            evaluation_periods=MISSED_SWEEPS,
            comparison_operator="LessThanThreshold",
            threshold=1,
            treat_missing_data="missing",
            says_when_silent=True,
        )

    def _alarm_on_failures(self) -> None:
        args = self._args
        self._not_empty(
            "dead-letters",
            args.ingestion.dead_letter_queue.name,
            "A drop could not be started after several tries. Read the message, fix the cause, then move the messages "
            "back with the queue's redrive.",
            says_when_over=True,
        )
        for function in self._event_functions:
            self._not_empty(
                f"{function.package}-failures",
                function.failure_queue,
                f"An event for {function.package} failed for good. Read the function's log and fix the cause; "
                "the sweep completes what is left. Then purge the queue.",
            )
        self._count(
            "failed-runs",
            "A run failed, ran out of time or was stopped. The mail about its drop says why and how to replay it.",
            metric=("AWS/Events", "Invocations", {"RuleName": args.notifications.notify.rules["failed"]}),
        )
        self._count(
            "unusual-load",
            "A load has far fewer rows or less money, or far more rejects, than is usual for its weekday. "
            "Read its mail and ask the sender whether the file is whole.",
            metric=self._published(metrics.UNUSUAL_LOADS),
        )
        for package, function_name in self._functions.items():
            self._count(
                f"{package.replace('_', '-')}-errors",
                f"The function {package} failed. Read its log.",
                metric=("AWS/Lambda", "Errors", {"FunctionName": function_name}),
            )

    def _published(self, name: str) -> Metric:
        return metrics.NAMESPACE, name, {metrics.STACK: self._deployment.environment}

    def _count(self, resource: str, description: str, *, metric: Metric) -> None:
        """An alarm on a single occurrence."""
        self._alarm(
            resource,
            description,
            metric=metric,
            statistic="Sum",
            period=FIVE_MINUTES,
            comparison_operator="GreaterThanThreshold",
            threshold=0,
        )

    def _not_empty(
        self, resource: str, queue: pulumi.Input[str], description: str, *, says_when_over: bool = False
    ) -> None:
        self._alarm(
            resource,
            description,
            metric=("AWS/SQS", "ApproximateNumberOfMessagesVisible", {"QueueName": queue}),
            statistic="Maximum",
            period=FIVE_MINUTES,
            comparison_operator="GreaterThanThreshold",
            threshold=0,
            says_when_over=says_when_over,
        )

    def _alarm(
        self,
        resource: str,
        description: str,
        *,
        metric: Metric,
        statistic: str,
        period: int,
        comparison_operator: str,
        threshold: float,
        evaluation_periods: int = 1,
        treat_missing_data: str = "notBreaching",
        says_when_over: bool = False,
        says_when_silent: bool = False,
    ) -> None:
        """One alarm. A new alarm soon becomes OK, so only an alarm with `says_when_over` mails its end.

        With `says_when_silent` it also mails that its metric has stopped.
        """
        namespace, metric_name, dimensions = metric
        operators = self._args.notifications.operators.arn
        cloudwatch.MetricAlarm(
            f"{self._name}-{resource}",
            name=self._deployment.name(resource),
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
            alarm_actions=[operators],
            ok_actions=[operators] if says_when_over else [],
            insufficient_data_actions=[operators] if says_when_silent else [],
            tags=self._tags(resource),
            opts=self._child(),
        )

    def _dashboard_body(self) -> pulumi.Output[str]:
        args = self._args
        queue, failed = args.ingestion.queue.name, args.notifications.notify.rules["failed"]
        queues = [
            queue,
            args.ingestion.dead_letter_queue.name,
            *(function.failure_queue for function in self._event_functions),
        ]
        workgroup = args.warehouse.workgroup.workgroup_name

        def per_function(metric: str) -> list[list[Any]]:
            return [["AWS/Lambda", metric, "FunctionName", name] for name in self._functions.values()]

        def published(metric: str) -> list[list[Any]]:
            return [[metrics.NAMESPACE, metric, metrics.STACK, self._deployment.environment]]

        graphs: list[tuple[str, str, list[list[Any]]]] = [
            ("Messages about drops", "Sum", [["AWS/SQS", "NumberOfMessagesSent", "QueueName", queue]]),
            (
                "Waiting and failed",
                "Maximum",
                [["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", each] for each in queues],
            ),
            ("Minutes the oldest drop waits", "Maximum", published(metrics.OLDEST_WAITING_DROP_MINUTES)),
            ("Hours since the last drop", "Maximum", published(metrics.HOURS_SINCE_LAST_DROP)),
            ("Rows of a load", "Maximum", published(metrics.ROWS)),
            ("Share of rejected rows", "Maximum", published(metrics.REJECTED_SHARE)),
            ("Unusual loads", "Sum", published(metrics.UNUSUAL_LOADS)),
            ("Failed runs", "Sum", [["AWS/Events", "Invocations", "RuleName", failed]]),
            ("Functions: calls", "Sum", per_function("Invocations")),
            ("Functions: errors", "Sum", per_function("Errors")),
            (
                "Warehouse: RPU in use",
                "Maximum",
                [["AWS/Redshift-Serverless", "ComputeCapacity", "Workgroup", workgroup]],
            ),
        ]
        return compact_json({"widgets": [self._graph(number, *graph) for number, graph in enumerate(graphs)]})

    def _graph(self, number: int, title: str, statistic: str, shown: Sequence[Sequence[Any]]) -> Mapping[str, Any]:
        """Two graphs a line."""
        return {
            "type": "metric",
            "x": number % 2 * 12,
            "y": number // 2 * 6,
            "width": 12,
            "height": 6,
            "properties": {
                "title": title,
                "region": self._deployment.region,
                "stat": statistic,
                "period": FIVE_MINUTES,
                "metrics": shown,
            },
        }
