"""Redshift Serverless, its tables and its rights.

The statements are handed in (schemas/warehouse/sql.py renders them): what a table is called or a
database user may do is not decided here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
from pulumi_aws import iam, redshiftdata, redshiftserverless

from components.deployment import Deployment
from components.permissions import allow, assume_role_policy, list_below, policy, read_objects, write_objects
from components.refusals import require
from schemas.work_bucket import STAGING


@dataclass(frozen=True, kw_only=True)
class WarehouseArgs:
    deployment: Deployment
    subnet_ids: Sequence[pulumi.Input[str]]
    security_group_id: pulumi.Input[str]
    port: int
    work_bucket_arn: pulumi.Input[str]
    statements: Sequence[str]
    """SQL to run in this order: tables first, then the jobs' database users and their rights."""
    keep_data: bool
    """True: `pulumi destroy` refuses to touch the namespace."""
    database_name: str
    warehouse_base_capacity: int
    """RPU; 4 is the least Redshift offers."""
    warehouse_rpu_hours_per_day: int
    """Beyond it Redshift refuses queries until the next day (UTC)."""

    def __post_init__(self) -> None:
        require(
            re.fullmatch(r"[a-z][a-z0-9_]{0,62}", self.database_name) is not None,
            "database_name",
            self.database_name,
            "1 to 63 lower-case letters, digits and underscores, starting with a letter",
        )
        capacity = self.warehouse_base_capacity
        require(
            capacity == 4 or (8 <= capacity <= 512 and capacity % 8 == 0),
            "warehouse_base_capacity",
            capacity,
            "4, or a multiple of 8 from 8 to 512 (RPU)",
        )
        require(
            self.warehouse_rpu_hours_per_day >= 1,
            "warehouse_rpu_hours_per_day",
            self.warehouse_rpu_hours_per_day,
            "at least 1 (RPU hour)",
        )


class Warehouse(pulumi.ComponentResource):
    """A workgroup of its own network address, tables ready, reached by IAM roles alone."""

    workgroup: pulumi.Output[str]
    workgroup_arn: pulumi.Output[str]
    host: pulumi.Output[str]
    port: pulumi.Output[int]
    database: str
    copy_role_arn: pulumi.Output[str]

    def __init__(self, name: str, args: WarehouseArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("transactions-pipeline:index:Warehouse", name, {}, opts)
        self._name, self._args = name, args
        self._child = pulumi.ResourceOptions(parent=self)

        copy_role = self._copy_role()
        namespace = redshiftserverless.Namespace(
            name,
            namespace_name=args.deployment.name("warehouse"),
            db_name=args.database_name,
            admin_username="warehouse_admin",
            # AWS makes, keeps and rotates the password: no argument ever holds it.
            manage_admin_password=True,
            iam_roles=[copy_role.arn],
            tags=self._tags(),
            opts=pulumi.ResourceOptions(parent=self, protect=args.keep_data),
        )
        workgroup = redshiftserverless.Workgroup(
            name,
            namespace_name=namespace.namespace_name,
            workgroup_name=args.deployment.name("warehouse"),
            base_capacity=args.warehouse_base_capacity,
            subnet_ids=args.subnet_ids,
            security_group_ids=[args.security_group_id],
            port=args.port,
            publicly_accessible=False,
            tags=self._tags(),
            opts=self._child,
        )
        redshiftserverless.UsageLimit(
            name,
            resource_arn=workgroup.arn,
            usage_type="serverless-compute",
            amount=args.warehouse_rpu_hours_per_day,
            period="daily",
            breach_action="deactivate",
            opts=self._child,
        )
        self._run_in_order(workgroup, namespace)

        self.workgroup, self.workgroup_arn = workgroup.workgroup_name, workgroup.arn
        self.host, self.port = workgroup.endpoints[0].address, workgroup.endpoints[0].port
        self.database = args.database_name
        self.copy_role_arn = copy_role.arn
        self.register_outputs({"workgroup": self.workgroup, "host": self.host})

    def _copy_role(self) -> iam.Role:
        """What COPY reads and UNLOAD writes: staged files and nothing else."""
        role = iam.Role(
            f"{self._name}-copy",
            assume_role_policy=assume_role_policy("redshift.amazonaws.com", "redshift-serverless.amazonaws.com"),
            tags=self._tags("copy"),
            opts=self._child,
        )
        bucket_arn = self._args.work_bucket_arn
        iam.RolePolicy(
            f"{self._name}-copy",
            role=role.name,
            policy=policy(
                [
                    read_objects(bucket_arn, STAGING),
                    write_objects(bucket_arn, STAGING),
                    list_below(bucket_arn, STAGING),
                    # COPY finds the bucket's Region by it; Parquet knows no REGION option.
                    allow(["s3:GetBucketLocation"], [bucket_arn]),
                ]
            ),
            opts=self._child,
        )
        return role

    def _run_in_order(self, workgroup: redshiftserverless.Workgroup, namespace: redshiftserverless.Namespace) -> None:
        # The Data API forgets a statement after a day; a `pulumi refresh` then forgets it too and the
        # next `pulumi up` runs it again. Hence each must be safe to run twice.
        previous: list[pulumi.Resource] = []
        for number, sql in enumerate(self._args.statements, start=1):
            statement = redshiftdata.Statement(
                f"{self._name}-statement-{number:02}",
                workgroup_name=workgroup.workgroup_name,
                database=self._args.database_name,
                secret_arn=namespace.admin_password_secret_arn,
                sql=sql,
                opts=pulumi.ResourceOptions(parent=self, depends_on=previous),
            )
            previous = [statement]

    def _tags(self, thing: str = "warehouse") -> dict[str, str]:
        return self._args.deployment.tags(Name=self._args.deployment.name(thing))
