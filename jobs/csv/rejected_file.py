"""The rejected rows of a drop, as a person gets them back: as they stood, with every reason, in a CSV."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path
from typing import Any

import polars as pl

from jobs.buckets import Buckets
from jobs.csv.reader import FORMULA_PREFIX, REJECTED_FILE_COLUMNS, SOURCE_LINE, SOURCE_TEXT, WHITE_SPACE, SourceFile
from jobs.rows.validation import REASON_SEPARATOR, REJECT_REASONS_COLUMN
from schemas.reject_reasons import REJECT_REASONS
from schemas.reports import RejectedFor, RejectSample

_SAMPLES = 3
_SAMPLE_CHARACTERS = 500
_VALUES = 10
_VALUE_CHARACTERS = 64


class RejectedRows:
    """The rejected rows of a drop: counted, sampled and written as they stood, in the order of the file."""

    def __init__(self, source: SourceFile, folder: Path) -> None:
        self.rows = 0
        self.path = folder / "rejected.csv"
        # By chunk: that a row conflicts with another is known when all chunks are read.
        self._by_chunk = Buckets(folder, "rejected")
        # A rejected file that was corrected and dropped again has these three already: they are written anew.
        kept = [
            (heading, column)
            for heading, column in zip(source.header, source.columns)
            if heading.strip(WHITE_SPACE).lower() not in REJECTED_FILE_COLUMNS
        ]
        self._columns = [column for _, column in kept]
        # Headings come from outside as much as values do.
        headings = ("'" + heading if re.match(FORMULA_PREFIX, heading) else heading for heading, _ in kept)
        self._header = (*headings, *REJECTED_FILE_COLUMNS)
        self._counts: dict[str, int] = {}
        self._samples: dict[str, list[RejectSample]] = {}
        self._values: dict[str, list[str]] = {}

    def add(self, rejected: pl.DataFrame, chunk: int) -> None:
        """Keep rejected rows of a chunk, in any order."""
        self._by_chunk.add(rejected, chunk)

    def write(self) -> None:
        """Write all rows in the order of the file; nothing where there are none."""
        for chunk in self._by_chunk.numbers():
            self._append(pl.concat(self._by_chunk.batches(chunk)).sort(SOURCE_LINE))

    def _append(self, rejected: pl.DataFrame) -> None:
        if not self.rows:
            header = io.StringIO()
            csv.writer(header, lineterminator="\n").writerow(self._header)
            self.path.write_text(header.getvalue(), encoding="utf-8")
        self.rows += rejected.height
        self._sample(rejected)
        as_text = rejected.select(
            *(_guarded_against_formulas(column) for column in self._columns),
            SOURCE_LINE,
            REJECT_REASONS_COLUMN,
            _guarded_against_formulas(SOURCE_TEXT),
        )
        with self.path.open("ab") as file:
            as_text.write_csv(file, include_header=False)

    def reject_reasons(self) -> dict[str, RejectedFor]:
        """The most frequent reason first, equally frequent ones as they are declared."""
        declared = [reason for reason in REJECT_REASONS if reason in self._counts]
        ordered = sorted(declared, key=lambda reason: -self._counts[reason])
        return {
            reason: RejectedFor(self._counts[reason], self._samples[reason], self._values[reason]) for reason in ordered
        }

    def _sample(self, rejected: pl.DataFrame) -> None:
        found: dict[str, list[str]] = {}
        for reasons, rows in rejected.group_by(REJECT_REASONS_COLUMN).len().rows():
            for reason in reasons.split(REASON_SEPARATOR):
                self._counts[reason] = self._counts.get(reason, 0) + rows
                found.setdefault(reason, []).append(reasons)
        for reason, combinations in found.items():
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
        found = rejected.filter(pl.col(REJECT_REASONS_COLUMN).is_in(combinations)).get_column(column)
        different = found.drop_nulls().str.strip_chars().str.slice(0, _VALUE_CHARACTERS).unique(maintain_order=True)
        values.extend(value for value in different.head(2 * _VALUES) if value and value not in values)
        del values[_VALUES:]

    def _sample_of(self, row: dict[str, Any]) -> RejectSample:
        text = row[SOURCE_TEXT]
        if text is None:
            text = ",".join(str(row[column] or "") for column in self._columns)
        return RejectSample(int(row[SOURCE_LINE]), text[:_SAMPLE_CHARACTERS])


def _guarded_against_formulas(column: str) -> pl.Expr:
    """A value a spreadsheet would run as a formula gets an apostrophe, which SourceFile takes off again."""
    value = pl.col(column)
    return (
        pl.when(value.str.contains(FORMULA_PREFIX))
        .then(pl.concat_str(pl.lit("'"), value))
        .otherwise(value)
        .alias(column)
    )
