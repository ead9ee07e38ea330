"""The rights of a job: its drops, its prefixes of the work bucket, the warehouse, and those that Glue itself needs."""

from __future__ import annotations

from collections.abc import Sequence

from pulumi_aws import glue

from components.arns import sibling
from components.network import Network
from components.permissions import (
    JOB_LOOKUPS,
    Statement,
    allow,
    delete_objects,
    list_below,
    list_bucket_for_404,
    read_object_versions,
    read_objects,
    sign_in_to,
    write_objects,
)
from components.storage import Storage
from components.warehouse import Warehouse
from schemas.runs import ERROR_LOG_GROUP, OUTPUT_LOG_GROUP, SPARK_ERROR_LOG_GROUP, SPARK_OUTPUT_LOG_GROUP
from schemas.work_bucket import STAGING

LOG_GROUPS = (OUTPUT_LOG_GROUP, ERROR_LOG_GROUP)
SPARK_LOG_GROUPS = (SPARK_OUTPUT_LOG_GROUP, SPARK_ERROR_LOG_GROUP)


def data_statements(
    storage: Storage,
    warehouse: Warehouse,
    drops: str,
    *,
    reads: Sequence[str],
    writes: Sequence[str],
    replaces: Sequence[str],
) -> list[Statement]:
    """The job's own rights: its drops, archived ones included, and prefixes of the work bucket."""
    drop_bucket, work_bucket, archive_bucket = (bucket.arn for bucket in storage.buckets)
    return [
        read_object_versions(drop_bucket, drops),
        list_bucket_for_404(drop_bucket),
        # A load is replayed, and its waiting rows are added, after its drop was archived.
        read_object_versions(archive_bucket, drops),
        list_bucket_for_404(archive_bucket),
        # A planned file is stored in its run's staging prefix; the run's arguments name its version.
        read_object_versions(work_bucket, STAGING),
        read_objects(work_bucket, *reads),
        write_objects(work_bucket, *writes),
        delete_objects(work_bucket, *replaces),
        list_below(work_bucket, *replaces),
        sign_in_to(warehouse.workgroup.arn),
    ]


def network_statements(network: Network, connection: glue.Connection, log_groups: Sequence[str]) -> list[Statement]:
    """The rights that Glue uses in the job's name: its logs, and its network interface in the subnet."""
    vpc = network.vpc.arn
    interfaces = sibling(vpc, "ec2", "network-interface/*")
    return [
        allow(
            ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"],
            [sibling(vpc, "logs", f"log-group:{group}{streams}") for group in log_groups for streams in ("", ":*")],
        ),
        allow(["glue:GetConnection"], [sibling(vpc, "glue", "catalog"), connection.arn]),
        allow(["ec2:CreateNetworkInterface"], [interfaces, network.subnets[0].arn, network.jobs.arn]),
        allow(["ec2:DeleteNetworkInterface"], [interfaces]),
        allow(
            ["ec2:CreateTags", "ec2:DeleteTags"],
            [interfaces],
            {"ForAllValues:StringEquals": {"aws:TagKeys": ["aws-glue-service-resource"]}},
        ),
        allow(["ec2:DescribeVpcAttribute"], [vpc]),
        allow(JOB_LOOKUPS, ["*"]),
    ]
