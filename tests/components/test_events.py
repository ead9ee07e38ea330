"""From a drop to a run, from a run's end to the mail and the archive: the wiring."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from moto.events.models import EventPattern

from components.events import Rule
from schemas.drops import CUSTOMERS, PRODUCTS, parse_key
from schemas.warehouse.tables import DIMENSIONS
from tests.components.program import ROOT, Deployed

EVENTS = ROOT / "tests" / "events"


def test_every_object_created_in_the_drop_bucket_is_announced(dev: Deployed) -> None:
    (notification,) = dev.of("BucketNotification")
    assert notification.inputs == {
        "bucket": "storage-drop-0a1b2c3",
        "queues": [
            {
                "id": "drops",
                "queueArn": dev.only("Queue", "ingestion-drops").state["arn"],
                "events": ["s3:ObjectCreated:*"],
            }
        ],
    }
    # S3 sends a test message when its target is configured.
    assert dev.only("QueuePolicy", "ingestion-drops").urn in notification.dependencies


def test_a_message_is_hidden_for_six_function_timeouts(deployed: Deployed) -> None:
    queue = deployed.only("Queue", "ingestion-drops").inputs
    (function,) = (
        resource
        for resource in deployed.of("Function")
        if not resource.is_component and resource.name == "ingestion-start-run"
    )
    (mapping,) = deployed.of("EventSourceMapping")
    window = mapping.inputs.get("maximumBatchingWindowInSeconds", 0)
    assert queue["visibilityTimeoutSeconds"] >= 6 * function.inputs["timeout"] + window


def test_a_drop_is_tried_five_times_then_kept_for_14_days(deployed: Deployed) -> None:
    dead_letters = deployed.only("Queue", "ingestion-dead-letters")
    assert json.loads(deployed.only("Queue", "ingestion-drops").inputs["redrivePolicy"]) == {
        "deadLetterTargetArn": dead_letters.state["arn"],
        "maxReceiveCount": 5,
    }
    assert {queue.inputs["messageRetentionSeconds"] for queue in deployed.of("Queue")} == {14 * 24 * 3600}
    assert {queue.inputs["sqsManagedSseEnabled"] for queue in deployed.of("Queue")} == {True}


def test_a_batch_is_reported_message_by_message(dev: Deployed) -> None:
    (mapping,) = dev.of("EventSourceMapping")
    assert {key: value for key, value in mapping.inputs.items() if key != "tags"} == {
        "eventSourceArn": dev.only("Queue", "ingestion-drops").state["arn"],
        "functionName": "arn:aws:lambda:eu-west-1:123456789012:function:transactions-pipeline-dev-start-run",
        "batchSize": 10,
        "functionResponseTypes": ["ReportBatchItemFailures"],
        "scalingConfig": {"maximumConcurrency": 2},
    }


@pytest.mark.parametrize(
    ("recorded", "rules"),
    [
        ("glue_succeeded", {"archiving-archive-succeeded", "notifications-notify-succeeded"}),
        ("glue_failed", {"notifications-notify-failed"}),
        ("glue_timeout", {"notifications-notify-failed"}),
        ("glue_stopped", {"notifications-notify-failed"}),
        ("glue_run_status", set()),
        ("eventbridge_s3_object_created", set()),
    ],
)
@pytest.mark.parametrize("job", ["process-transactions", "load-dimensions"])
def test_the_end_of_a_run_calls_those_who_must_know(
    deployed: Deployed, recorded: str, job: str, rules: set[str]
) -> None:
    event = _recorded(recorded)
    if "jobName" in event["detail"]:
        event["detail"]["jobName"] = f"transactions-pipeline-{deployed.stack}-{job}"
    assert _rules_that_match(deployed, event) == rules


def test_the_end_of_another_stacks_run_calls_no_function(dev: Deployed) -> None:
    event = _recorded("glue_succeeded")
    event["detail"]["jobName"] = "transactions-pipeline-prod-process-transactions"
    assert _rules_that_match(dev, event) == set()


def test_a_target_comes_after_its_permission_and_failure_queue(deployed: Deployed) -> None:
    permissions = {resource.name: resource.urn for resource in deployed.of("Permission")}
    policies = {resource.name: resource.urn for resource in deployed.of("QueuePolicy")}
    targets = deployed.of("EventTarget")
    assert len(targets) == 4
    for target in targets:
        function = target.name.rpartition("-")[0]
        assert {permissions[target.name], policies[f"{function}-failures"]} <= target.dependencies


def test_the_sweep_comes_round_as_often_as_configured(dev: Deployed) -> None:
    schedules = {resource.name: resource.inputs.get("scheduleExpression") for resource in dev.of("EventRule")}
    assert {name: schedule for name, schedule in schedules.items() if schedule} == {
        "sweeping-sweep-schedule": "rate(15 minutes)"
    }


@pytest.mark.parametrize("what", [{}, {"event_pattern": {"source": ["aws.glue"]}, "schedule": "rate(5 minutes)"}])
def test_a_rule_has_either_a_pattern_or_a_schedule(what: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="either an event pattern or a schedule"):
        Rule(description="neither or both", **what)


def _subscribers(stack: Deployed) -> dict[str, list[str]]:
    topics = {resource.state["arn"]: resource.name.removeprefix("notifications-") for resource in stack.of("Topic")}
    subscribers: dict[str, list[str]] = {name: [] for name in topics.values()}
    for resource in stack.of("TopicSubscription"):
        assert resource.inputs["protocol"] == "email"
        subscribers[topics[resource.inputs["topic"]]].append(resource.inputs["endpoint"])
    return subscribers


def test_outcomes_and_alarms_have_subscribers_of_their_own(prod: Deployed) -> None:
    assert _subscribers(prod) == {"outcomes": ["analyst@example.com"], "operators": ["data-platform@example.com"]}


def test_without_operators_alarms_go_to_the_outcomes_readers(dev: Deployed) -> None:
    assert _subscribers(dev) == {"outcomes": ["analyst@example.com"], "operators": ["analyst@example.com"]}


def test_the_samples_are_dropped_after_everything_they_start(dev: Deployed) -> None:
    samples = [resource for resource in dev.of("BucketObjectv2") if resource.name.startswith("sample-")]
    assert {(resource.inputs["bucket"], resource.inputs["key"]) for resource in samples} == {
        ("storage-drop-0a1b2c3", "dimensions/dim_products.csv"),
        ("storage-drop-0a1b2c3", "dimensions/dim_customers.csv"),
    }
    kinds = (
        "BucketNotification",
        "EventSourceMapping",
        "EventTarget",
        "Job",
        "LogGroup",
        "RolePolicy",
        "RouteTableAssociation",
        "SecurityGroupEgressRule",
        "SecurityGroupIngressRule",
        "Statement",
        "TopicSubscription",
        "UsageLimit",
        "VpcEndpoint",
    )
    needed = {
        resource.urn
        for kind in kinds
        for resource in dev.of(kind)
        # The sweep completes what an event lost, so nothing on the way waits for it.
        if not resource.name.startswith("sweeping-")
    }
    assert len(needed) > 40
    assert [needed - resource.dependencies for resource in samples] == [set(), set()]


def test_an_archived_sample_is_not_dropped_again_by_the_next_up(dev: Deployed) -> None:
    samples = [resource for resource in dev.of("BucketObjectv2") if resource.name.startswith("sample-")]
    assert {(resource.ignore_changes, resource.retain_on_delete) for resource in samples} == {
        (("source", "tags", "tagsAll"), True)
    }


def test_the_samples_are_dimensions_of_the_contract() -> None:
    rows = {}
    for kind in (PRODUCTS, CUSTOMERS):
        path = ROOT / "schemas" / "samples" / f"{kind}.csv"
        assert parse_key(f"dimensions/{path.name}").kind == kind
        header, *rows[kind] = _read_csv(path)
        assert header == [column.name for column in DIMENSIONS[kind].source_columns]
        assert len({row[0] for row in rows[kind]}) == len(rows[kind])
    assert ["P12345", "Widget A", "Gadgets", "29.99", "S123"] in rows[PRODUCTS]
    assert ["C12345", "John", "Doe", "john.doe@example.com", "Gold"] in rows[CUSTOMERS]


def _recorded(name: str) -> dict[str, Any]:
    event: dict[str, Any] = json.loads((EVENTS / f"{name}.json").read_text(encoding="utf-8"))
    return event


def _rules_that_match(deployed: Deployed, event: dict[str, Any]) -> set[str]:
    return {
        rule.name
        for rule in deployed.of("EventRule")
        if "eventPattern" in rule.inputs and EventPattern.load(rule.inputs["eventPattern"]).matches_event(event)
    }


def _read_csv(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file, strict=True))
