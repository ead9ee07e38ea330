"""Loads a drop of products or customers into its dimension table: upserted by id, the later upload wins.

A dimension is small and everything is priced by it, so no row is rejected alone: one bad row fails the load, with its
line in the error.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import polars as pl

from jobs.arguments import Arguments
from jobs.attempt import FETCH, LOAD, READ, VALIDATE, Attempt, as_report, run_attempt
from jobs.csv.content import Content
from jobs.csv.reader import SourceFile, open_source_file
from jobs.errors import FileRefused
from jobs.load.protocol import Staged, load_dimension
from jobs.load.staging import StagedParts
from jobs.rows.dimensions import DimensionRows
from jobs.s3 import Fetched
from schemas.drops import drop_precedence
from schemas.sources import DEFAULT, SourceSettings, heading_key
from schemas.warehouse.tables import DIMENSIONS, Dimension


def load_dimensions(arguments: Arguments) -> None:
    """Load one drop of a dimension; raises JobError where a person or another attempt is needed."""
    run_attempt(arguments, _steps)


def _steps(attempt: Attempt) -> None:
    dimension = DIMENSIONS[attempt.key.kind]

    with attempt.step(FETCH):
        fetched = attempt.fetch()

    with attempt.step(READ):
        source = open_dimension(
            fetched.content, name=attempt.key.file_name, dimension=dimension, settings=attempt.arguments.source
        )
        attempt.note(ignored_columns=source.ignored_columns)

    with attempt.step(VALIDATE):
        rows = DimensionRows(source, dimension)
        staged = _stage(attempt, fetched, rows, dimension)
        rows.refuse_faults()
        attempt.note(rows_read=staged.rows, notes=rows.notes)

    with attempt.step(LOAD):
        committed = load_dimension(
            attempt.warehouse, dimension, staged, waiting_since=attempt.waiting_since, is_plan=attempt.is_plan
        )
        attempt.note(counts=as_report(committed.counts), awaited_by=committed.awaited_by)


def open_dimension(
    content: Content, *, name: str, dimension: Dimension, settings: SourceSettings = DEFAULT
) -> SourceFile:
    """Open the file, in which descriptive texts may hold line breaks; raises FileRefused. It has the source's format
    or else the contract's own.
    """
    names = [column.name for column in dimension.source_columns]
    texts = [column.name for column in dimension.source_columns if column.nullable and not column.name.endswith("_id")]
    contract = replace(DEFAULT, null_words=settings.null_words)
    own_headings = replace(settings, products=DEFAULT.products, customers=DEFAULT.customers)
    refusals = []
    for written in (own_headings, settings, contract) if _borrows(settings, dimension) else (settings, contract):
        of_dimension = written.of_dimension(dimension.table.name)
        try:
            return open_source_file(content, name=name, required=names, settings=of_dimension, spanning=texts)
        except FileRefused as refused:
            refusals.append(refused)
    raise refusals[-2]


def _borrows(settings: SourceSettings, dimension: Dimension) -> bool:
    """True where the source reads a column from another column of the contract, as an id from the e-mail.

    A file in the contract's own form has that heading too; all headings of the contract show what it is.
    """
    columns = settings.of_dimension(dimension.table.name).columns
    own = {heading_key(column) for column in columns}
    named = ((heading_key(column), heading_key(heading)) for column, parts in columns.items() for heading in parts)
    return any(heading != column and heading in own for column, heading in named)


def _stage(attempt: Attempt, fetched: Fetched, rows: DimensionRows, dimension: Dimension) -> Staged:
    drop = attempt.arguments.drop
    lineage: Sequence[pl.Expr] = (
        pl.lit(drop_precedence(None, fetched.uploaded_at, drop.load_id)).alias("drop_precedence"),
        pl.lit(drop.load_id).alias("load_id"),
        pl.lit(drop.uri).alias("source_uri"),
    )
    parts = StagedParts(dimension.staged, attempt.staging, attempt.folder)
    for number, chunk in enumerate(rows.chunks()):
        parts.write(chunk.with_columns(lineage), f"part-{number:05d}.parquet")
    return parts.staged()
