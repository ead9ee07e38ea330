"""Reads statuses: the contract's words, other spellings of them, and the source's own words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl

from jobs.rows.text import bare, read
from schemas.statuses import SPELLINGS, STATUS_BLANKS, STATUSES


class StatusReader:
    """Reads the statuses of one source format."""

    def __init__(self, words: Mapping[str, str], ranks: Sequence[str] = STATUSES) -> None:
        """`words` are the source's own, as status_key has them, and come first. `ranks` begins with the lowest."""
        self.type = pl.Enum(ranks)
        """In rank order, so the physical value of a status is its rank."""
        self._words = {**{status: status for status in STATUSES}, **SPELLINGS, **words}
        self._is_as_declared = all(self._words[status] == status for status in STATUSES)

    def read(self, text: pl.Series) -> pl.Series:
        """An Enum, null where the word is unknown; its physical value is the rank."""
        if not self._is_as_declared:
            return self._of_words(text)
        return read(text, lambda values: values.cast(self.type, strict=False), self._of_words)

    def _of_words(self, text: pl.Series) -> pl.Series:
        words = bare(text.fill_null("")).str.to_lowercase().str.replace_all(STATUS_BLANKS, " ")
        return words.replace_strict(self._words, default=None, return_dtype=self.type)
