"""The Glue Python Shell jobs, what they run and what they may do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path

import pulumi
from pulumi_aws import cloudwatch, glue, iam, s3

from components.deployment import Deployment, account_of
from components.permissions import (
    JOB_LOOKUPS,
    Statement,
    allow,
    assume_role_policy,
    delete_objects,
    list_below,
    list_bucket_for_404,
    policy,
    read_object_versions,
    read_objects,
    sign_in_to,
    write_objects,
)
from components.refusals import ConfigError, require
from components.source_files import read_source
from schemas import amount_classes
from schemas.drops import DIMENSIONS_PREFIX, TRANSACTIONS_PREFIX
from schemas.runs import LOAD_DIMENSIONS, PROCESS_TRANSACTIONS, encode_job_arguments
from schemas.sources import InvalidSource
from schemas.work_bucket import CODE, REJECTED, REPORTS, STAGING

# Glue's own names, the same for every Python Shell job of an account.
OUTPUT_LOG_GROUP = "/aws-glue/python-jobs/output"
ERROR_LOG_GROUP = "/aws-glue/python-jobs/error"


@dataclass(frozen=True, kw_only=True)
class ProcessingArgs:
    deployment: Deployment
    drop_bucket_arn: pulumi.Input[str]
    work_bucket: pulumi.Input[str]
    work_bucket_arn: pulumi.Input[str]
    workgroup: pulumi.Input[str]
    workgroup_arn: pulumi.Input[str]
    host: pulumi.Input[str]
    port: pulumi.Input[int]
    database: str
    copy_role_arn: pulumi.Input[str]
    vpc_arn: pulumi.Input[str]
    subnet_id: pulumi.Input[str]
    subnet_arn: pulumi.Input[str]
    zone: str
    security_group_id: pulumi.Input[str]
    security_group_arn: pulumi.Input[str]
    script: Path
    wheel: Path
    job_max_capacity: float
    """Data processing units: 0.0625 (1 GiB) or 1 (16 GiB)."""
    job_timeout_minutes: int
    job_max_concurrent_runs: int
    max_reject_ratio: str
    """The share of rejected rows beyond which a load fails; text, for it goes to the job as it stands."""
    amount_classes: str
    """`label:lower bound` of every class, smallest first, separated by commas."""
    source: str
    """The source format of the drops of transactions: the name of a file in sources/."""
    owns_glue_log_groups: bool
    """True for exactly one stack of an account: Glue's log groups are the account's, not a job's."""
    log_retention_days: int

    def __post_init__(self) -> None:
        require(
            self.job_max_capacity in (0.0625, 1.0),
            "job_max_capacity",
            self.job_max_capacity,
            "0.0625 or 1: Glue gives a Python Shell job no other size",
        )
        require(
            1 <= self.job_timeout_minutes <= 10080,
            "job_timeout_minutes",
            self.job_timeout_minutes,
            "from 1 to 10080 minutes",
        )
        require(
            1 <= self.job_max_concurrent_runs <= 50,
            "job_max_concurrent_runs",
            self.job_max_concurrent_runs,
            "from 1 to 50",
        )
        require(_is_ratio(self.max_reject_ratio), "max_reject_ratio", self.max_reject_ratio, "a number from 0 to 1")
        require(
            _are_classes(self.amount_classes),
            "amount_classes",
            self.amount_classes,
            amount_classes.FORM,
        )
        _source_argument(self.source)


