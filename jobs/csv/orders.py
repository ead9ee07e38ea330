"""Derives contract columns that the file lacks: composite keys, line numbers, values written once an order."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Callable

import polars as pl

from jobs.csv.blocks import IS_MALFORMED, on_lines
from jobs.csv.layout import ORDER_LINE, Layout
from schemas.rejected_file import SOURCE_LINE
from schemas.sources import KEY_SEPARATOR

ReadPart = Callable[[pl.Series], pl.Series]
_RECORD = "record_number"
_IS_START = "is_start_of_run"


@dataclass(frozen=True)
class OrderState:
    """All that the rows so far say about the rows below them."""

    above: Mapping[str, str | None] = field(default_factory=dict)
    """The last values of the filled columns; None where there is none."""
    last_order: str | None = None
    """Of the last sound row."""
    run_start: int = 0
    """The record with which the run of the last sound row began."""
    records: int = 0


@dataclass
class OrderRows:
    """Fills and derives columns chunk by chunk, in the order of the file."""

    layout: Layout
    read_part: ReadPart
    """Reads a part of a key as an id is read: null where there is none."""
    filled: tuple[str, ...]
    """Names of the columns whose empty values take that of the row above, if that is of the same order."""
    state: OrderState = field(default_factory=OrderState)
    """After the last row so far."""

    @property
    def _order(self) -> str:
        return self.layout.parts["transaction_id"][0]

    @property
    def is_numbered(self) -> bool:
        """True where the reader numbers the rows of an order."""
        return ORDER_LINE in self.layout.read

    def complete(
        self, frame: pl.DataFrame, columns: Collection[str] | None = None, lines: pl.Series | None = None
    ) -> pl.DataFrame:
        """The frame with its contract columns, or those of them that are named; all rows, or those on some lines."""
        if self.filled or self.is_numbered:
            frame = self._fill(frame)
        frame = on_lines(frame, lines)
        derived = {column: parts for column, parts in self.layout.parts.items() if parts != (column,)}
        named = [
            self._contract_column(frame, column, parts)
            for column, parts in derived.items()
            if columns is None or column in columns
        ]
        return frame.with_columns(named)

    def _fill(self, frame: pl.DataFrame) -> pl.DataFrame:
        is_malformed = frame.get_column(IS_MALFORMED)
        records = self.state.records
        record = pl.int_range(records, records + frame.height, eager=True).alias(_RECORD)
        self.state = replace(self.state, records=records + frame.height)
        frame = frame.with_columns(record, self._orders(frame, is_malformed))
        if not is_malformed.any():
            return self._fill_sound(frame).drop(_RECORD)
        sound = self._fill_sound(frame.filter(~is_malformed))
        return pl.concat([sound, frame.filter(is_malformed)], how="diagonal").sort(SOURCE_LINE).drop(_RECORD)

    def _orders(self, frame: pl.DataFrame, is_malformed: pl.Series) -> pl.Series:
        """The order of each row."""
        order = trimmed(frame.get_column(self._order))
        # Below a malformed row the order is unknown.
        return self._filled_down(order.set(is_malformed, None), is_malformed) if self._order in self.filled else order

    def _fill_sound(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Rows with their orders: the other filled columns, and the number of each row within its order."""
        if rows.is_empty():
            return rows.with_columns(pl.lit(None, dtype=pl.String()).alias(ORDER_LINE)) if self.is_numbered else rows
        order = pl.col(self._order)
        above = order.shift(1, fill_value=pl.lit(self.state.last_order, dtype=pl.String()))
        is_start = rows.select((order.ne_missing(above) | order.is_null()).alias(_IS_START)).to_series()
        self.state = replace(self.state, last_order=rows.item(-1, self._order))
        for name in self.filled:
            if name != self._order:
                rows = rows.with_columns(self._filled_down(rows.get_column(name), is_start))
        if not self.is_numbered:
            return rows
        record = rows.get_column(_RECORD)
        first = record.set(~is_start, None).forward_fill().fill_null(self.state.run_start)
        self.state = replace(self.state, run_start=first[-1])
        return rows.with_columns((record - first + 1).cast(pl.String()).alias(ORDER_LINE))

    def _filled_down(self, values: pl.Series, keeps_its_own: pl.Series) -> pl.Series:
        """The values, with that of the row above where one is missing and the row does not keep its own."""
        above = self.state.above.get(values.name)
        fillable = (~keeps_its_own).arg_true()
        where = fillable.filter(trimmed(values.gather(fillable)).is_null())
        if where.len():
            # Filling row numbers, and then texts where they are missing, costs less than filling texts.
            is_missing = pl.repeat(False, values.len(), dtype=pl.Boolean(), eager=True).scatter(where, True)
            source = pl.int_range(values.len(), eager=True).set(is_missing, None).forward_fill().gather(where)
            filled = values.gather(source)
            values = values.scatter(where, filled if above is None else filled.set(source.is_null(), above))
        if values.len():
            self.state = replace(self.state, above={**self.state.above, values.name: values[-1]})
        return values

    def _contract_column(self, frame: pl.DataFrame, column: str, parts: Sequence[str]) -> pl.Series:
        if not parts:
            return pl.repeat(None, frame.height, dtype=pl.String(), eager=True).alias(column)
        if len(parts) == 1:
            return frame.get_column(parts[0]).alias(column)
        if column == "transaction_id":
            return self._key(frame, parts).alias(column)
        # A date and a time.
        texts = pl.DataFrame([trimmed(frame.get_column(part)) for part in parts])
        text = texts.select(pl.concat_str(pl.all(), separator=" ", ignore_nulls=True)).to_series()
        return text.set(text == "", None).alias(column)

    def _key(self, frame: pl.DataFrame, parts: Sequence[str]) -> pl.Series:
        """The parts joined into one text, unique for each combination; null where a part is missing."""
        values = [
            frame.get_column(part) if part == ORDER_LINE else self._part(frame.get_column(part)) for part in parts
        ]
        return pl.DataFrame(values).select(pl.concat_str(pl.all(), separator=KEY_SEPARATOR)).to_series()

    def _part(self, text: pl.Series) -> pl.Series:
        value = self.read_part(text)
        if not value.str.contains_any(["\\", KEY_SEPARATOR]).any():
            return value
        escaped = value.str.replace_all("\\", "\\\\", literal=True)
        return escaped.str.replace_all(KEY_SEPARATOR, "\\" + KEY_SEPARATOR, literal=True)


def trimmed(text: pl.Series) -> pl.Series:
    """Null where nothing is left."""
    stripped = text.str.strip_chars()
    return stripped.set(stripped.str.len_bytes() == 0, None)
