"""From a drop of transactions to `fact_transactions`: the way of a file, a step a paragraph."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timezone
from decimal import Decimal
from fractions import Fraction
from typing import Callable, NamedTuple

import polars as pl

from jobs import __version__
from jobs.arguments import Arguments
from jobs.attempt import Attempt, run_attempt
from jobs.duplicates import Contested, repeated_hashes
from jobs.errors import FileRefused, TooManyRejected
from jobs.lookup import Lookup
from jobs.s3 import Fetched, Prefix, fetch
from jobs.source_file import SOURCE_LINE, WHITE_SPACE, SourceFile, open_source_file
from jobs.staging import RejectedRows, StagedParts, amounts_by_class
from jobs.transform import SOURCE_COLUMNS, Transform
from jobs.warehouse import Staged, load_transactions, unload
from schemas.drops import CUSTOMERS, PRODUCTS, drop_precedence, rejected_key
from schemas.reports import ClassAmount
from schemas.tables import DIMENSIONS, STAGED_TRANSACTIONS

# Two chunks at a time: while one is parsed, the other is written and uploaded.
_CHUNKS_AT_ONCE = 2

# What a transaction takes from a dimension, its key first: no names of people, no e-mail.
_ENRICHMENT = {
    PRODUCTS: ("product_id", "product_name", "category", "price", "supplier_id"),
    CUSTOMERS: ("customer_id", "membership_level"),
}


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
        contested = Contested(repeated_hashes(source), attempt.folder)

    with attempt.step("transform and stage"):
        staged, duplicate, rejected = _stage(attempt, source, transform, contested)

    with attempt.step("load"):
        committed = load_transactions(
            attempt.arguments.warehouse,
            staged,
            rows_read=attempt.rows_read,
            duplicate=duplicate,
            rejected=rejected,
            ledger=_ledger(attempt, attempt.fetched),
        )
        attempt.counts, attempt.first_commit = committed.counts, committed.first_commit


def _transform(attempt: Attempt, fetched: Fetched) -> Transform:
    drop, day = attempt.arguments.drop, attempt.key.partition_day
    assert day is not None, "the key of a drop of transactions has a day"
    return Transform(
        products=_lookup(attempt, PRODUCTS),
        customers=_lookup(attempt, CUSTOMERS),
        amount_classes=attempt.arguments.amount_classes,
        partition_day=day,
        drop_precedence=drop_precedence(day, fetched.uploaded_at, drop.load_id),
        load_id=drop.load_id,
        source_uri=drop.uri,
    )


def _lookup(attempt: Attempt, name: str) -> Lookup:
    """A snapshot of a dimension as of this load."""
    columns = _ENRICHMENT[name]
    prefix = Prefix(attempt.s3, attempt.arguments.work_bucket, f"{attempt.staging.prefix}{name}/")
    unload(attempt.arguments.warehouse, DIMENSIONS[name], columns, prefix.uri)
    empty = pl.DataFrame(schema={column: DIMENSIONS[name].table[column].polars for column in columns})
    # An empty dimension unloads to no file at all.
    parts = [pl.read_parquet(path) for path in prefix.download(attempt.folder / name)]
    return Lookup(pl.concat([empty, *(part.cast(dict(empty.schema)) for part in parts)]), name=name, key=columns[0])


class _Judged(NamedTuple):
    accepted: int
    contested: pl.DataFrame
    rejected: pl.DataFrame
    amounts: pl.DataFrame


def _stage(attempt: Attempt, source: SourceFile, transform: Transform, contested: Contested) -> tuple[Staged, int, int]:
    """Judge every row, a chunk at a time; returns (what is staged, duplicate rows, rejected rows)."""
    parts = StagedParts(STAGED_TRANSACTIONS, attempt.staging, attempt.folder)
    rejected_rows = RejectedRows(source, attempt.folder / "rejected.csv")

    def judge(numbered: tuple[int, pl.DataFrame]) -> _Judged:
        number, rows = numbered
        accepted, rejected = transform(rows)
        uncontested, set_aside = contested.split(accepted)
        parts.write(uncontested, f"part-{number:05d}.parquet")
        return _Judged(accepted.height, set_aside, rejected, amounts_by_class(uncontested))

    accepted_rows, amounts = 0, []
    for number, judged in enumerate(_in_order(judge, enumerate(source.chunks()))):
        _refuse_second_header(judged.rejected, source)
        accepted_rows += judged.accepted
        amounts.append(judged.amounts)
        contested.set_aside(judged.contested, number)
        rejected_rows.write(judged.rejected)
    for number, winners in enumerate(contested.winners()):
        amounts.append(amounts_by_class(winners))
        parts.write(winners, f"settled-{number:05d}.parquet")

    attempt.rows_read = accepted_rows + rejected_rows.rows
    _keep_rejected(attempt, rejected_rows)
    _sum_amounts(attempt, amounts)
    return Staged(parts.rows, parts.manifest()), accepted_rows - parts.rows, rejected_rows.rows


def _in_order(function: Callable[..., _Judged], items: Iterable[tuple[int, pl.DataFrame]]) -> Iterator[_Judged]:
    """Map in threads, results in order, never more than a few items in memory."""
    with ThreadPoolExecutor(_CHUNKS_AT_ONCE) as pool:
        pending: deque[Future[_Judged]] = deque()
        for item in items:
            pending.append(pool.submit(function, item))
            if len(pending) > _CHUNKS_AT_ONCE:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()


def _refuse_second_header(rejected: pl.DataFrame, source: SourceFile) -> None:
    """Two files in one: the second header would be a rejected row, but nobody meant it as one."""
    second = rejected.filter(
        pl.all_horizontal(
            pl.col(name).str.strip_chars(WHITE_SPACE).str.to_lowercase() == name for name in SOURCE_COLUMNS
        )
    )
    if second.height:
        raise FileRefused(
            f"{source.name}, line {second.item(0, SOURCE_LINE)}: the header is written a second time; "
            "two files were joined into one: take it out, or drop them one by one"
        )


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
            f"{rejected.rows:,} of {attempt.rows_read:,} rows ({float(ratio):.1%}) of {attempt.key.file_name} are rejected, "
            f"most of them for {reason}, and max_reject_ratio allows {float(allowed):.1%}, so nothing was loaded; "
            f"the rows and their reasons are in {attempt.rejected_uri}"
        )


def _sum_amounts(attempt: Attempt, amounts: Iterable[pl.DataFrame]) -> None:
    labels = pl.Enum(list(attempt.arguments.amount_classes))
    empty = pl.DataFrame(schema={"amount_class": labels, "rows": pl.UInt32(), "amount": pl.Decimal(38, 2)})
    chunks = [chunk.cast(dict(empty.schema)) for chunk in amounts]
    by_class = pl.concat([empty, *chunks]).group_by("amount_class").agg(pl.sum("rows"), pl.sum("amount"))
    found = {label: (rows, amount) for label, rows, amount in by_class.rows()}
    attempt.amount_classes = {
        label: ClassAmount(rows, f"{amount:.2f}")
        for label in attempt.arguments.amount_classes
        for rows, amount in (found.get(label, (0, Decimal(0))),)
    }
    attempt.staged_amount = f"{sum((amount for _, amount in found.values()), Decimal(0)):.2f}"


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
