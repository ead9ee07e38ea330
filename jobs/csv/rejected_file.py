"""Writes the file of a drop's rejected rows: a CSV with each row unchanged, its line and all its reasons."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from jobs.buckets import Buckets
from jobs.csv.formulas import guard, guard_text
from jobs.csv.layout import ORDER_LINE, Layout
from jobs.csv.records import WHITE_SPACE
from jobs.csv.reject_summary import RejectSummary
from schemas.rejected_file import (
    REJECT_REASONS_COLUMN,
    REJECTED_FILE_COLUMNS,
    SOURCE_LINE,
    SOURCE_TEXT,
)
from schemas.sources import LINE_NUMBER


class RejectedRows:
    """The rejected rows of a drop, or of a shard: summed up and written unchanged, in the order of the file."""

    def __init__(self, layout: Layout, folder: Path) -> None:
        self.rows = 0
        self.summary = RejectSummary(layout)
        """Of the rows that `blocks` or `sum_up` has read."""
        # By chunk: that a row conflicts with another is known when all chunks are read.
        self._by_chunk = Buckets(folder, "rejected")
        # A rejected file that was corrected and uploaded again has these three already: they are written again.
        kept = [
            (heading, column)
            for heading, column in zip(layout.header, layout.names)
            if heading.strip(WHITE_SPACE).lower() not in REJECTED_FILE_COLUMNS
        ]
        if ORDER_LINE in layout.read:
            # The number of a row within its order would change where rows around it are missing.
            kept.append((LINE_NUMBER, ORDER_LINE))
        self._columns = [column for _, column in kept]
        # Headings come from outside too, so they are guarded as values are.
        headings = (*(guard_text(heading) for heading, _ in kept), *REJECTED_FILE_COLUMNS)
        header = pl.DataFrame([headings], schema=[str(at) for at in range(len(headings))], orient="row")
        self._header = _csv(header.with_columns(pl.when(pl.all() != "").then(pl.all())))

    def add(self, rejected: pl.DataFrame, chunk: int | pl.Series) -> None:
        """Keep rejected rows of a chunk, or each of the chunk that the series names, in any order."""
        self.rows += rejected.height
        self._by_chunk.add(rejected, chunk)

    def blocks(self) -> Iterator[bytes]:
        """The CSV, piece by piece, in the order of the file; to be read once, when all rows are added."""
        guarded = [guard(column) for column in self._columns]
        yield self._header
        for rejected in self._in_order():
            yield _csv(rejected.select(*guarded, SOURCE_LINE, REJECT_REASONS_COLUMN, guard(SOURCE_TEXT)))

    def sum_up(self) -> None:
        """Find the reasons and samples without making the CSV: instead of `blocks`."""
        for _ in self._in_order():
            pass

    def _in_order(self) -> Iterator[pl.DataFrame]:
        for chunk in self._by_chunk.numbers():
            rejected = pl.concat(self._by_chunk.batches(chunk)).sort(SOURCE_LINE)
            self.summary.add(rejected)
            yield rejected


def _csv(rows: pl.DataFrame) -> bytes:
    file = io.BytesIO()
    rows.write_csv(file, include_header=False)
    return file.getvalue()
