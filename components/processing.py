"""The Glue Python Shell jobs, their code and their rights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path

import pulumi
from pulumi_aws import glue, iam, s3

from components.arns import account_of, sibling
from components.deployment import Deployment
from components.network import Network
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
from components.pipeline_component import PipelineComponent
from components.refusals import ConfigError, require
from components.storage import Storage
from components.warehouse import Warehouse
from schemas import amount_classes
from schemas.drops import DIMENSIONS_PREFIX, TRANSACTIONS_PREFIX
from schemas.runs import (
    ERROR_LOG_GROUP,
    LOAD_DIMENSIONS,
    OUTPUT_LOG_GROUP,
    PROCESS_TRANSACTIONS,
    PROCESS_TRANSACTIONS_LARGE,
    REPLACE,
    SAME_KEY,
    encode_job_arguments,
)
from schemas.sources import InvalidSource, SourceSettings
from schemas.work_bucket import CODE, REJECTED, REPORTS, STAGING
from sources import read_source

# Glue accepts 260 KB of arguments, Linux 128 KiB for one of them.
MOST_ARGUMENT_CHARACTERS = 16_384

_ROLE_WORDS = {
    PROCESS_TRANSACTIONS: "transactions",
    PROCESS_TRANSACTIONS_LARGE: "transactions",
    LOAD_DIMENSIONS: "dimensions",
}


@dataclass(frozen=True, kw_only=True)
class ProcessingArgs:
    deployment: Deployment
    storage: Storage
    network: Network
    warehouse: Warehouse
    script: Path
    wheel: Path
    job_max_capacity: float
    """Data processing units: 0.0625 (1 GiB) or 1 (16 GiB)."""
    job_timeout_minutes: int
    job_max_concurrent_runs: int
    max_reject_ratio: str
    """The share of rejected rows beyond which a load fails; text, since the job gets it unchanged."""
    amount_classes: str
    """`label:lower bound` of every class, smallest first, separated by commas."""
    keep_history: bool
    """Whether every row that a load staged is kept; a load can be taken back only then."""
    same_key: str
    """Whether every upload of a key counts ("add") or only the newest ("replace")."""
    orphan_days: int
    """The number of days that a row waits for a customer or product that the dimensions lack."""
    source: str
    """The source format of the drops of transactions: the name of a file in sources/."""

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
            _are_classes(self.amount_classes) and len(self.amount_classes) <= MOST_ARGUMENT_CHARACTERS,
            "amount_classes",
            self.amount_classes,
            f"{amount_classes.FORM}, at most {MOST_ARGUMENT_CHARACTERS:,} characters",
        )
        require(
            self.same_key in SAME_KEY and (self.same_key != REPLACE or self.keep_history),
            "same_key",
            self.same_key,
            f"one of {', '.join(SAME_KEY)}; {REPLACE} needs keepHistory, since it takes earlier uploads back",
        )
        require(1 <= self.orphan_days <= 3650, "orphan_days", self.orphan_days, "from 1 to 3650 days")
        source_settings(self.source)


class Processing(PipelineComponent):
    """`process_transactions` and `load_dimensions`: one script and one wheel, each under its own role."""

    transactions_job: glue.Job
    dimensions_job: glue.Job

    def __init__(self, name: str, args: ProcessingArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, args.deployment, opts)
        self._args = args
        script = self._upload("script", args.script)
        # pip in Glue reads the package's name and tags from the file name, so the name must not change.
        wheel = self._upload("wheel", args.wheel)
        connection = glue.Connection(
            name,
            connection_type="NETWORK",
            physical_connection_requirements={
                "availability_zone": args.network.job_zone,
                "subnet_id": args.network.subnets[0].id,
                "security_group_id_lists": [args.network.jobs.id],
            },
            tags=self._tags("processing"),
            opts=self._child(),
        )
        shared = (script, wheel, connection)
        self.transactions_job = self._job(
            PROCESS_TRANSACTIONS,
            *shared,
            # Staging is read too: it holds the unloaded dimensions.
            data=self._data_statements(TRANSACTIONS_PREFIX, reads=(CODE, STAGING), writes=(STAGING, REJECTED, REPORTS)),
        )
        self.dimensions_job = self._job(
            LOAD_DIMENSIONS,
            *shared,
            data=self._data_statements(DIMENSIONS_PREFIX, reads=(CODE,), writes=(STAGING, REPORTS)),
        )
        self.register_outputs(
            {"transactions_job": self.transactions_job.name, "dimensions_job": self.dimensions_job.name}
        )

    @property
    def job_names(self) -> list[str]:
        return [job_name(self._deployment, job) for job in (PROCESS_TRANSACTIONS, LOAD_DIMENSIONS)]

    @property
    def job_arns(self) -> list[pulumi.Output[str]]:
        return [self.transactions_job.arn, self.dimensions_job.arn]

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
        role, rights = self._role(job, connection, data)
        return glue.Job(
            f"{self._name}-{job}",
            name=job_name(args.deployment, job),
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
            # Drops wait in our queue, where they are visible; in Glue's they would wait unseen and later expire.
            job_run_queuing_enabled=False,
            # With retries every attempt would send its own FAILED event; start_run decides what runs again.
            max_retries=0,
            # Passed with every run too: a run's own arguments may replace the job's defaults as a whole.
            non_overridable_arguments=self._arguments(job, role, wheel),
            tags=self._tags(job),
            opts=self._child(rights),
        )

    def _role(
        self, job: str, connection: glue.Connection, data: Sequence[Statement]
    ) -> tuple[iam.Role, iam.RolePolicy]:
        """A job's role and its rights."""
        role = iam.Role(
            f"{self._name}-{job}",
            # Its name is fixed: the job's database user in the warehouse is named after it.
            name=role_name(self._deployment, job),
            assume_role_policy=assume_role_policy("glue.amazonaws.com", account=account_of(self._args.network.vpc.arn)),
            tags=self._tags(job),
            opts=self._child(),
        )
        rights = iam.RolePolicy(
            f"{self._name}-{job}",
            role=role.name,
            policy=policy([*data, *self._network_statements(connection)]),
            opts=self._child(),
        )
        return role, rights

    def _arguments(self, job: str, role: iam.Role, wheel: s3.BucketObjectv2) -> dict[str, pulumi.Input[str]]:
        args, warehouse = self._args, self._args.warehouse
        arguments: dict[str, pulumi.Input[str]] = {
            "job": job,
            "work_bucket": args.storage.work.bucket,
            "workgroup": warehouse.workgroup.workgroup_name,
            "host": warehouse.host,
            "port": warehouse.port.apply(str),
            "database": warehouse.database,
            "account_id": account_of(role.arn),
            "region": args.deployment.region,
            "copy_role_arn": warehouse.copy_role.arn,
            "max_reject_ratio": args.max_reject_ratio,
            "amount_classes": args.amount_classes,
            "source_settings": source_settings(args.source).to_argument(),
            "keep_history": "true" if args.keep_history else "false",
            "same_key": args.same_key,
            "orphan_days": str(args.orphan_days),
        }
        return {
            **encode_job_arguments(arguments),
            "--extra-py-files": pulumi.Output.concat("s3://", wheel.bucket, "/", wheel.key),
            # Glue's bundled boto3 and redshift-connector are too old to sign in to Redshift Serverless.
            "--library-set": "none",
        }

    def _data_statements(self, drops: str, *, reads: Sequence[str], writes: Sequence[str]) -> list[Statement]:
        """The job's own rights: its drops, archived ones included, and prefixes of the work bucket."""
        drop_bucket, work_bucket, archive_bucket = (bucket.arn for bucket in self._args.storage.buckets)
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
            delete_objects(work_bucket, STAGING),
            list_below(work_bucket, STAGING),
            sign_in_to(self._args.warehouse.workgroup.arn),
        ]

    def _network_statements(self, connection: glue.Connection) -> list[Statement]:
        """The rights that Glue uses in the job's name: its logs, and its network interface in the subnet."""
        network = self._args.network
        vpc = network.vpc.arn
        interfaces = sibling(vpc, "ec2", "network-interface/*")
        return [
            allow(
                ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"],
                [
                    sibling(vpc, "logs", f"log-group:{group}{streams}")
                    for group in (OUTPUT_LOG_GROUP, ERROR_LOG_GROUP)
                    for streams in ("", ":*")
                ],
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

    def _upload(self, resource: str, path: Path) -> s3.BucketObjectv2:
        return s3.BucketObjectv2(
            f"{self._name}-{resource}",
            bucket=self._args.storage.work.bucket,
            key=f"{CODE}{path.name}",
            source=pulumi.FileAsset(path),
            tags=self._tags(resource),
            # After the bucket has versioning and its guards.
            opts=self._child(self._args.storage),
        )


def job_name(deployment: Deployment, job: str) -> str:
    """The job's name in Glue."""
    return deployment.name(job.replace("_", "-"))


def role_name(deployment: Deployment, job: str) -> str:
    """The job's role. It signs in to the warehouse as the database user `IAMR:<role>`."""
    return deployment.regional_name(_ROLE_WORDS[job])


def database_user(deployment: Deployment, job: str) -> str:
    """The database user that a job signs in as: Redshift names it after the role."""
    return f"IAMR:{role_name(deployment, job)}"


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


def source_settings(name: str) -> SourceSettings:
    """The settings of sources/<name>.yaml; raises ConfigError."""
    try:
        settings = read_source(name)
    except InvalidSource as wrong:
        raise ConfigError(
            f"source is {name!r}, but must be settings that can be used; {wrong}; "
            "correct the file in sources/, or choose another with `pulumi config set source …`"
        ) from None
    argument = settings.to_argument()
    if len(argument) > MOST_ARGUMENT_CHARACTERS:
        raise ConfigError(
            f"source is {name!r}, but must be settings that fit the job's command line: as an argument they have "
            f"{len(argument):,} characters, and at most {MOST_ARGUMENT_CHARACTERS:,} fit; "
            "shorten the file in sources/, its lists first"
        )
    return settings
