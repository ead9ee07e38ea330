"""The alarms and their metrics, and that each alarm reaches a recipient."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.components.program import ROOT, Deployed, deploy


def test_these_things_raise_an_alarm(dev: Deployed) -> None:
    alarms = {
        resource.name.removeprefix("monitoring-"): (
            resource.inputs["namespace"],
            resource.inputs["metricName"],
            *(value.replace("transactions-pipeline-dev-", "") for value in resource.inputs["dimensions"].values()),
            resource.inputs["threshold"],
            resource.inputs["period"],
        )
        for resource in dev.of("MetricAlarm")
    }
    others = [resource for resource in dev.of("MetricAlarm") if resource.name != "monitoring-no-sweep"]
    assert {resource.inputs["comparisonOperator"] for resource in others} == {"GreaterThanThreshold"}
    assert {resource.inputs["evaluationPeriods"] for resource in others} == {1}
    visible = ("AWS/SQS", "ApproximateNumberOfMessagesVisible")
    errors = ("AWS/Lambda", "Errors")
    assert alarms == {
        "dead-letters": (*visible, "dead-letters", 0, 300),
        "notify-failures": (*visible, "notifications-notify-failures-0a1b2c3", 0, 300),
        "archive-failures": (*visible, "archiving-archive-failures-0a1b2c3", 0, 300),
        "sweep-failures": (*visible, "sweeping-sweep-failures-0a1b2c3", 0, 300),
        "waiting-drops": ("transactions-pipeline", "OldestWaitingDropMinutes", "dev", 60, 900),
        "unusual-load": ("transactions-pipeline", "UnusualLoads", "dev", 0, 300),
        "failed-runs": ("AWS/Events", "Invocations", "notifications-notify-failed-0a1b2c3", 0, 300),
        "start-run-errors": (*errors, "start-run", 0, 300),
        "notify-errors": (*errors, "notify", 0, 300),
        "archive-errors": (*errors, "archive", 0, 300),
        "sweep-errors": (*errors, "sweep", 0, 300),
        "no-drop": ("transactions-pipeline", "HoursSinceLastDrop", "dev", 26, 900),
        "no-sweep": ("AWS/Lambda", "Invocations", "sweep", 1, 900),
    }


def test_every_queue_of_failures_and_every_function_is_watched(deployed: Deployed) -> None:
    watched = {value for resource in deployed.of("MetricAlarm") for value in resource.inputs["dimensions"].values()}
    failures = {resource.state["name"] for resource in deployed.of("Queue")} - {
        f"transactions-pipeline-{deployed.stack}-drops"
    }
    functions = {resource.inputs["name"] for resource in deployed.of("Function") if not resource.is_component}
    assert failures | functions <= watched
    assert len(failures | functions) == 8


def test_an_alarm_says_what_happened_and_what_to_do(deployed: Deployed) -> None:
    operators = deployed.only("Topic", "notifications-operators").state["arn"]
    for alarm in deployed.of("MetricAlarm"):
        assert alarm.inputs["alarmActions"] == [operators]
        assert len(alarm.inputs["alarmDescription"].split(". ")) >= 2, "what happened, and what to do"


def test_only_two_alarms_say_when_they_are_over(deployed: Deployed) -> None:
    """Every new alarm turns from "insufficient data" to OK: each of the others would mail at the first deployment."""
    says_when_over = {resource.name for resource in deployed.of("MetricAlarm") if resource.inputs.get("okActions")}
    assert says_when_over == {"monitoring-no-drop", "monitoring-dead-letters"}


def test_a_new_stack_raises_no_alarm_by_its_silence(deployed: Deployed) -> None:
    silent = {resource.name: resource.inputs["treatMissingData"] for resource in deployed.of("MetricAlarm")}
    # Between two sweeps there is no number: the alarm stays as the last sweep left it.
    by_sweep = {silent.pop("monitoring-no-drop"), silent.pop("monitoring-waiting-drops")}
    assert by_sweep == {"ignore"}
    # Every new alarm begins in the state "insufficient data", and only a change of state is mailed.
    assert silent.pop("monitoring-no-sweep") == "missing"
    assert set(silent.values()) == {"notBreaching"}


@pytest.mark.parametrize("minutes", [5, 59, 60, 1440])
def test_a_sweep_that_no_longer_runs_is_mailed(minutes: int, wheel_directory: Path) -> None:
    """CloudWatch has no figure for a function that is not called: without any, the state is "insufficient data"."""
    stack = deploy("dev", wheel_directory, sweepMinutes=str(minutes))
    operators = stack.only("Topic", "notifications-operators").state["arn"]
    alarm = stack.only("MetricAlarm", "monitoring-no-sweep").inputs
    assert alarm["insufficientDataActions"] == alarm["alarmActions"] == [operators]
    assert alarm["treatMissingData"] == "missing"
    # A sweep may be some seconds late and miss its period, so one period alone says nothing.
    assert alarm["evaluationPeriods"] >= 2
    assert alarm["period"] == minutes * 60
    assert (alarm["comparisonOperator"], alarm["threshold"]) == ("LessThanThreshold", 1)
    assert alarm["dimensions"] == {"FunctionName": "transactions-pipeline-dev-sweep"}
    says_when_silent = {item.name for item in stack.of("MetricAlarm") if item.inputs.get("insufficientDataActions")}
    assert says_when_silent == {"monitoring-no-sweep"}, "any other would mail whenever nothing happens"


@pytest.mark.parametrize("minutes", [5, 7, 15, 1440])
def test_an_alarm_on_what_the_sweep_sees_looks_once_a_sweep(minutes: int, wheel_directory: Path) -> None:
    stack = deploy("dev", wheel_directory, sweepMinutes=str(minutes))
    periods = {
        resource.inputs["period"]
        for resource in stack.of("MetricAlarm")
        if resource.inputs["metricName"] in ("OldestWaitingDropMinutes", "HoursSinceLastDrop")
    }
    assert periods == {minutes * 60}


def test_no_alarm_looks_further_back_than_cloudwatch_can(deployed: Deployed) -> None:
    """Seven days where a period is an hour or more, one day where it is less."""
    for alarm in deployed.of("MetricAlarm"):
        period, periods = alarm.inputs["period"], alarm.inputs["evaluationPeriods"]
        assert period * periods <= (7 * 24 * 3600 if period >= 3600 else 24 * 3600)


def test_the_dashboard_shows_what_the_alarms_watch(dev: Deployed) -> None:
    (dashboard,) = dev.of("Dashboard")
    widgets = json.loads(dashboard.inputs["dashboardBody"])["widgets"]
    shown = {(metric[0], metric[1], metric[3]) for widget in widgets for metric in widget["properties"]["metrics"]}
    alarmed = {
        (resource.inputs["namespace"], resource.inputs["metricName"], *resource.inputs["dimensions"].values())
        for resource in dev.of("MetricAlarm")
    }
    assert alarmed <= shown
    places = [(widget["x"], widget["y"]) for widget in widgets]
    assert len(set(places)) == len(places)
    assert {widget["properties"]["region"] for widget in widgets} == {"eu-west-1"}


def test_the_runbook_has_a_section_for_every_alarm(dev: Deployed) -> None:
    alarms = {alarm.inputs["name"].removeprefix("transactions-pipeline-dev-") for alarm in dev.of("MetricAlarm")}
    runbook = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^### ([a-z]+(?:-[a-z]+)+)$", runbook, re.MULTILINE)) == alarms
