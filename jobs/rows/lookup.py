"""Dimension lookup without a join: an id becomes its row number, and columns are gathered by it.

A hash join of each chunk would build its table over a million customers again and
again. Casting the id to an Enum made of the dimension's ids builds that table once, in
Rust, as long as the same expression object is used; unknown ids become null.
"""

from __future__ import annotations

import polars as pl

from jobs.errors import DimensionRefused
from schemas.counted import counted

# A Parquet part holds the whole dictionary of an Enum column, which pays only for few values.
_MOST_CATEGORIES = 20_000


class Lookup:
    """A dimension, held for m:1 lookups by its key."""

    def __init__(self, table: pl.DataFrame, *, name: str, key: str) -> None:
        """`table` is the dimension; raises DimensionRefused where an id is missing or not unique."""
        ids = table.get_column(key)
        if ids.null_count():
            raise DimensionRefused(
                f"{name} has {counted(ids.null_count(), 'row')} without {key}; delete them and replay the load"
            )
        try:
            row_numbers = pl.Enum(ids)
        except ValueError:
            twice = ids.filter(ids.is_duplicated()).unique().sort()
            raise DimensionRefused(
                f"{name} has {key} {twice[0]!r} more than once ({counted(twice.len(), 'such id')}), so a join would "
                "multiply transactions; delete all rows but one of each id and replay the load"
            ) from None
        self._key = key
        self._row_number = pl.col(key).cast(row_numbers, strict=False).to_physical()
        self._table = table.with_columns(
            _compact(column) for column in table.get_columns() if column.dtype == pl.String() and column.name != key
        )

    def rows_of(self, ids: pl.Series) -> pl.Series:
        """The row number of each id, null where the id is unknown."""
        return ids.alias(self._key).to_frame().select(self._row_number).to_series()

    def column(self, name: str, rows: pl.Series) -> pl.Series:
        """The named column of each row, null where the row is null."""
        return self._table.get_column(name).gather(rows)


def _compact(column: pl.Series) -> pl.Series:
    values = column.drop_nulls().unique().sort()
    return column.cast(pl.Enum(values)) if values.len() <= _MOST_CATEGORIES else column
