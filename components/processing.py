"""The Glue jobs, their code and their rights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path

import pulumi
from pulumi_aws import glue, iam, s3

from components.arns import account_of, sibling
from components.deployment import Deployment
from components.job_rights import LOG_GROUPS, SPARK_LOG_GROUPS, data_statements, network_statements
from components.network import Network
from components.packages import job_wheel
from components.permissions import Statement, assume_role_policy, policy
from components.pipeline_component import PipelineComponent
from components.refusals import ConfigError, require
from components.storage import Storage
from components.warehouse import Warehouse
from schemas import amount_classes
from schemas.drops import DIMENSIONS_PREFIX, TRANSACTIONS_PREFIX
from schemas.runs import (
    LOAD_DIMENSIONS,
    PROCESS_TRANSACTIONS,
    PROCESS_TRANSACTIONS_LARGE,
    REPLACE,
    SAME_KEY,
    encode_job_arguments,
)
from schemas.sources import InvalidSource, SourceSettings
from schemas.work_bucket import CODE, REJECTED, REPORTS, STAGING
from sources import read_source

LEAST_LARGE_BYTES = 256 * 1024 * 1024
"""Loading less takes one worker less time than a cluster needs to start."""
MOST_OBJECT_BYTES = 5 * 1024**4
MOST_WORKERS = 299
"""Glue's limit for workers of type G.1X."""

# Glue accepts 260 KB of arguments, Linux 128 KiB for one of them.
MOST_ARGUMENT_CHARACTERS = 16_384

_ROLE_WORDS = {
    PROCESS_TRANSACTIONS: "transactions",
    PROCESS_TRANSACTIONS_LARGE: "transactions",
    LOAD_DIMENSIONS: "dimensions",
}


@dataclass(frozen=True, kw_only=True)
class _Runner:
    """The kind of run: one Python process, or a cluster with Spark."""

    command: str
    python_version: str
    glue_version: str
    arguments: Mapping[str, pulumi.Input[str]]
    """Where Glue finds the wheel."""
    max_capacity: float | None = None
    worker_type: str | None = None
    number_of_workers: int | None = None


@dataclass(frozen=True)
class _Role:
    """A job's role and its rights."""

    role: iam.Role
    rights: iam.RolePolicy


