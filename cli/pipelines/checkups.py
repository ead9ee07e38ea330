"""The checks of `pipeline doctor`; each finding is good, or says what to do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from botocore.exceptions import ClientError

from cli.pipelines.local import ROOT
from cli.pipelines.pipeline import Pipeline
from cli.pipelines.statements import run_statement
from cli.pipelines.status import queue_depth, subscriptions
from cli.refusals import Failed, Refused, explain
from schemas.counted import counted
from schemas.drops import CUSTOMERS, DIMENSIONS_PREFIX, PRODUCTS

_PACKAGES = ("jobs", "schemas")
_MANY_COLUMNS = 10_000


@dataclass(frozen=True)
class Finding:
    what: str
    is_good: bool
    advice: str
    """The problem and what to do about it; `as it should be` when there is none."""


def examine(pipeline: Pipeline) -> list[Finding]:
    """The finding of every check. A check that AWS refuses gives a finding too, and the other checks go on."""
    checks: dict[str, Callable[[Pipeline], str | None]] = {
        "drop bucket": lambda pipeline: _versioning(pipeline, "drop_bucket"),
        "archive bucket": lambda pipeline: _versioning(pipeline, "archive_bucket"),
        "products": lambda pipeline: _dimension(pipeline, PRODUCTS),
        "customers": lambda pipeline: _dimension(pipeline, CUSTOMERS),
        "mails": _mails,
        "dead letters": _dead_letters,
        "warehouse": _warehouse,
        "jobs": _jobs,
        "wheel": lambda _: _wheel(ROOT),
    }
    return [_finding(what, check, pipeline) for what, check in checks.items()]


def _finding(what: str, check: Callable[[Pipeline], str | None], pipeline: Pipeline) -> Finding:
    try:
        problem = check(pipeline)
    except (ClientError, Failed, Refused) as error:
        problem = explain(error)[0]
    return Finding(what, problem is None, problem or "as it should be")


def _versioning(pipeline: Pipeline, output: str) -> str | None:
    status = pipeline.client("s3").get_bucket_versioning(Bucket=pipeline.output(output)).get("Status")
    return None if status == "Enabled" else f"its versioning is {status or 'off'}; run `pulumi up`, which turns it on"


def _dimension(pipeline: Pipeline, kind: str) -> str | None:
    """The problem that a dimension was never loaded; every loaded one has a file in the archive."""
    where = {"Bucket": pipeline.output("archive_bucket"), "Prefix": f"{DIMENSIONS_PREFIX}{kind}", "MaxKeys": 1}
    if pipeline.client("s3").list_object_versions(**where).get("Versions"):
        return None
    return f"no {kind} was ever loaded, so every row would be rejected; drop one: `pipeline drop {kind}.csv`"


def _mails(pipeline: Pipeline) -> str | None:
    readers = subscriptions(pipeline)
    if readers.pending:
        return f"{readers.pending} addresses get nothing until they confirm; ask them to open the mail from AWS"
    return None if readers.confirmed else "no address gets them; add one to `emails` and run `pulumi up`"


def _dead_letters(pipeline: Pipeline) -> str | None:
    waiting = queue_depth(pipeline, "dead_letter_queue_url").waiting
    return f"{counted(waiting, 'message')} could not be handled; see `pipeline dead list`" if waiting else None


def _warehouse(pipeline: Pipeline) -> str | None:
    """The problem that tables or columns are missing. This wakes the warehouse, as a load does."""
    from schemas.warehouse.ddl import select_columns
    from schemas.warehouse.tables import WAREHOUSE_TABLES

    present = {(table, column) for table, column in run_statement(pipeline, select_columns(), limit=_MANY_COLUMNS).rows}
    missing = []
    for table in WAREHOUSE_TABLES:
        absent = [name for name in table.names if (table.name, name) not in present]
        if len(absent) == len(table.names):
            missing.append(f"the table {table.name}")
        else:
            missing += [f"the column {table.name}.{name}" for name in absent]
    if not missing:
        return None
    repair = (
        "stop `pipeline up` and start it again"
        if pipeline.local
        else "run `pulumi up --refresh`, which keeps every row"
    )
    return f"it lacks {', '.join(missing)}; {repair}"


def _jobs(pipeline: Pipeline) -> str | None:
    glue = pipeline.client("glue")
    large = pipeline.outputs.get("large_job")
    for name in (pipeline.output("transactions_job"), pipeline.output("dimensions_job"), *([large] if large else [])):
        try:
            glue.get_job(JobName=name)
        except glue.exceptions.EntityNotFoundException:
            return f"the job {name} does not exist in {pipeline.region}; run `pulumi up`, or correct AWS_REGION"
    return None


def _wheel(root: Path) -> str | None:
    """The problem that the wheel is missing, or older than the code."""
    wheels = sorted((root / "dist").glob("transactions_pipeline-*.whl"), key=lambda path: path.stat().st_mtime)
    if not wheels:
        return "there is none in dist/; build it with `pipeline wheel`"
    built = wheels[-1].stat().st_mtime
    newer = [path for package in _PACKAGES for path in (root / package).rglob("*.py") if path.stat().st_mtime > built]
    if newer:
        return f"{newer[0].relative_to(root)} is newer than {wheels[-1].name}; build it with `pipeline wheel`"
    return None
