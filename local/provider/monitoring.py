"""Log groups, alarms and the dashboard, created in moto's CloudWatch."""

from __future__ import annotations

from local.provider.context import Create, Inputs, MotoProvider, Outputs, capital, tag_list


def _log_group(provider: MotoProvider, _: str, inputs: Inputs) -> Outputs:
    logs = provider.client("logs")
    logs.create_log_group(logGroupName=inputs["name"], tags=inputs.get("tags") or {})
    logs.put_retention_policy(logGroupName=inputs["name"], retentionInDays=inputs["retentionInDays"])
    return {"id": inputs["name"], "arn": provider.arn("logs", f"log-group:{inputs['name']}")}


_ALARM = (
    *("alarmDescription", "metricName", "namespace", "statistic", "period", "evaluationPeriods"),
    *("threshold", "comparisonOperator", "treatMissingData", "alarmActions"),
)


def _metric_alarm(provider: MotoProvider, _: str, inputs: Inputs) -> Outputs:
    dimensions = [{"Name": name, "Value": value} for name, value in inputs["dimensions"].items()]
    provider.client("cloudwatch").put_metric_alarm(
        AlarmName=inputs["name"],
        Dimensions=dimensions,
        OKActions=inputs.get("okActions", []),
        InsufficientDataActions=inputs.get("insufficientDataActions", []),
        Tags=tag_list(inputs),
        **{capital(name): inputs[name] for name in _ALARM},
    )
    return {"id": inputs["name"], "arn": provider.arn("cloudwatch", f"alarm:{inputs['name']}")}


def _dashboard(provider: MotoProvider, _: str, inputs: Inputs) -> Outputs:
    provider.client("cloudwatch").put_dashboard(
        DashboardName=inputs["dashboardName"], DashboardBody=inputs["dashboardBody"]
    )
    return {"id": inputs["dashboardName"]}


CREATE: dict[str, Create] = {
    "aws:cloudwatch/dashboard:Dashboard": _dashboard,
    "aws:cloudwatch/logGroup:LogGroup": _log_group,
    "aws:cloudwatch/metricAlarm:MetricAlarm": _metric_alarm,
}
