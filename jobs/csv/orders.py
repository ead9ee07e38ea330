"""Contract columns that are no column of the file: composite keys, numbered lines, values written once an order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import polars as pl

from jobs.csv.blocks import IS_MALFORMED
from jobs.csv.layout import ORDER_LINE, Layout
from schemas.rejected_file import SOURCE_LINE
from schemas.sources import KEY_SEPARATOR, SourceSettings

_ORDER = "order_of_row"
_RECORD = "record_number"
_RUN = "run_of_rows"
_GAP = "malformed_above"


@dataclass
class OrderRows:
    """Fills and derives columns chunk by chunk, in the order of the file."""

    layout: Layout
    settings: SourceSettings
    filled: tuple[str, ...]
    """Names of the columns whose empty values take that of the row above, if that is of the same order."""
    _last: pl.DataFrame | None = field(default=None, init=False)
    """The last sound row so far, filled."""
    _gaps: int = field(default=0, init=False)
    _records: int = field(default=0, init=False)

    @property
    def _order(self) -> str:
        return self.layout.parts["transaction_id"][0]

    @property
    def _is_numbered(self) -> bool:
        return ORDER_LINE in self.layout.parts["transaction_id"]

    def complete(self, frame: pl.DataFrame) -> pl.DataFrame:
        """The frame with its contract columns."""
        if self.filled or self._is_numbered:
            frame = self._fill(frame)
        return frame.with_columns(
            self._contract_column(column, parts) for column, parts in self.layout.parts.items() if parts != (column,)
        )

    def _fill(self, frame: pl.DataFrame) -> pl.DataFrame:
        frame = frame.with_columns(
            (pl.int_range(pl.len(), dtype=pl.Int64) + self._records).alias(_RECORD),
            (pl.col(IS_MALFORMED).cum_sum().cast(pl.Int64) + self._gaps).alias(_GAP),
        )
        self._records += frame.height
        self._gaps += int(frame.get_column(IS_MALFORMED).sum())
        sound, malformed = frame.filter(~pl.col(IS_MALFORMED)), frame.filter(IS_MALFORMED)
        rows = sound if self._last is None else pl.concat([self._last, sound], how="diagonal")
        order = _trimmed(self._order)
        if self._order in self.filled:
            # Below a malformed row nobody knows whose row it is.
            order = order.forward_fill().over(_GAP)
            rows = rows.with_columns(order.alias(self._order))
            order = pl.col(self._order)
        is_same = (order == order.shift()).fill_null(False)
        rows = rows.with_columns((~is_same).cum_sum().alias(_RUN))
        others = [name for name in self.filled if name != self._order]
        rows = rows.with_columns(_trimmed(name).forward_fill().over(_RUN).alias(name) for name in others)
        first = pl.col(_RECORD).first().over(_RUN)
        if self._last is not None:
            # The row kept from the chunk before stands for its whole run.
            carried = self._last.get_column(_ORDER).item()
            first = pl.when(pl.col(_RUN) == pl.col(_RUN).first()).then(carried).otherwise(first)
        rows = rows.with_columns(first.alias(_ORDER))
        if self._is_numbered:
            rows = rows.with_columns((pl.col(_RECORD) - pl.col(_ORDER) + 1).cast(pl.String()).alias(ORDER_LINE))
        fresh = rows if self._last is None else rows.slice(1)
        self._last = rows.tail(1).drop(_RUN)
        fresh = fresh.drop(_RUN, _ORDER)
        return pl.concat([fresh, malformed], how="diagonal").sort(SOURCE_LINE).drop(_RECORD, _GAP)

    def _contract_column(self, column: str, parts: Sequence[str]) -> pl.Expr:
        if not parts:
            return pl.lit(None, dtype=pl.String()).alias(column)
        if len(parts) == 1:
            return pl.col(parts[0]).alias(column)
        if column == "transaction_id":
            return self._key(parts).alias(column)
        # A date and a time.
        text = pl.concat_str([_trimmed(part) for part in parts], separator=" ", ignore_nulls=True)
        return pl.when(text.str.len_bytes() > 0).then(text).alias(column)

    def _key(self, parts: Sequence[str]) -> pl.Expr:
        """The parts in one text that no other parts give; null where a part is missing."""
        words = [word.lower() for word in self.settings.null_words]
        values = [_trimmed(part) for part in parts]
        is_whole = pl.all_horizontal(value.is_not_null() & ~value.str.to_lowercase().is_in(words) for value in values)
        escaped = [
            value.str.replace_all("\\", "\\\\", literal=True).str.replace_all(
                KEY_SEPARATOR, "\\" + KEY_SEPARATOR, literal=True
            )
            for value in values
        ]
        return pl.when(is_whole).then(pl.concat_str(escaped, separator=KEY_SEPARATOR))


def _trimmed(name: str) -> pl.Expr:
    """Null where nothing is left."""
    value = pl.col(name).str.strip_chars()
    return pl.when(value.str.len_bytes() > 0).then(value)
