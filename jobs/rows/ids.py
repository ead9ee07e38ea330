"""Reads ids: which texts are ids, which mean "no id", and which ids a spreadsheet has rounded.

Leading zeros count: 00123 is not 123. 13085.0 is 13085, unless a dimension has it as written.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

import polars as pl

from jobs.rows.lookup import Lookup
from jobs.rows.text import UNCLEAN, bare, with_texts

_DIGITS_LOST = r"[0-9](?:[.,][0-9]+[Ee]\+?|[Ee]\+)[0-9]{1,3}|[0-9]{16,}\.0"
_PART = r"(?:^|\|)"
ROUNDED = rf"{_PART}(?:{_DIGITS_LOST})(?:\||$)"
"""A spreadsheet's 1.23457E+11, or pandas' number of 16 digits, also as a part of a key: the last digits are lost.
`1E5` and `5e12` are ids."""

_NOTHING = r"^(?:[\p{P}!-/:-@\[-`{-~\s]+|#[^0-9\s]+0?[!?]|(?i:#N/?[DV]|Err:[0-9]{3}))$"
"""Texts that mean "no id": a dash, a question mark, or a formula's error in any language (#REF!, #BEZUG!, #NV,
Err:502). Read as ids, they would join many sales into one."""

_WHOLE = r"^[0-9]{1,15}\.0$"
"""Whole numbers as pandas writes them when a value of the column is missing."""


def shortened(ids: pl.Series) -> pl.Series:
    """The ids, whole numbers without the .0 that pandas added."""
    is_whole = ids.str.contains(_WHOLE)
    return ids.zip_with(~is_whole, ids.str.strip_suffix(".0")) if is_whole.any() else ids


def _rounded(places: pl.Series, ids: pl.Series) -> pl.Series:
    return places.filter(ids.str.contains(ROUNDED))


class Ids(NamedTuple):
    ids: pl.Series
    """Cleaned; null where there is none."""
    rows: pl.Series
    """Row numbers in the dimension, null where unknown; empty without a dimension."""
    bytes: pl.Series
    """Their lengths in bytes; 0 or null where there is none."""
    rounded: pl.Series
    """The positions of those that a spreadsheet has rounded."""


class IdReader:
    """Reads the ids of one source format."""

    def __init__(self, null_words: Sequence[str]) -> None:
        """`null_words` mean "no id", in any case."""
        words = "|".join(map(re.escape, null_words))
        self._null = f"(?i:^(?:{words})$)|{_NOTHING}" if words else _NOTHING
        self._odd = f"{UNCLEAN}|{self._null}|{ROUNDED}|{_WHOLE}"

    def read(self, text: pl.Series) -> pl.Series:
        """The ids without what surrounds them; null where there is none."""
        return self._of_odd(text, self._is_odd(text))

    def _is_odd(self, text: pl.Series) -> pl.Series:
        return text.str.contains(self._odd)

    def read_own(self, text: pl.Series) -> Ids:
        """Read ids that belong to no dimension."""
        odd = self._is_odd(text)
        ids = self._of_odd(text, odd)
        # Only an odd text can have been rounded.
        rounded = _rounded(odd.arg_true(), ids.filter(odd))
        return Ids(ids, pl.Series(dtype=pl.UInt32()), ids.str.len_bytes(), rounded)

    def read_known(self, text: pl.Series, dimension: Lookup, *, otherwise: str = "") -> Ids:
        """Read ids of a dimension: looked up as written, and those not found again after cleaning.

        `otherwise` is the id of those that have none.
        """
        rows, size = dimension.rows_of(text), text.str.len_bytes()
        unknown = rows.is_null()
        where = unknown.arg_true()
        if where.is_empty():
            return Ids(text, rows, size, where)
        ids = self._without_missing(text.filter(unknown))
        if otherwise:
            ids = ids.fill_null(otherwise)
        # A lookup costs more in a larger dimension, so a second one is made only where it may help.
        rows_of_ids, whole = dimension.rows_of(ids), shortened(ids)
        if (whole != ids).any():
            rows_of_whole = dimension.rows_of(whole)
            is_meant = rows_of_ids.is_null() & rows_of_whole.is_not_null()
            ids = ids.zip_with(~is_meant, whole)
            rows_of_ids = rows_of_ids.zip_with(~is_meant, rows_of_whole)
        return Ids(
            with_texts(text, where, ids),
            rows.scatter(where, rows_of_ids),
            size.scatter(where, ids.str.len_bytes()),
            _rounded(where, ids),
        )

    def _of_odd(self, text: pl.Series, odd: pl.Series) -> pl.Series:
        if not odd.any():
            return text
        return with_texts(text, odd.arg_true(), shortened(self._without_missing(text.filter(odd))))

    def _without_missing(self, text: pl.Series) -> pl.Series:
        ids = bare(text)
        is_missing = (ids.str.len_bytes() == 0) | ids.str.contains(self._null)
        return ids.set(is_missing, None)
