"""Files are dropped on a local cloud. From then on, events alone do the work."""

from __future__ import annotations

from collections import Counter

import pytest

from cli.drops.progress import Progress
from cli.drops.status import Phase
from local.api.aws_requests import AwsRequest
from local.api.iam_middleware import Refused
from local.local_cloud import LocalCloud
from local.runtime.event_router import Delivery
from local.runtime.glue import LOG_GROUPS
from schemas.warehouse.tables import WAREHOUSE_TABLES
from tests.local.local_clouds import GOOD, fact, mails_about, phase_of, put, runs_of, transactions, transactions_key

pytestmark = pytest.mark.flow


def test_the_sample_dimensions_are_loaded_by_events(cloud: LocalCloud) -> None:
    archived = cloud.client("s3").list_objects_v2(Bucket=cloud.outputs["archive_bucket"])["Contents"]
    assert [entry["Key"] for entry in archived] == ["dimensions/dim_customers.csv", "dimensions/dim_products.csv"]
    assert len(cloud.mails()) == 2


def test_every_declared_resource_exists(cloud: LocalCloud) -> None:
    kinds = Counter(type_.rpartition(":")[2] for type_, _ in cloud.deployed.resources)
    client = cloud.client
    rules = client("events").list_rules()["Rules"]
    roles = client("iam").list_roles()["Roles"]
    policies = [client("iam").list_role_policies(RoleName=role["RoleName"])["PolicyNames"] for role in roles]
    targets = [client("events").list_targets_by_rule(Rule=rule["Name"])["Targets"] for rule in rules]
    log_groups = client("logs").describe_log_groups()["logGroups"]
    actual = {
        "Bucket": len(client("s3").list_buckets()["Buckets"]),
        "Queue": len(client("sqs").list_queues()["QueueUrls"]),
        "Topic": len(client("sns").list_topics()["Topics"]),
        "TopicSubscription": len(client("sns").list_subscriptions()["Subscriptions"]),
        "Role": len(roles),
        "RolePolicy": sum(map(len, policies)),
        "Function": len(client("lambda").list_functions()["Functions"]),
        "EventSourceMapping": len(client("lambda").list_event_source_mappings()["EventSourceMappings"]),
        "EventRule": len(rules),
        "EventTarget": sum(map(len, targets)),
        "Job": len(client("glue").list_jobs()["JobNames"]),
        "Connection": len(client("glue").get_connections()["ConnectionList"]),
        "MetricAlarm": len(client("cloudwatch").describe_alarms()["MetricAlarms"]),
        "LogGroup": len({group["logGroupName"] for group in log_groups} - set(LOG_GROUPS)),
        "Subnet": len([item for item in client("ec2").describe_subnets()["Subnets"] if not item["DefaultForAz"]]),
        "VpcEndpoint": len(client("ec2").describe_vpc_endpoints()["VpcEndpoints"]),
    }
    assert actual == {kind: kinds[kind] for kind in actual}
    assert len(cloud.deployed.resources) > 100


def test_the_tables_exist_and_belong_to_the_admin(cloud: LocalCloud) -> None:
    connection = cloud.connect()
    try:
        cursor = connection.cursor()
        cursor.execute("SELECT tablename, tableowner FROM pg_tables WHERE schemaname = 'public'")
        assert {tuple(row) for row in cursor.fetchall()} == {
            (table.name, "warehouse_admin") for table in WAREHOUSE_TABLES
        }
    finally:
        connection.close()


def test_a_dropped_file_is_loaded_mailed_and_archived(undisturbed: LocalCloud) -> None:
    rows = transactions(GOOD.format(number=1, day=1), "T2,C12345,nobody's,1,2023-03-01,x")
    drop = put(undisturbed, transactions_key(1), rows)
    undisturbed.wait_until_idle()
    assert phase_of(undisturbed, drop) is Phase.ARCHIVED
    assert [(status, str(amount)) for status, amount in fact(undisturbed, "T1")] == [("completed", "89.97")]
    assert mails_about(undisturbed, drop) == ["[dev] 1 Mar loaded: +89.97, 1 of 2 rows needs a look (50.0 %)"]
    assert undisturbed.queue("dead_letter_queue_url").all == 0
    assert (undisturbed.router.warnings, undisturbed.aws.iam.denials) == ([], [])


def test_a_file_that_cannot_be_loaded_fails_and_stays_where_it_is(undisturbed: LocalCloud) -> None:
    drop = put(undisturbed, transactions_key(2), b"transaction_id,customer_id\nT3,C12345\n")
    undisturbed.wait_until_idle()
    (seen,) = Progress(undisturbed).look([drop])
    assert seen.phase is Phase.FAILED
    assert "the header lacks 'product_id'" in seen.summary
    (subject,) = mails_about(undisturbed, drop)
    assert subject.startswith("[dev] 2 Mar NOT loaded: line 1: the header lacks 'product_id'")
    assert runs_of(undisturbed, drop)[0].status == "FAILED"
    assert drop in Progress(undisturbed).in_drop_bucket()


def test_duplicated_events_end_in_one_run_one_mail_and_one_row(undisturbed: LocalCloud) -> None:
    undisturbed.router.delivery_policy = lambda _: (0.0, 0.02, 0.3)
    before = len(undisturbed.runs())
    drop = put(undisturbed, transactions_key(3), transactions(GOOD.format(number=4, day=3)))
    undisturbed.wait_until_idle()
    assert len(undisturbed.runs()) - before == 1
    assert len(mails_about(undisturbed, drop)) == 1
    assert len(fact(undisturbed, "T4")) == 1
    assert phase_of(undisturbed, drop) is Phase.ARCHIVED


def test_the_sweep_finishes_what_lost_events_left_undone(undisturbed: LocalCloud) -> None:
    def lose_events(delivery: Delivery) -> tuple[float, ...]:
        return () if delivery.kind in ("object event", "run event", "schedule") else (0.0,)

    undisturbed.router.delivery_policy = lose_events
    drop = put(undisturbed, transactions_key(4), transactions(GOOD.format(number=5, day=4)))
    undisturbed.wait_until_idle()
    assert phase_of(undisturbed, drop) is Phase.QUEUED
    # One sweep finds the drop without a run. The next finds its missing mail and its missing archive copy.
    for _ in range(2):
        undisturbed.router.tick(grace_seconds=0)
        undisturbed.wait_until_idle()
    assert phase_of(undisturbed, drop) is Phase.ARCHIVED
    assert len(mails_about(undisturbed, drop)) == 1


def test_a_throttled_start_is_retried(undisturbed: LocalCloud) -> None:
    throttled: list[str] = []

    def throttle(asked: AwsRequest) -> None:
        if asked.operation == "StartJobRun" and len(throttled) < 2:
            throttled.append(asked.parameters["JobName"])
            raise Refused("ThrottlingException", "Rate exceeded")

    undisturbed.aws.iam.before = throttle
    drop = put(undisturbed, transactions_key(5), transactions(GOOD.format(number=6, day=5)))
    undisturbed.wait_until_idle()
    assert len(throttled) == 2
    assert phase_of(undisturbed, drop) is Phase.ARCHIVED
