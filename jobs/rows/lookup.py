"""Dimension lookup without a join: an id becomes its row number, and columns are gathered by it.

A hash join of each chunk would build its table over a million customers again and again. So a table is built once. An
id's hash tells its place, and where several ids have one place, all but one move on to a smaller table of the
next level. Each step handles a whole column, and a text is compared before its row is believed.
"""

from __future__ import annotations

import polars as pl

from jobs.errors import DimensionRefused
from schemas.counted import counted

# A Parquet part holds the whole dictionary of an Enum column, which pays only for few values.
_MOST_CATEGORIES = 20_000

_PLACES = 4
"""For each id. About one id in nine then moves on to the next level."""
_FEWEST_PLACES = 1 << 16
"""So few ids have few levels, each of which costs as much as a thousand ids."""


class Lookup:
    """A dimension, held for m:1 lookups by its key."""

    def __init__(self, table: pl.DataFrame, *, name: str, key: str) -> None:
        """`table` is the dimension; raises DimensionRefused where an id is missing or not unique."""
        ids = table.get_column(key).rechunk()
        if ids.null_count():
            raise DimensionRefused(
                f"{name} has {counted(ids.null_count(), 'row')} without {key}; delete them and replay the load"
            )
        self._ids = ids
        try:
            self._levels = _levels(ids)
        except ValueError:
            twice = ids.filter(ids.is_duplicated()).unique().sort()
            raise DimensionRefused(
                f"{name} has {key} {twice[0]!r} more than once ({counted(twice.len(), 'such id')}), so a join would "
                "multiply transactions; delete all rows but one of each id and replay the load"
            ) from None
        self._table = table.drop(key).with_columns(
            _compact(column) for column in table.get_columns() if column.dtype == pl.String() and column.name != key
        )

    def rows_of(self, ids: pl.Series) -> pl.Series:
        """The row number of each id, null where the id is unknown."""
        if not self._levels:
            return pl.repeat(None, ids.len(), dtype=pl.UInt32(), eager=True)
        return self._rows_of(ids, ids.hash(), 0)

    def _rows_of(self, ids: pl.Series, hashes: pl.Series, level: int) -> pl.Series:
        table = self._levels[level]
        rows = table.gather(hashes % table.len())
        is_other = self._ids.gather(rows).ne_missing(ids)
        if not is_other.any():
            return rows
        if level + 1 == len(self._levels):
            return rows.set(is_other, None)
        others = self._rows_of(ids.filter(is_other), hashes.filter(is_other), level + 1)
        return rows.scatter(is_other.arg_true(), others)

    def column(self, name: str, rows: pl.Series) -> pl.Series:
        """The named column of each row, null where the row is null."""
        return self._table.get_column(name).gather(rows)


def _levels(ids: pl.Series) -> list[pl.Series]:
    """The row numbers of ids by place, for each level. Raises ValueError where an id occurs twice."""
    levels: list[pl.Series] = []
    hashes, rows = ids.hash(), pl.int_range(ids.len(), dtype=pl.UInt32(), eager=True)
    while rows.len():
        size = max(_PLACES * rows.len(), _FEWEST_PLACES) + 1
        places = hashes % size
        levels.append(pl.zeros(size, dtype=pl.UInt32(), eager=True).scatter(places, rows))
        of_place = levels[-1].gather(places)
        is_left = of_place != rows
        rows, hashes, of_place = rows.filter(is_left), hashes.filter(is_left), of_place.filter(is_left)
        if (ids.gather(rows) == ids.gather(of_place)).any():
            raise ValueError("an id occurs twice")
    return levels


def _compact(column: pl.Series) -> pl.Series:
    values = column.drop_nulls().unique().sort()
    return column.cast(pl.Enum(values)) if values.len() <= _MOST_CATEGORIES else column
