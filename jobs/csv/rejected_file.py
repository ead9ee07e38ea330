"""Writes the file of a drop's rejected rows: a CSV with each row unchanged, its line and all its reasons.

That a row conflicts with another is known only when the whole file has been read. The text of such a row is then read
again from the file: conflicts are rare, and keeping the text of every row that may have one is not cheap.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Callable, NamedTuple

import polars as pl

from jobs.buckets import Buckets, NumberedRows
from jobs.csv.blocks import IS_MALFORMED
from jobs.csv.formulas import guard, guard_text
from jobs.csv.layout import ORDER_LINE, Layout
from jobs.csv.reader import ReadChunk
from jobs.csv.records import WHITE_SPACE
from jobs.csv.reject_summary import RejectSummary
from jobs.map_ordered import map_ordered
from schemas.rejected_file import (
    REASON_SEPARATOR,
    REJECT_REASONS_COLUMN,
    REJECTED_FILE_COLUMNS,
    SOURCE_LINE,
    SOURCE_TEXT,
)
from schemas.sources import LINE_NUMBER

CHUNK = "chunk"
"""The column with the number of a row's chunk."""
CONFLICTING = "conflicting_rows"
_ALSO_CONFLICTING = pl.col(REJECT_REASONS_COLUMN) + REASON_SEPARATOR + CONFLICTING


def as_rejected(rows: pl.DataFrame, reasons: pl.Series | pl.Expr) -> pl.DataFrame:
    """Rows of a chunk as they stood, with their reasons as REJECT_REASONS_COLUMN."""
    # What Polars padded or cut of a malformed row has no certain column: its text is kept instead.
    is_sound = pl.col(SOURCE_TEXT).is_null()
    as_it_stood = pl.when(is_sound).then(pl.all().exclude(SOURCE_LINE, SOURCE_TEXT))
    return rows.drop(IS_MALFORMED).with_columns(as_it_stood).with_columns(reasons)


class _Chunk(NamedTuple):
    number: int
    read: ReadChunk | None
    """Where rows of it that were accepted conflict."""


class RejectedRows:
    """The rejected rows of a drop, or of a shard: summed up and written unchanged, in the order of the file."""

    def __init__(
        self,
        layout: Layout,
        folder: Path,
        chunks: Callable[[], Iterator[ReadChunk]],
        first_chunk: int = 0,
    ) -> None:
        """`chunks` reads the file, or the shard, again; its chunks are numbered from `first_chunk` on."""
        self.rows = 0
        self.summary = RejectSummary(layout)
        """Of the rows that `blocks` or `sum_up` has read."""
        self._by_chunk = NumberedRows(folder, "rejected")
        # The lines of rows that conflict: of those that were accepted, and of those that had reasons already.
        self._conflicting = Buckets(folder, "conflicting", pl.col(CHUNK))
        self._also_conflicting = Buckets(folder, "also-conflicting", pl.col(CHUNK))
        self._chunks = chunks
        self._first_chunk = first_chunk
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

    def add(self, rejected: pl.DataFrame, chunk: int) -> None:
        """Keep rejected rows of a chunk."""
        self.rows += rejected.height
        self._by_chunk.add(rejected, chunk)

    def add_conflicting(self, rows: pl.DataFrame) -> None:
        """Add a reason: CHUNK, SOURCE_LINE and REJECT_REASONS_COLUMN, null where the row was accepted until now."""
        was_accepted = rows.get_column(REJECT_REASONS_COLUMN).is_null()
        lines = rows.select(CHUNK, SOURCE_LINE)
        self.rows += int(was_accepted.sum())
        self._conflicting.add(lines.filter(was_accepted))
        self._also_conflicting.add(lines.filter(~was_accepted))

    def blocks(self) -> Iterator[bytes]:
        """The CSV, piece by piece, in the order of the file; to be read once, when all rows are added."""
        yield self._header
        for rejected, block in map_ordered(self._written, self._by_chunk_again()):
            self.summary.add(rejected)
            yield block

    def sum_up(self) -> None:
        """Find the reasons and samples without making the CSV: instead of `blocks`."""
        for rejected in map_ordered(self._in_order, self._by_chunk_again()):
            self.summary.add(rejected)

    def _by_chunk_again(self) -> Iterator[_Chunk]:
        """The chunks with rejected rows, and the file beside them as far as rows of it must be read again."""
        to_read = set(self._conflicting.numbers())
        again = enumerate(self._chunks(), self._first_chunk)
        for number in sorted({*self._by_chunk.numbers(), *to_read}):
            yield _Chunk(number, next(read for at, read in again if at == number) if number in to_read else None)

    def _written(self, chunk: _Chunk) -> tuple[pl.DataFrame, bytes]:
        rejected = self._in_order(chunk)
        guarded = [guard(column) for column in self._columns]
        return rejected, _csv(rejected.select(*guarded, SOURCE_LINE, REJECT_REASONS_COLUMN, guard(SOURCE_TEXT)))

    def _in_order(self, chunk: _Chunk) -> pl.DataFrame:
        rejected = list(self._by_chunk.batches(chunk.number))
        for also in self._also_conflicting.batches(chunk.number):
            is_one = pl.col(SOURCE_LINE).is_in(also.get_column(SOURCE_LINE).implode())
            reasons = pl.when(is_one).then(_ALSO_CONFLICTING).otherwise(REJECT_REASONS_COLUMN)
            rejected = [rows.with_columns(reasons) for rows in rejected]
        if chunk.read is not None:
            lines = pl.concat(self._conflicting.batches(chunk.number)).get_column(SOURCE_LINE)
            conflicting = pl.lit(CONFLICTING).alias(REJECT_REASONS_COLUMN)
            rejected.append(as_rejected(chunk.read(lines.sort()), conflicting))
        return pl.concat(rejected).sort(SOURCE_LINE)


def _csv(rows: pl.DataFrame) -> bytes:
    file = io.BytesIO()
    rows.write_csv(file, include_header=False)
    return file.getvalue()
