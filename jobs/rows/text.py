"""Removes meaningless white space and marks around a value. A value is cleaned only if it cannot be read unchanged."""

from __future__ import annotations

from typing import Callable

import polars as pl

# White space, and the invisible format characters: zero width spaces, direction marks, byte order marks.
_AROUND = r"[\s\p{Cf}]"
_MARKS = "“”„‟«»‹›‘’‚‛`´"
"""Quotation marks of text programs: no id, number, date or status begins or ends with one."""
UNCLEAN = rf"^(?:{_AROUND}|[='\"{_MARKS}])|(?:{_AROUND}|[{_MARKS}])$"
"""The characters that `bare` removes."""

_ENDS = rf"^{_AROUND}+|{_AROUND}+$"
_EXCEL_TEXT = '^="(.*)"$'
"""The form `="…"`, with which Excel keeps a number as it is written."""


_TEXT = "text"
# One query for all steps: each costs as much as a thousand values.
_CLEAN = pl.col(_TEXT).str.replace_all(_ENDS, "").str.replace(_EXCEL_TEXT, "${1}").str.replace_all(_ENDS, "")
_BARE = (
    _CLEAN.str.replace('^"(.*)"$', "${1}")
    .str.replace("^'(.*?)'?$", "${1}")
    .str.strip_chars(_MARKS)
    .str.replace_all(_ENDS, "")
)


def clean(text: pl.Series) -> pl.Series:
    """The values without what surrounds them, and without Excel's `="…"`."""
    return _evaluated(_CLEAN, text)


def bare(text: pl.Series) -> pl.Series:
    """The values of `clean` without quotation marks around them or Excel's `'` before them.

    For values that have no such mark of their own. A name has: 'n Sync.
    """
    unclean = text.str.contains(UNCLEAN)
    if not unclean.any():
        return text
    return with_texts(text, unclean.arg_true(), _evaluated(_BARE, text.filter(unclean)))


def with_texts(text: pl.Series, places: pl.Series, others: pl.Series) -> pl.Series:
    """The texts with the others at these places. Gathering costs a third of what `scatter` costs."""
    size = text.len()
    sources = pl.int_range(size, dtype=pl.UInt32(), eager=True)
    sources = sources.scatter(places, pl.int_range(size, size + places.len(), dtype=pl.UInt32(), eager=True))
    return pl.concat([text, others], rechunk=True).gather(sources).alias(text.name)


def _evaluated(expression: pl.Expr, text: pl.Series) -> pl.Series:
    return text.alias(_TEXT).to_frame().select(expression).to_series().alias(text.name)


def read(
    values: pl.Series, read_plain: Callable[[pl.Series], pl.Series], read_any: Callable[[pl.Series], pl.Series]
) -> pl.Series:
    """The values as `meaning` reads them, null where it cannot.

    Nearly every value is written as it should be: all are read unchanged, and only the unread rest is cleaned and read
    again.
    """
    meanings = read_plain(values)
    unread = meanings.is_null()
    if not unread.any():
        return meanings
    return meanings.scatter(unread.arg_true(), read_any(bare(values.filter(unread))))
