"""The file of a drop's rejected rows: a CSV with each row unchanged, its line and all its reasons."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from jobs.buckets import Buckets
from jobs.csv.formulas import guard, guard_text
from jobs.csv.layout import ORDER_LINE
from jobs.csv.reader import SourceFile
from jobs.csv.records import WHITE_SPACE
from schemas.reject_reasons import REJECT_REASONS
from schemas.rejected_file import (
    REASON_SEPARATOR,
    REJECT_REASONS_COLUMN,
    REJECTED_FILE_COLUMNS,
    SOURCE_LINE,
    SOURCE_TEXT,
)
from schemas.reports import RejectedFor, RejectSample
from schemas.sources import LINE_NUMBER

_SAMPLES = 3
_ADDRESS = re.compile(r"[^\s@<>(),;:\"]+@")
_SAMPLE_CHARACTERS = 100
_VALUES = 10
_VALUE_CHARACTERS = 64


def without_address(text: str) -> str:
    """The text without what names a person in an e-mail address: `…@example.com`.

    Where an address is the customer_id, it would else stand in reports, pages and mails. The line number leads to
    the row, and the rejected file has it whole.
    """
    return _ADDRESS.sub("…@", text)


class RejectedRows:
    """The rejected rows of a drop: counted, sampled and written unchanged, in the order of the file."""

    def __init__(self, source: SourceFile, folder: Path) -> None:
        self.rows = 0
        # By chunk: that a row conflicts with another is known when all chunks are read.
        self._by_chunk = Buckets(folder, "rejected")
        self._layout = source.layout
        # A rejected file that was corrected and uploaded again has these three already: they are written again.
        kept = [
            (heading, column)
            for heading, column in zip(source.layout.header, source.layout.names)
            if heading.strip(WHITE_SPACE).lower() not in REJECTED_FILE_COLUMNS
        ]
        if ORDER_LINE in source.layout.read:
            # The number of a row within its order would change where rows around it are missing.
            kept.append((LINE_NUMBER, ORDER_LINE))
        self._columns = [column for _, column in kept]
        # Headings come from outside as much as values do.
        headings = (*(guard_text(heading) for heading, _ in kept), *REJECTED_FILE_COLUMNS)
        header = pl.DataFrame([headings], schema=[str(at) for at in range(len(headings))], orient="row")
        self._header = _csv(header.with_columns(pl.when(pl.all() != "").then(pl.all())))
        self._counts: dict[str, int] = {}
        self._samples: dict[str, list[RejectSample]] = {}
        self._values: dict[str, list[str]] = {}

    def add(self, rejected: pl.DataFrame, chunk: int) -> None:
        """Keep rejected rows of a chunk, in any order."""
        self.rows += rejected.height
        self._by_chunk.add(rejected, chunk)

    def blocks(self) -> Iterator[bytes]:
        """The CSV, piece by piece, in the order of the file; to be read once, when all rows are added."""
        guarded = [guard(column) for column in self._columns]
        yield self._header
        for rejected in self._in_order():
            yield _csv(rejected.select(*guarded, SOURCE_LINE, REJECT_REASONS_COLUMN, guard(SOURCE_TEXT)))

    def sum_up(self) -> None:
        """Find the reasons and samples where nobody wants the CSV: instead of `blocks`."""
        for _ in self._in_order():
            pass

    def _in_order(self) -> Iterator[pl.DataFrame]:
        for chunk in self._by_chunk.numbers():
            rejected = pl.concat(self._by_chunk.batches(chunk)).sort(SOURCE_LINE)
            self._sample(rejected)
            yield rejected

    def reject_reasons(self) -> dict[str, RejectedFor]:
        """The most frequent reason first, equally frequent ones as they are declared; empty until all rows are read."""
        declared = [reason for reason in REJECT_REASONS if reason in self._counts]
        ordered = sorted(declared, key=lambda reason: -self._counts[reason])
        return {
            reason: RejectedFor(self._counts[reason], self._samples[reason], self._values[reason]) for reason in ordered
        }

    def _sample(self, rejected: pl.DataFrame) -> None:
        combinations_of: dict[str, list[str]] = {}
        for reasons, rows in rejected.group_by(REJECT_REASONS_COLUMN).len().rows():
            for reason in reasons.split(REASON_SEPARATOR):
                self._counts[reason] = self._counts.get(reason, 0) + rows
                combinations_of.setdefault(reason, []).append(reasons)
        for reason, combinations in combinations_of.items():
            self._add_values(reason, rejected, combinations)
            samples = self._samples.setdefault(reason, [])
            if len(samples) < _SAMPLES:
                first = rejected.filter(pl.col(REJECT_REASONS_COLUMN).is_in(combinations)).head(_SAMPLES - len(samples))
                samples.extend(self._sample_of(row) for row in first.rows(named=True))

    def _add_values(self, reason: str, rejected: pl.DataFrame, combinations: list[str]) -> None:
        """A few different values of the column that the reason is about."""
        values = self._values.setdefault(reason, [])
        column = REJECT_REASONS[reason].column
        if column is None or column not in rejected.columns or len(values) >= _VALUES:
            return
        texts = rejected.filter(pl.col(REJECT_REASONS_COLUMN).is_in(combinations)).get_column(column)
        different = texts.drop_nulls().str.strip_chars().str.slice(0, _VALUE_CHARACTERS).unique(maintain_order=True)
        printed = dict.fromkeys([*values, *map(without_address, different.head(2 * _VALUES))])
        self._values[reason] = [value for value in printed if value][:_VALUES]

    def _sample_of(self, row: dict[str, Any]) -> RejectSample:
        line, text = int(row[SOURCE_LINE]), row[SOURCE_TEXT]
        if text is not None:
            return RejectSample(line, fault=self._layout.dialect.fault(text, len(self._layout.header)))
        values = {column: without_address(str(row[column] or ""))[:_SAMPLE_CHARACTERS] for column in self._layout.parts}
        return RejectSample(line, values)


def _csv(rows: pl.DataFrame) -> bytes:
    file = io.BytesIO()
    rows.write_csv(file, include_header=False)
    return file.getvalue()