class Processing(pulumi.ComponentResource):
    """`process_transactions` and `load_dimensions`: one script and one wheel, each under its own role."""

    transactions_job: str
    dimensions_job: str
    job_arns: list[pulumi.Output[str]]

    def __init__(self, name: str, args: ProcessingArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("transactions-pipeline:index:Processing", name, {}, opts)
        self._name, self._args = name, args
        self._child = pulumi.ResourceOptions(parent=self)

        if args.owns_glue_log_groups:
            self._keep_logs("output", OUTPUT_LOG_GROUP)
            self._keep_logs("error", ERROR_LOG_GROUP)
        script = self._upload("script", args.script)
        # pip in Glue reads the package's name and tags from the file name: it must stay what it is.
        wheel = self._upload("wheel", args.wheel)
        connection = glue.Connection(
            name,
            connection_type="NETWORK",
            physical_connection_requirements={
                "availability_zone": args.zone,
                "subnet_id": args.subnet_id,
                "security_group_id_lists": [args.security_group_id],
            },
            tags=self._tags("processing"),
            opts=self._child,
        )
        shared = (script, wheel, connection)
        transactions_job = self._job(
            PROCESS_TRANSACTIONS,
            *shared,
            # Staging is read, too: the dimensions come from there.
            data=self._data_statements(TRANSACTIONS_PREFIX, reads=(CODE, STAGING), writes=(STAGING, REJECTED, REPORTS)),
        )
        dimensions_job = self._job(
            LOAD_DIMENSIONS,
            *shared,
            data=self._data_statements(DIMENSIONS_PREFIX, reads=(CODE,), writes=(STAGING, REPORTS)),
        )

        self.transactions_job = job_name(args.deployment, PROCESS_TRANSACTIONS)
        self.dimensions_job = job_name(args.deployment, LOAD_DIMENSIONS)
        self.job_arns = [transactions_job.arn, dimensions_job.arn]
        self.register_outputs({"transactions_job": self.transactions_job, "dimensions_job": self.dimensions_job})

    def _job(
        self,
        job: str,
        script: s3.BucketObjectv2,
        wheel: s3.BucketObjectv2,
        connection: glue.Connection,
        *,
        data: Sequence[Statement],
    ) -> glue.Job:
        args = self._args
        name = job_name(args.deployment, job)
        role = iam.Role(
            f"{self._name}-{job}",
            # Named by us: the warehouse knows the job's database user by it.
            name=role_name(args.deployment, job),
            assume_role_policy=assume_role_policy("glue.amazonaws.com"),
            tags=self._tags(job),
            opts=self._child,
        )
        rights = iam.RolePolicy(
            f"{self._name}-{job}",
            role=role.name,
            policy=policy([*data, *self._network_statements(role, connection)]),
            opts=self._child,
        )
        return glue.Job(
            f"{self._name}-{job}",
            name=name,
            role_arn=role.arn,
            # Glue ignores the version for Python Shell, but every preview shows a difference without it.
            glue_version="3.0",
            command={
                "name": "pythonshell",
                "python_version": "3.9",
                "script_location": pulumi.Output.concat("s3://", script.bucket, "/", script.key),
            },
            connections=[connection.name],
            max_capacity=args.job_max_capacity,
            timeout=args.job_timeout_minutes,
            execution_property={"max_concurrent_runs": args.job_max_concurrent_runs},
            job_run_queuing_enabled=True,
            # With retries every attempt would send its own FAILED event; start_run decides what runs again.
            max_retries=0,
            # Not merely defaults: a run's own arguments may replace the defaults as a whole.
            non_overridable_arguments={
                **encode_job_arguments(
                    {
                        "job": job,
                        "work_bucket": args.work_bucket,
                        "workgroup": args.workgroup,
                        "host": args.host,
                        "port": pulumi.Output.from_input(args.port).apply(str),
                        "database": args.database,
                        "account_id": role.arn.apply(account_of),
                        "region": args.deployment.region,
                        "copy_role_arn": args.copy_role_arn,
                        "max_reject_ratio": args.max_reject_ratio,
                        "amount_classes": args.amount_classes,
                        "source_settings": _source_argument(args.source),
                    }
                ),
                "--extra-py-files": pulumi.Output.concat("s3://", wheel.bucket, "/", wheel.key),
                # Glue's bundled boto3 and redshift-connector are too old to sign in to Redshift Serverless.
                "--library-set": "none",
            },
            tags=self._tags(job),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[rights]),
        )

    def _data_statements(self, drops: str, *, reads: Sequence[str], writes: Sequence[str]) -> list[Statement]:
        """What the job itself does: with its drops, and below prefixes of the work bucket."""
        args = self._args
        return [
            read_object_versions(args.drop_bucket_arn, drops),
            list_bucket_for_404(args.drop_bucket_arn),
            read_objects(args.work_bucket_arn, *reads),
            write_objects(args.work_bucket_arn, *writes),
            delete_objects(args.work_bucket_arn, STAGING),
            list_below(args.work_bucket_arn, STAGING),
            sign_in_to(args.workgroup_arn),
        ]

    def _network_statements(self, role: iam.Role, connection: glue.Connection) -> list[Statement]:
        """What Glue does in the job's name: its logs, and its place in the subnet."""
        args = self._args
        region, account = args.deployment.region, role.arn.apply(account_of)

        def arn(service: str, resource: str) -> pulumi.Output[str]:
            return pulumi.Output.concat(f"arn:aws:{service}:{region}:", account, ":", resource)

        interfaces = arn("ec2", "network-interface/*")
        return [
            allow(
                ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"],
                [
                    arn("logs", f"log-group:{group}{streams}")
                    for group in (OUTPUT_LOG_GROUP, ERROR_LOG_GROUP)
                    for streams in ("", ":*")
                ],
            ),
            allow(["glue:GetConnection"], [arn("glue", "catalog"), connection.arn]),
            allow(["ec2:CreateNetworkInterface"], [interfaces, args.subnet_arn, args.security_group_arn]),
            allow(["ec2:DeleteNetworkInterface"], [interfaces]),
            allow(
                ["ec2:CreateTags", "ec2:DeleteTags"],
                [interfaces],
                {"ForAllValues:StringEquals": {"aws:TagKeys": ["aws-glue-service-resource"]}},
            ),
            allow(["ec2:DescribeVpcAttribute"], [args.vpc_arn]),
            allow(JOB_LOOKUPS, ["*"]),
        ]

    def _upload(self, thing: str, path: Path) -> s3.BucketObjectv2:
        return s3.BucketObjectv2(
            f"{self._name}-{thing}",
            bucket=self._args.work_bucket,
            key=f"{CODE}{path.name}",
            source=pulumi.FileAsset(path),
            tags=self._tags(thing),
            opts=self._child,
        )

    def _keep_logs(self, thing: str, group: str) -> None:
        cloudwatch.LogGroup(
            f"{self._name}-{thing}",
            name=group,
            retention_in_days=self._args.log_retention_days,
            # The account's other jobs write there too.
            skip_destroy=True,
            tags=self._tags(thing),
            opts=self._child,
        )

    def _tags(self, thing: str) -> dict[str, str]:
        return self._args.deployment.tags(Name=self._args.deployment.name(thing.replace("_", "-")))


def job_name(deployment: Deployment, job: str) -> str:
    return deployment.name(job.replace("_", "-"))


def role_name(deployment: Deployment, job: str) -> str:
    """The job's role; whoever signs in to the warehouse with it is the user `IAMR:<role>`."""
    return job_name(deployment, job)


def _is_ratio(text: str) -> bool:
    try:
        return 0 <= Decimal(text) <= 1
    except InvalidOperation:
        return False


def _are_classes(text: str) -> bool:
    try:
        amount_classes.parse_amount_classes(text)
    except ValueError:
        return False
    return True


def _source_argument(name: str) -> str:
    try:
        return read_source(name).to_argument()
    except InvalidSource as wrong:
        raise ConfigError(
            f"source is {name!r}, but must be settings that can be used; {wrong}; "
            "correct the file in sources/, or choose another with `pulumi config set source …`"
        ) from None
