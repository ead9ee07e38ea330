"""What is watched, and that an alarm reaches somebody."""

from __future__ import annotations

import json

from tests.components.program import Deployed


def test_these_things_raise_an_alarm(dev: Deployed) -> None:
    alarms = {
        found.name.removeprefix("monitoring-"): (
            found.inputs["namespace"],
            found.inputs["metricName"],
            *(value.replace("transactions-pipeline-dev-", "") for value in found.inputs["dimensions"].values()),
            found.inputs["comparisonOperator"],
            found.inputs["threshold"],
            found.inputs["period"] * found.inputs["evaluationPeriods"],
        )
        for found in dev.of("MetricAlarm")
    }
    more = "GreaterThanThreshold"
    visible = ("AWS/SQS", "ApproximateNumberOfMessagesVisible")
    errors = ("AWS/Lambda", "Errors")
    assert alarms == {
        "dead-letters": (*visible, "dead-letters", more, 0, 300),
        "notify-failures": (*visible, "notifications-notify-failures-0a1b2c3", more, 0, 300),
        "archive-failures": (*visible, "archiving-archive-failures-0a1b2c3", more, 0, 300),
        "sweep-failures": (*visible, "sweeping-sweep-failures-0a1b2c3", more, 0, 300),
        "waiting-drops": ("AWS/SQS", "ApproximateAgeOfOldestMessage", "drops", more, 3600, 300),
        "failed-runs": ("AWS/Events", "Invocations", "notifications-notify-failed-0a1b2c3", more, 0, 300),
        "start-run-errors": (*errors, "start-run", more, 0, 300),
        "notify-errors": (*errors, "notify", more, 0, 300),
        "archive-errors": (*errors, "archive", more, 0, 300),
        "sweep-errors": (*errors, "sweep", more, 0, 300),
        "no-drop": ("AWS/SQS", "NumberOfMessagesSent", "drops", "LessThanThreshold", 1, 26 * 3600),
    }


def test_every_queue_of_failures_and_every_function_is_watched(deployed: Deployed) -> None:
    watched = {value for found in deployed.of("MetricAlarm") for value in found.inputs["dimensions"].values()}
    queues = {found.state["name"] for found in deployed.of("Queue")}
    functions = {found.inputs["name"] for found in deployed.of("Function") if not found.is_component}
    assert queues | functions <= watched
    assert len(queues | functions) == 9


def test_every_alarm_is_mailed_says_what_to_do_and_says_when_it_is_over(deployed: Deployed) -> None:
    (topic,) = deployed.of("Topic")
    for alarm in deployed.of("MetricAlarm"):
        assert alarm.inputs["alarmActions"] == alarm.inputs["okActions"] == [topic.state["arn"]]
        assert len(alarm.inputs["alarmDescription"].split(". ")) >= 2, "what happened, and what to do"


def test_silence_is_an_alarm_only_where_it_means_that_no_drop_came(deployed: Deployed) -> None:
    silent = {found.name: found.inputs["treatMissingData"] for found in deployed.of("MetricAlarm")}
    assert silent.pop("monitoring-no-drop") == "breaching"
    assert set(silent.values()) == {"notBreaching"}


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
        (found.inputs["namespace"], found.inputs["metricName"], *found.inputs["dimensions"].values())
        for found in dev.of("MetricAlarm")
    }
    # A waiting drop is seen by the number of messages, not by the age of the oldest.
    assert {metric for metric in alarmed if metric[1] != "ApproximateAgeOfOldestMessage"} <= shown
    places = [(widget["x"], widget["y"]) for widget in widgets]
    assert len(set(places)) == len(places)
    assert {widget["properties"]["region"] for widget in widgets} == {"eu-west-1"}
