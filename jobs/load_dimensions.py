"""From a drop of products or customers to its dimension table: upserted by id, the later upload wins.

A dimension is small and everything is priced by it, so there are no rejected rows: one
bad row fails the load and is named by its line.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from jobs.arguments import Arguments
from jobs.attempt import FETCH, LOAD, READ, VALIDATE, Attempt, as_report, run_attempt
from jobs.csv.reader import IS_MALFORMED, SOURCE_LINE, SourceFile, open_source_file
from jobs.errors import DimensionRefused
from jobs.load.protocol import Staged, load_dimension
from jobs.load.staging import StagedParts
from jobs.s3 import Fetched
from schemas.drops import drop_precedence
from schemas.warehouse.tables import DIMENSIONS, Column, Dimension

_PRICE = r"^[0-9]{1,14}(?:\.[0-9]{1,4})?$"


def load_dimensions(arguments: Arguments) -> None:
    """Load one drop of a dimension; raises JobError where a person or another attempt is needed."""
    run_attempt(arguments, _steps)


def _steps(attempt: Attempt) -> None:
    dimension = DIMENSIONS[attempt.key.kind]

    with attempt.step(FETCH):
        fetched = attempt.fetch()

    with attempt.step(READ):
        names = [column.name for column in dimension.source_columns]
        source = open_source_file(fetched.path, name=attempt.key.file_name, required=names)
        attempt.note(ignored_columns=source.ignored_columns)

    with attempt.step(VALIDATE):
        rows = read_dimension(source, dimension)
        attempt.note(rows_read=rows.height)
        staged = _stage(attempt, fetched, rows, dimension)

    with attempt.step(LOAD):
        committed = load_dimension(attempt.warehouse, dimension, staged, waiting_since=attempt.waiting_since)
        attempt.note(counts=as_report(committed.counts), awaited_by=committed.awaited_by)


def read_dimension(source: SourceFile, dimension: Dimension) -> pl.DataFrame:
    """The file's rows, typed, with SOURCE_LINE; raises DimensionRefused naming the fault and its first line."""
    key = dimension.source_columns[0]
    columns = [column.name for column in dimension.source_columns]
    text = pl.concat(
        [
            pl.DataFrame(
                schema={**{name: pl.String() for name in columns}, SOURCE_LINE: pl.Int64(), IS_MALFORMED: pl.Boolean()}
            ),
            *(chunk.select(*columns, SOURCE_LINE, IS_MALFORMED) for chunk in source.chunks()),
        ]
    )
    stripped = pl.col(columns).str.strip_chars()
    text = text.with_columns(pl.when(stripped.str.len_bytes() > 0).then(stripped))
    _refuse(
        source, text.filter(IS_MALFORMED), f"the row has not one value for each of the {len(source.header)} columns"
    )
    _refuse(source, text.filter(pl.col(key.name).is_null()), f"the row has no {key.name}")
    for column in dimension.source_columns:
        _refuse_unfit(source, text, column)
    twice = text.filter(pl.col(key.name).is_duplicated())
    _refuse(
        source,
        twice,
        f"{key.name} {_first(twice, key.name)!r} stands in the file more than once, and only one row can be right",
    )
    return text.select(SOURCE_LINE, *(pl.col(column.name).cast(column.polars) for column in dimension.source_columns))


def _refuse_unfit(source: SourceFile, text: pl.DataFrame, column: Column) -> None:
    value = pl.col(column.name)
    if column.max_bytes is not None:
        too_long = text.filter(value.str.len_bytes() > column.max_bytes)
        _refuse(
            source, too_long, f"{column.name} {_first(too_long, column.name)!r} is longer than {column.max_bytes} bytes"
        )
    else:
        bad = text.filter(~value.str.contains(_PRICE).fill_null(False))
        _refuse(
            source,
            bad,
            f"{column.name} {_first(bad, column.name)!r} is not a decimal number from 0 up with at most 4 decimals",
        )


def _first(rows: pl.DataFrame, column: str) -> object:
    value = rows.item(0, column) if rows.height else None
    return value[:80] if isinstance(value, str) else value


def _refuse(source: SourceFile, rows: pl.DataFrame, fault: str) -> None:
    if rows.is_empty():
        return
    lines: list[int] = rows.get_column(SOURCE_LINE).head(5).to_list()
    also = f" (so it is on {rows.height - 1} more rows, next on line {lines[1]})" if len(lines) > 1 else ""
    raise DimensionRefused(
        f"{source.name}, line {lines[0]}: {fault}{also}; nothing was loaded, mend the file and drop it again"
    )


def _stage(attempt: Attempt, fetched: Fetched, rows: pl.DataFrame, dimension: Dimension) -> Staged:
    drop = attempt.arguments.drop
    lineage: Sequence[pl.Expr] = (
        pl.lit(drop_precedence(None, fetched.uploaded_at, drop.load_id)).alias("drop_precedence"),
        pl.lit(drop.load_id).alias("load_id"),
        pl.lit(drop.uri).alias("source_uri"),
    )
    parts = StagedParts(dimension.staged, attempt.staging, attempt.folder)
    parts.write(rows.with_columns(lineage), "part-00000.parquet")
    return parts.staged()
