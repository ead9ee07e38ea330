"""Summarises a drop's rejected rows by reason: how many rows, the first of them, a few different values."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import polars as pl

from jobs.csv.layout import Layout
from schemas.reject_reasons import REJECT_REASONS
from schemas.rejected_file import REASON_SEPARATOR, REJECT_REASONS_COLUMN, SOURCE_LINE, SOURCE_TEXT
from schemas.reports import RejectedFor, RejectSample

_SAMPLES = 3
_ADDRESS = r"[^\s@<>(),;:\"]+@"
# Only where no such character is before it: otherwise `re` would search to the end of a long value from each place.
_WHOLE_ADDRESS = re.compile(r"(?<![^\s@<>(),;:\"])" + _ADDRESS)
_SAMPLE_CHARACTERS = 100
_VALUES = 10
_VALUE_CHARACTERS = 64


def without_address(text: str) -> str:
    """The text with e-mail addresses shortened to `…@example.com`.

    An address that is a customer_id would otherwise appear in reports, pages and mails. The line number identifies the
    row, and the rejected file has it whole.
    """
    return _WHOLE_ADDRESS.sub("…@", text)


class RejectSummary:
    """The summary. Rows are added in the order of the file; their division into frames or summaries has no effect."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._counts: dict[str, int] = {}
        self._samples: dict[str, list[RejectSample]] = {}
        self._values: dict[str, list[str]] = {}

    def add(self, rejected: pl.DataFrame) -> None:
        """Add the next rejected rows of the file."""
        combinations_of: dict[str, list[str]] = {}
        for combination, rows in rejected.group_by(REJECT_REASONS_COLUMN).len().rows():
            for reason in combination.split(REASON_SEPARATOR):
                self._counts[reason] = self._counts.get(reason, 0) + rows
                combinations_of.setdefault(reason, []).append(combination)
        reasons = pl.col(REJECT_REASONS_COLUMN)
        has_reason = {reason: reasons.is_in(combinations) for reason, combinations in combinations_of.items()}
        self._add_values(rejected, has_reason)
        for reason, is_in in has_reason.items():
            samples = self._samples.setdefault(reason, [])
            missing = _SAMPLES - len(samples)
            if missing:
                samples.extend(self._sample_of(row) for row in rejected.filter(is_in).head(missing).rows(named=True))

    def add_summary(self, other: RejectSummary) -> None:
        """Add the summary of the rows that follow."""
        for reason, rows in other._counts.items():
            self._counts[reason] = self._counts.get(reason, 0) + rows
            self._samples[reason] = [*self._samples.get(reason, ()), *other._samples[reason]][:_SAMPLES]
            values = dict.fromkeys([*self._values.get(reason, ()), *other._values[reason]])
            self._values[reason] = list(values)[:_VALUES]

    def reject_reasons(self) -> dict[str, RejectedFor]:
        """The most frequent reason first, equally frequent ones as they are declared."""
        declared = [reason for reason in REJECT_REASONS if reason in self._counts]
        ordered = sorted(declared, key=lambda reason: -self._counts[reason])
        return {
            reason: RejectedFor(self._counts[reason], self._samples[reason], self._values[reason]) for reason in ordered
        }

    def _add_values(self, rejected: pl.DataFrame, has_reason: Mapping[str, pl.Expr]) -> None:
        """A few different values of the column that each reason is about, found in one pass."""
        different = []
        for reason, is_in in has_reason.items():
            values = self._values.setdefault(reason, [])
            column = REJECT_REASONS[reason].column
            if column in rejected.columns and len(values) < _VALUES:
                text = pl.col(column).filter(is_in).str.strip_chars().str.slice(0, _VALUE_CHARACTERS)
                printed = text.filter(text != "").str.replace_all(_ADDRESS, "…@")
                different.append(printed.unique(maintain_order=True).head(2 * _VALUES).implode().alias(reason))
        for reason, texts in rejected.select(different).to_dict(as_series=False).items():
            self._values[reason] = list(dict.fromkeys([*self._values[reason], *texts[0]]))[:_VALUES]

    def _sample_of(self, row: dict[str, Any]) -> RejectSample:
        line, text = int(row[SOURCE_LINE]), row[SOURCE_TEXT]
        if text is not None:
            return RejectSample(line, fault=self._layout.dialect.fault(text, len(self._layout.header)))
        values = {column: without_address(str(row[column] or ""))[:_SAMPLE_CHARACTERS] for column in self._layout.parts}
        return RejectSample(line, values)
