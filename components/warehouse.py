"""Redshift Serverless, its tables and its rights.

The contract (schemas/warehouse/ddl.py) decides the tables and what a database user may do; the stack's program
passes its statements in.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
from pulumi_aws import iam, redshiftdata, redshiftserverless

from components.arns import account_of
from components.deployment import Deployment
from components.network import Network
from components.permissions import allow, assume_role_policy, list_below, policy, read_objects, write_objects
from components.pipeline_component import PipelineComponent
from components.refusals import require
from components.storage import Storage
from schemas.work_bucket import STAGING

# https://docs.aws.amazon.com/redshift/latest/dg/r_pg_keywords.html
RESERVED_WORDS = """
aes128 aes256 all allowoverwrite analyse analyze and any array as asc authorization az64 backup between
binary blanksasnull both bytedict bzip2 case cast check collate column constraint create credentials cross
current_date current_time current_timestamp current_user current_user_id default deferrable deflate defrag
delta delta32k desc disable distinct do else emptyasnull enable encode encrypt encryption end except
explicit false for foreign freeze from full globaldict256 globaldict64k grant group gzip having identity
ignore ilike in initially inner intersect interval into is isnull join language leading left like limit
localtime localtimestamp lun luns lzo lzop minus mostly16 mostly32 mostly8 natural new not notnull null
nulls off offline offset oid old on only open or order outer overlaps parallel partition percent permissions
pivot placing primary raw readratio recover references rejectlog resort respect restore right select
session_user similar snapshot some sysdate system table tag tdes text255 text32k then timestamp to top
trailing true truncatecolumns union unique unnest unpivot user using verbose wallet when where with without
"""

MOST_RPU_HOURS = 1_000_000
"""More than the largest workgroup can use in a day."""


@dataclass(frozen=True, kw_only=True)
class WarehouseArgs:
    deployment: Deployment
    storage: Storage
    network: Network
    steps: Sequence[Sequence[str]]
    """SQL of the tables, the jobs' database users and their rights. A step begins when all statements of the
    step before it have ended; the statements of one step may run at the same time. Each must be safe to run twice."""
    keep_data: bool
    """True: `pulumi destroy` refuses to touch the namespace."""
    database_name: str
    warehouse_base_capacity: int
    """RPU; Redshift's minimum is 4."""
    warehouse_max_capacity: int
    """The RPU to which Redshift may grow for a large load; 0: no limit of ours."""
    warehouse_rpu_hours_per_day: int
    """RPU hours a day; beyond them Redshift refuses queries until the next day (UTC)."""
    lock_seconds: int
    """How long a load waits for the loads before it."""
    statement_seconds: int
    """How long one statement of a load may take; a load of many rows gets more."""

    def __post_init__(self) -> None:
        require(
            re.fullmatch(r"[a-z][a-z0-9_]{0,62}", self.database_name) is not None
            and self.database_name not in RESERVED_WORDS.split(),
            "database_name",
            self.database_name,
            "1 to 63 lower-case letters, digits and underscores, starting with a letter, "
            "and not a reserved word of Redshift",
        )
        capacity = self.warehouse_base_capacity
        require(
            capacity == 4 or (8 <= capacity <= 512 and capacity % 8 == 0),
            "warehouse_base_capacity",
            capacity,
            "4, or a multiple of 8 from 8 to 512 (RPU)",
        )
        most = self.warehouse_max_capacity
        require(
            most == 0 or (capacity <= most <= 512 and most % 8 == 0),
            "warehouse_max_capacity",
            most,
            f"0 for no maximum, or a multiple of 8 from warehouseBaseCapacity ({capacity}) to 512 (RPU)",
        )
        require(
            1 <= self.warehouse_rpu_hours_per_day <= MOST_RPU_HOURS,
            "warehouse_rpu_hours_per_day",
            self.warehouse_rpu_hours_per_day,
            f"from 1 to {MOST_RPU_HOURS} (RPU hours)",
        )
        for field in ("lock_seconds", "statement_seconds"):
            value = getattr(self, field)
            require(60 <= value <= 86_400, f"warehouse_{field}", value, "from 60 to 86400 seconds")


