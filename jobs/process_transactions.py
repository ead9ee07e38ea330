"""From a drop of transactions to `fact_transactions`: the way of a file, a step a paragraph."""

from __future__ import annotations

from datetime import timezone
from decimal import Decimal
from fractions import Fraction

import polars as pl

from jobs import __version__
from jobs.arguments import Arguments
from jobs.attempt import Attempt, run_attempt
from jobs.csv.reader import open_source_file
from jobs.csv.rejected_file import RejectedRows
from jobs.errors import TooManyRejected
from jobs.load.protocol import Staged, load_transactions, unload
from jobs.load.staging import StagedRows, stage
from jobs.rows.duplicates import DuplicateCandidates
from jobs.rows.ids import IdReader
from jobs.rows.lookup import Lookup
from jobs.rows.validation import SOURCE_COLUMNS, RowValidator
from jobs.s3 import Fetched, Prefix, fetch
from schemas.drops import CUSTOMERS, PRODUCTS, drop_precedence
from schemas.reports import ClassAmount
from schemas.warehouse.tables import DIMENSIONS
from schemas.work_bucket import rejected_key


def process_transactions(arguments: Arguments) -> None:
    """Load one drop of transactions; raises JobError where a person or another attempt is needed."""
    run_attempt(arguments, _steps)


def _steps(attempt: Attempt) -> None:
    with attempt.step("fetch"):
        attempt.fetched = fetch(attempt.s3, attempt.arguments.drop, attempt.folder)

    with attempt.step("read"):
        source = open_source_file(attempt.fetched.path, name=attempt.key.file_name, required=SOURCE_COLUMNS)
        attempt.ignored_columns = source.ignored_columns

    with attempt.step("unload dimensions"):
        transform = _transform(attempt, attempt.fetched)

    with attempt.step("find duplicates"):
        candidates = DuplicateCandidates(source, attempt.folder, IdReader(attempt.arguments.source.null_words))

    with attempt.step("transform and stage"):
        staged = stage(source, transform, candidates, attempt.staging, attempt.folder)
        attempt.rows_read = staged.rows_read
        attempt.staged_amount, attempt.amount_classes = _amounts(staged, transform)
        _keep_rejected(attempt, staged.rejected)

    with attempt.step("load"):
        committed = load_transactions(
            attempt.warehouse,
            Staged(staged.parts.rows, staged.parts.manifest()),
            rows_read=staged.rows_read,
            duplicate=staged.duplicate,
            rejected=staged.rejected.rows,
            ledger=_ledger(attempt, attempt.fetched),
        )
        attempt.counts, attempt.first_commit = committed.counts, committed.first_commit


def _transform(attempt: Attempt, fetched: Fetched) -> RowValidator:
    drop, day = attempt.arguments.drop, attempt.key.partition_day
    assert day is not None, "the key of a drop of transactions has a day"
    return RowValidator(
        products=_lookup(attempt, PRODUCTS),
        customers=_lookup(attempt, CUSTOMERS),
        amount_classes=attempt.arguments.amount_classes,
        partition_day=day,
        drop_precedence=drop_precedence(day, fetched.uploaded_at, drop.load_id),
        load_id=drop.load_id,
        source_uri=drop.uri,
        source=attempt.arguments.source,
    )


def _lookup(attempt: Attempt, name: str) -> Lookup:
    """A snapshot of a dimension as of this load."""
    columns = DIMENSIONS[name].joined
    prefix = Prefix(attempt.s3, attempt.arguments.work_bucket, f"{attempt.staging.prefix}{name}/")
    unload(attempt.warehouse, DIMENSIONS[name], columns, prefix)
    empty = pl.DataFrame(schema={column: DIMENSIONS[name].table[column].polars for column in columns})
    # An empty dimension unloads to no file at all.
    parts = [pl.read_parquet(path) for path in prefix.download(attempt.folder / name)]
    typed = [part.select(pl.col(column).cast(dtype) for column, dtype in empty.schema.items()) for part in parts]
    return Lookup(pl.concat([empty, *typed]), name=name, key=columns[0])


def _keep_rejected(attempt: Attempt, rejected: RejectedRows) -> None:
    """Put the rejected rows where a person finds them, also when there are too many to go on."""
    if not rejected.rows:
        return
    assert attempt.key.partition_day is not None
    key = rejected_key(attempt.key.partition_day, attempt.key.file_name, attempt.load_id)
    bucket = attempt.arguments.work_bucket
    attempt.s3.upload_file(str(rejected.path), bucket, key, ExtraArgs={"ContentType": "text/csv; charset=utf-8"})
    attempt.reject_reasons = rejected.reject_reasons()
    attempt.rejected_uri = f"s3://{bucket}/{key}"
    ratio, allowed = Fraction(rejected.rows, attempt.rows_read), attempt.arguments.max_reject_ratio
    if ratio > allowed:
        reason = next(iter(attempt.reject_reasons))
        raise TooManyRejected(
            f"{rejected.rows:,} of {attempt.rows_read:,} rows ({float(ratio):.1%}) of {attempt.key.file_name} "
            f"are rejected, most of them for {reason}, and max_reject_ratio allows {float(allowed):.1%}, "
            "so nothing was loaded; "
            f"the rows and their reasons are in {attempt.rejected_uri}"
        )


def _amounts(staged: StagedRows, transform: RowValidator) -> tuple[str, dict[str, ClassAmount]]:
    """The amount of all that is staged, and of each class."""
    by_class = {label: staged.amounts.get(label, (0, Decimal(0))) for label in transform.amount_classes}
    total = sum((amount for _, amount in by_class.values()), Decimal(0))
    return f"{total:.2f}", {label: ClassAmount(rows, f"{amount:.2f}") for label, (rows, amount) in by_class.items()}


def _ledger(attempt: Attempt, fetched: Fetched) -> dict[str, object]:
    """The ledger's row but its counts."""
    drop = attempt.arguments.drop
    return {
        "load_id": drop.load_id,
        "attempt": attempt.arguments.attempt,
        "source_uri": drop.uri,
        "version_id": drop.version_id,
        "etag": fetched.etag,
        "bytes": fetched.bytes,
        "partition_day": attempt.key.partition_day,
        "uploaded_at": fetched.uploaded_at.astimezone(timezone.utc).replace(tzinfo=None),
        "staged_amount": Decimal(attempt.staged_amount or 0),
        "started_at": attempt.started_at.replace(tzinfo=None),
        "job_version": __version__,
        "polars_version": pl.__version__,
    }
