"""Which texts are ids, which mean that there is none, and which stood for several ids before they were rounded.

Leading zeros count: 00123 is not 123. Only a dimension can tell that 13085.0 is 13085.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

import polars as pl

from jobs.rows.lookup import Lookup
from jobs.rows.text import UNCLEAN, clean

ROUNDED = r"^[0-9](?:[.,][0-9]+[Ee]\+?|[Ee]\+)[0-9]{1,3}$"
"""A spreadsheet's 1.23457E+11: its last digits are lost. `1E5` and `5e12` are ids."""

_PUNCTUATION = r"^[!-/:-@\[-`{-~\s]+$"
"""A dash or a question mark says that there is no id; many of them would be one sale."""

_WHOLE = r"^[0-9]+\.0$"
"""What pandas makes of the ids of a column in which one is missing."""


def waited_for(ids: pl.Series) -> pl.Series:
    """The ids that a dimension must get before rows with these unknown ones are known."""
    cleaned = clean(ids)
    return cleaned.zip_with(~cleaned.str.contains(_WHOLE).fill_null(False), cleaned.str.strip_suffix(".0"))


class Ids(NamedTuple):
    ids: pl.Series
    """Cleaned; null where there is none."""
    rows: pl.Series
    """Row numbers in the dimension, null where unknown; all null without a dimension."""
    bytes: pl.Series
    """Of the id; 0 or null where there is none."""
    is_rounded: pl.Series


class IdReader:
    """Reads the ids of one source format."""

    def __init__(self, null_words: Sequence[str]) -> None:
        """`null_words` mean "no id", in any case."""
        words = "|".join(map(re.escape, null_words))
        self._null = f"(?i)^(?:{words})$|{_PUNCTUATION}" if words else _PUNCTUATION
        self._odd = f"{UNCLEAN}|{self._null}|{ROUNDED}"

    def read(self, text: pl.Series) -> pl.Series:
        """The ids, cleaned; null where there is none."""
        return self._of_odd(text, text.str.contains(self._odd).fill_null(False))

    def read_own(self, text: pl.Series) -> Ids:
        """Ids that no dimension has."""
        odd = text.str.contains(self._odd).fill_null(False)
        ids = self._of_odd(text, odd)
        is_rounded = ids.str.contains(ROUNDED).fill_null(False) if odd.any() else odd
        return Ids(ids, ids.clear(ids.len()).cast(pl.Int64), ids.str.len_bytes(), is_rounded)

    def read_known(self, text: pl.Series, dimension: Lookup, *, otherwise: str = "") -> Ids:
        """Ids of a dimension: looked up as they stand, and those not found once more as they are meant.

        `otherwise` is the id of those that have none.
        """
        rows, size = dimension.rows_of(text), text.str.len_bytes()
        unknown = rows.is_null()
        is_rounded = pl.repeat(False, text.len(), dtype=pl.Boolean(), eager=True)
        if not unknown.any():
            return Ids(text, rows, size, is_rounded)
        where, ids = unknown.arg_true(), self.read(text.filter(unknown))
        if otherwise:
            ids = ids.fill_null(otherwise)
        is_whole = ids.str.contains(_WHOLE) & dimension.rows_of(ids).is_null()
        if is_whole.any():
            shortened = ids.str.strip_suffix(".0")
            ids = ids.zip_with(~(is_whole & dimension.rows_of(shortened).is_not_null()).fill_null(False), shortened)
        return Ids(
            text.scatter(where, ids),
            rows.scatter(where, dimension.rows_of(ids)),
            size.scatter(where, ids.str.len_bytes()),
            is_rounded.scatter(where, ids.str.contains(ROUNDED).fill_null(False)),
        )

    def _of_odd(self, text: pl.Series, odd: pl.Series) -> pl.Series:
        if not odd.any():
            return text
        cleaned = clean(text.filter(odd))
        is_missing = (cleaned.str.len_bytes() == 0) | cleaned.str.contains(self._null)
        return text.scatter(odd.arg_true(), cleaned.set(is_missing.fill_null(True), None))