@dataclass(frozen=True, kw_only=True)
class ProcessingArgs:
    deployment: Deployment
    storage: Storage
    network: Network
    warehouse: Warehouse
    script: Path
    wheel_directory: Path
    """The folder with the job's wheel for each Python."""
    large_file_bytes: int
    """Drops of transactions from this size on are loaded by a cluster; 0: by one worker, whatever their size."""
    large_job_workers: int
    """Workers of the cluster, its driver among them; each has 4 vCPU, 16 GiB and costs 1 DPU."""
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
            self.large_file_bytes == 0 or LEAST_LARGE_BYTES <= self.large_file_bytes <= MOST_OBJECT_BYTES,
            "large_file_bytes",
            self.large_file_bytes,
            f"0 for never, or from {LEAST_LARGE_BYTES} (256 MiB) to {MOST_OBJECT_BYTES} (5 TiB, the largest object)",
        )
        most_workers = min(MOST_WORKERS, self.network.job_addresses)
        require(
            2 <= self.large_job_workers <= most_workers,
            "large_job_workers",
            self.large_job_workers,
            f"from 2 to {most_workers}: the driver is one of them, and each needs an address in the jobs' subnet",
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
    """`process_transactions` and `load_dimensions`: one script and one wheel, each under its own role.

    Where large files are set apart, `process_transactions_large` loads them, under the role of `process_transactions`.
    """

    transactions_job: glue.Job
    dimensions_job: glue.Job
    large_job: glue.Job | None = None

    def __init__(self, name: str, args: ProcessingArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, args.deployment, opts)
        self._args = args
        self.large_file_bytes = args.large_file_bytes
        self._script = self._upload("script", args.script)
        self._connection = glue.Connection(
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
        transactions, python_shell = self._transactions_role(), self._python_shell()
        self.transactions_job = self._job(PROCESS_TRANSACTIONS, transactions, python_shell)
        self.dimensions_job = self._job(LOAD_DIMENSIONS, self._dimensions_role(), python_shell)
        if args.large_file_bytes:
            self.large_job = self._job(PROCESS_TRANSACTIONS_LARGE, transactions, self._spark())
        self.register_outputs(
            {"transactions_job": self.transactions_job.name, "dimensions_job": self.dimensions_job.name}
        )

    @property
    def transactions_job_name(self) -> str:
        return job_name(self._deployment, PROCESS_TRANSACTIONS)

    @property
    def dimensions_job_name(self) -> str:
        return job_name(self._deployment, LOAD_DIMENSIONS)

    @property
    def large_job_name(self) -> str:
        """Empty where one worker loads every file."""
        return "" if self.large_job is None else job_name(self._deployment, PROCESS_TRANSACTIONS_LARGE)

    @property
    def job_names(self) -> list[str]:
        names = [self.transactions_job_name, self.dimensions_job_name, self.large_job_name]
        return [name for name in names if name]

    @property
    def job_arns(self) -> list[pulumi.Output[str]]:
        """Of all jobs that claims may name: those of the large job stay when it is switched off."""
        large = f"job/{job_name(self._deployment, PROCESS_TRANSACTIONS_LARGE)}"
        return [self.transactions_job.arn, self.dimensions_job.arn, sibling(self._args.network.vpc.arn, "glue", large)]

    def _job(self, job: str, role: _Role, runner: _Runner) -> glue.Job:
        args = self._args
        return glue.Job(
            f"{self._name}-{job}",
            name=job_name(args.deployment, job),
            role_arn=role.role.arn,
            glue_version=runner.glue_version,
            command={
                "name": runner.command,
                "python_version": runner.python_version,
                "script_location": _uri(self._script),
            },
            connections=[self._connection.name],
            max_capacity=runner.max_capacity,
            worker_type=runner.worker_type,
            number_of_workers=runner.number_of_workers,
            timeout=args.job_timeout_minutes,
            execution_property={"max_concurrent_runs": args.job_max_concurrent_runs},
            # Drops wait in our queue, where they are visible; in Glue's they would wait unseen and later expire.
            job_run_queuing_enabled=False,
            # With retries every attempt would send its own FAILED event; start_run decides what runs again.
            max_retries=0,
            # Passed with every run too: a run's own arguments may replace the job's defaults as a whole.
            non_overridable_arguments={**self._arguments(job, role.role), **runner.arguments},
            tags=self._tags(job),
            opts=self._child(role.rights),
        )

    def _python_shell(self) -> _Runner:
        return _Runner(
            command="pythonshell",
            python_version="3.9",
            # Glue ignores the version for Python Shell, but every preview shows a difference without it.
            glue_version="3.0",
            max_capacity=self._args.job_max_capacity,
            arguments={
                "--extra-py-files": _uri(self._upload("wheel", job_wheel(self._args.wheel_directory))),
                # Glue's bundled boto3 and redshift-connector are too old to sign in to Redshift Serverless.
                "--library-set": "none",
            },
        )

    def _spark(self) -> _Runner:
        """Glue 6.0: Spark 4.1.1 and Python 3.13 (docs.aws.amazon.com/glue/latest/dg/migrating-version-60.html)."""
        wheel = self._upload("large-wheel", job_wheel(self._args.wheel_directory, python="3.13"))
        return _Runner(
            command="glueetl",
            python_version="3",
            glue_version="6.0",
            worker_type="G.1X",
            number_of_workers=self._args.large_job_workers,
            # pip installs the wheel on each worker. It declares no dependencies, so pip needs no index.
            arguments={"--additional-python-modules": _uri(wheel)},
        )

    def _transactions_role(self) -> _Role:
        """The role of the jobs that load transactions, whatever the size of the file."""
        args, has_large = self._args, self._args.large_file_bytes > 0
        data = data_statements(
            args.storage,
            args.warehouse,
            TRANSACTIONS_PREFIX,
            # Staging is read too: it holds the unloaded dimensions.
            reads=(CODE, STAGING),
            writes=(STAGING, REJECTED, REPORTS),
            # The rejected rows of a large file are a folder. The next attempt at the drop replaces it.
            replaces=(STAGING, REJECTED) if has_large else (STAGING,),
        )
        return self._role(PROCESS_TRANSACTIONS, data, LOG_GROUPS + SPARK_LOG_GROUPS if has_large else LOG_GROUPS)

    def _dimensions_role(self) -> _Role:
        args = self._args
        data = data_statements(
            args.storage,
            args.warehouse,
            DIMENSIONS_PREFIX,
            reads=(CODE,),
            writes=(STAGING, REPORTS),
            replaces=(STAGING,),
        )
        return self._role(LOAD_DIMENSIONS, data, LOG_GROUPS)

    def _role(self, job: str, data: Sequence[Statement], log_groups: Sequence[str]) -> _Role:
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
            policy=policy([*data, *network_statements(self._args.network, self._connection, log_groups)]),
            opts=self._child(),
        )
        return _Role(role, rights)

    def _arguments(self, job: str, role: iam.Role) -> dict[str, pulumi.Input[str]]:
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
            "warehouse_lock_seconds": str(warehouse.lock_seconds),
            "warehouse_statement_seconds": str(warehouse.statement_seconds),
            "max_reject_ratio": args.max_reject_ratio,
            "amount_classes": args.amount_classes,
            "source_settings": source_settings(args.source).to_argument(),
            "keep_history": "true" if args.keep_history else "false",
            "same_key": args.same_key,
            "orphan_days": str(args.orphan_days),
        }
        return encode_job_arguments(arguments)

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


def _uri(upload: s3.BucketObjectv2) -> pulumi.Output[str]:
    return pulumi.Output.concat("s3://", upload.bucket, "/", upload.key)


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