class Warehouse(PipelineComponent):
    """A workgroup in the private network, with its tables; only IAM roles can sign in."""

    workgroup: redshiftserverless.Workgroup
    host: pulumi.Output[str]
    port: pulumi.Output[int]
    database: str
    copy_role: iam.Role
    lock_seconds: int
    statement_seconds: int

    def __init__(self, name: str, args: WarehouseArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, args.deployment, opts)
        self._args = args
        self.database = args.database_name
        self.lock_seconds, self.statement_seconds = args.lock_seconds, args.statement_seconds
        self.copy_role = self._copy_role()
        namespace = redshiftserverless.Namespace(
            name,
            namespace_name=args.deployment.name("warehouse"),
            db_name=args.database_name,
            admin_username="warehouse_admin",
            # AWS creates, stores and rotates the password, so no argument holds it.
            manage_admin_password=True,
            iam_roles=[self.copy_role.arn],
            tags=self._tags("warehouse"),
            # The name stays the same, so a new database replaces the old one. Pulumi refuses to replace what
            # is protected; without keepData the old namespace goes first, and the workgroup with it.
            opts=self._child(protect=args.keep_data, delete_before_replace=True),
        )
        self.workgroup = redshiftserverless.Workgroup(
            name,
            namespace_name=namespace.namespace_name,
            workgroup_name=args.deployment.name("warehouse"),
            base_capacity=args.warehouse_base_capacity,
            max_capacity=args.warehouse_max_capacity or None,
            subnet_ids=[subnet.id for subnet in args.network.subnets],
            security_group_ids=[args.network.warehouse.id],
            port=args.network.warehouse_port,
            publicly_accessible=False,
            tags=self._tags("warehouse"),
            # Its groups change with the VPC alone. AWS takes new groups and new subnets in two requests, and neither
            # fits a workgroup that is still in the other VPC. The namespace keeps the data.
            opts=self._child(delete_before_replace=True, replace_on_changes=["security_group_ids"]),
        )
        redshiftserverless.UsageLimit(
            name,
            resource_arn=self.workgroup.arn,
            usage_type="serverless-compute",
            amount=args.warehouse_rpu_hours_per_day,
            period="daily",
            breach_action="deactivate",
            opts=self._child(),
        )
        self._run(args.steps, namespace)
        self.host, self.port = self.workgroup.endpoints[0].address, self.workgroup.endpoints[0].port
        self.register_outputs({"workgroup": self.workgroup.workgroup_name, "host": self.host})

    def _copy_role(self) -> iam.Role:
        """The role with which COPY reads and UNLOAD writes staged files; it has no other rights."""
        args = self._args
        role = iam.Role(
            f"{self._name}-copy",
            assume_role_policy=assume_role_policy(
                "redshift.amazonaws.com",
                "redshift-serverless.amazonaws.com",
                account=account_of(args.network.vpc.arn),
            ),
            tags=self._tags("copy"),
            opts=self._child(),
        )
        bucket_arn = args.storage.work.arn
        iam.RolePolicy(
            f"{self._name}-copy",
            role=role.name,
            policy=policy(
                [
                    read_objects(bucket_arn, STAGING),
                    write_objects(bucket_arn, STAGING),
                    list_below(bucket_arn, STAGING),
                    # COPY finds the bucket's Region with it; COPY of Parquet has no REGION option.
                    allow(["s3:GetBucketLocation"], [bucket_arn]),
                ]
            ),
            opts=self._child(),
        )
        return role

    def _run(self, steps: Sequence[Sequence[str]], namespace: redshiftserverless.Namespace) -> None:
        """Run the statements through the Data API, step by step. The provider first checks a statement after half a
        minute, so steps cost time and statements do not.
        The Data API forgets a statement after a day. A `pulumi refresh` then forgets it too, and the next
        `pulumi up` runs it again.
        """
        done: list[redshiftdata.Statement] = []
        for statements in steps:
            done = [
                redshiftdata.Statement(
                    f"{self._name}-{statement_name(sql)}",
                    workgroup_name=self.workgroup.workgroup_name,
                    database=self.database,
                    secret_arn=namespace.admin_password_secret_arn,
                    sql=sql,
                    opts=self._child(*done),
                )
                for sql in statements
            ]


def statement_name(sql: str) -> str:
    """A name derived from the statement's text: a changed text runs as a new statement, an unchanged one does not run
    again."""
    words = "-".join(re.findall(r"[a-z_]+", sql.lower())[:7])[:48].strip("-")
    return f"{words}-{hashlib.sha256(sql.encode('utf-8')).hexdigest()[:8]}"
