"""The arguments of a run, typed: schemas.runs has the names and the encoding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from jobs.errors import TerminalError
from schemas.amount_classes import parse_amount_classes
from schemas.drops import Drop
from schemas.runs import (
    JOBS,
    REPLACE,
    SAME_KEY,
    ArchivedCopy,
    JobArguments,
    RunArguments,
    decode_job_arguments,
    read_command_line,
)
from schemas.sources import SourceSettings

SECONDS_PER_MILLION_ROWS = 60
"""More than the smallest workgroup needs for the slowest statement of a load."""


@dataclass(frozen=True)
class WarehouseAddress:
    """How to reach Redshift Serverless, and how long to wait for it; the job signs in with its IAM role."""

    workgroup: str
    host: str
    port: int
    database: str
    account_id: str
    region: str
    copy_role_arn: str
    """The role Redshift itself assumes for COPY and UNLOAD."""
    lock_seconds: int
    """How long a load waits for the loads before it."""
    statement_seconds: int
    """How long one statement of a small load may take."""

    def statement_seconds_for(self, rows: int) -> int:
        """How long one statement of a load of this many rows may take."""
        return self.statement_seconds + SECONDS_PER_MILLION_ROWS * rows // 1_000_000


@dataclass(frozen=True)
class Arguments:
    job: str
    """One of schemas.runs.JOBS."""
    drop: Drop
    attempt: int
    work_bucket: str
    warehouse: WarehouseAddress
    max_reject_ratio: Fraction
    amount_classes: dict[str, Decimal]
    """Label -> lower bound, the smallest first."""
    source: SourceSettings
    """How the drops of transactions are written."""
    operation: str
    """One of schemas.runs.OPERATIONS."""
    archived: ArchivedCopy | None
    """Where the drop is read from when it has been archived."""
    keep_history: bool
    same_key: str
    """One of schemas.runs.SAME_KEY."""
    orphan_days: int


def parse_arguments(argv: Sequence[str]) -> Arguments:
    """Read a run's command line; raises TerminalError naming the argument that is missing or wrong."""
    try:
        given = read_command_line(argv)
        return _typed(decode_job_arguments(given), RunArguments.decode(given))
    except ValueError as reason:
        raise TerminalError(
            f"the job's arguments cannot be read: {reason}; correct the job or the run that passed them"
        ) from None


def _typed(job: JobArguments, run: RunArguments) -> Arguments:
    if job.job not in JOBS:
        raise ValueError(f"the job {job.job!r} is unknown; it must be one of {', '.join(JOBS)}")
    if job.same_key not in SAME_KEY:
        raise ValueError(f"same_key {job.same_key!r} must be one of {', '.join(SAME_KEY)}")
    if job.keep_history not in ("true", "false"):
        raise ValueError(f"keep_history {job.keep_history!r} must be true or false")
    keep_history = job.keep_history == "true"
    if job.same_key == REPLACE and not keep_history:
        raise ValueError("same_key replace needs keep_history true, because it takes earlier uploads back")
    return Arguments(
        job=job.job,
        drop=run.drop,
        attempt=run.attempt,
        work_bucket=job.work_bucket,
        warehouse=WarehouseAddress(
            job.workgroup,
            job.host,
            int(job.port),
            job.database,
            job.account_id,
            job.region,
            job.copy_role_arn,
            int(job.warehouse_lock_seconds),
            int(job.warehouse_statement_seconds),
        ),
        max_reject_ratio=Fraction(job.max_reject_ratio),
        amount_classes=parse_amount_classes(job.amount_classes),
        source=SourceSettings.from_argument(job.source_settings),
        operation=run.operation,
        archived=run.archived,
        keep_history=keep_history,
        same_key=job.same_key,
        orphan_days=int(job.orphan_days),
    )
