"""The one reading of a transaction_date.

ISO 8601 and nothing else: `YYYY-MM-DD`, then optionally `T` or a space with `HH:MM`,
`HH:MM:SS` or `HH:MM:SS.ffffff`, then optionally `Z` or `±HH:MM`. Without a zone it is UTC.
"""

from __future__ import annotations

import polars as pl

_DAY = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
_CLOCK = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]"
_SIMPLE = rf"^{_DAY}(?:[T ]{_CLOCK}(?::[0-5][0-9])?)?$"
_FULL = (
    rf"^{_DAY}[T ]{_CLOCK}(?::[0-5][0-9](?:\.(?<fraction>[0-9]{{1,6}}))?)?"
    rf"(?:Z|(?<sign>[+-])(?<hours>(?:[01][0-9]|2[0-3])):(?<minutes>[0-5][0-9]))?$"
)
_MICROSECONDS = 1_000_000


def read_timestamps(text: pl.Series) -> pl.DataFrame:
    """Columns `moment` (UTC, microseconds) and `written_day` (the calendar day as written).

    Both are null where the text is not a date. A shop's file holds the days of its own
    calendar, so it is the written day that is compared with the day of the file.
    """
    text = text.alias("text")
    simple = text.str.contains(_SIMPLE).fill_null(False)
    # The microseconds come in with the few rows that have them, or a zone.
    shift = None if simple.all() else _fraction_and_zone(text.set(simple, None))
    frame = pl.DataFrame([text, simple.alias("is_shaped")])
    is_shaped = pl.col("is_shaped")
    if shift is not None:
        frame = frame.with_columns(shift.alias("shift"))
        is_shaped = is_shaped | pl.col("shift").is_not_null()
    written_day = pl.when(is_shaped).then(pl.col("text").str.slice(0, 10).str.to_date("%Y-%m-%d", strict=False))
    seconds = (_number(11) * 60 + _number(14)) * 60 + pl.when(pl.col("text").str.slice(16, 1) == ":").then(
        _number(17)
    ).otherwise(0)
    moment = written_day.cast(pl.Datetime("us")).to_physical() + seconds * _MICROSECONDS
    if shift is not None:
        moment = moment + pl.col("shift").fill_null(0)
    found = frame.select(moment.cast(pl.Datetime("us")).alias("moment"), written_day.alias("written_day"))
    in_range = pl.col("moment").dt.year().is_between(1, 9999)
    return found.select(pl.when(in_range).then(pl.all()))


def _number(offset: int) -> pl.Expr:
    return pl.col("text").str.slice(offset, 2).cast(pl.Int64, strict=False).fill_null(0)


def _fraction_and_zone(text: pl.Series) -> pl.Series:
    """Microseconds to add for a fraction and a zone; null where the text has not the full shape."""
    parts = text.str.extract_groups(_FULL).struct.unnest()
    offset = (pl.col("hours").cast(pl.Int64) * 60 + pl.col("minutes").cast(pl.Int64)) * 60 * _MICROSECONDS
    shift = pl.col("fraction").str.pad_end(6, "0").cast(pl.Int64).fill_null(0) - pl.when(pl.col("sign") == "-").then(
        -offset
    ).otherwise(offset).fill_null(0)
    is_full = text.str.contains(_FULL).fill_null(False)
    return parts.select(pl.when(pl.lit(is_full)).then(shift)).to_series()
