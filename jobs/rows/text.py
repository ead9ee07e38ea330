"""What surrounds a value and means nothing, and how a value is read: as it stands first, cleaned only where needed."""

from __future__ import annotations

from typing import Callable

import polars as pl

# White space, and the format characters that nobody sees: zero width spaces, direction marks, byte order marks.
_AROUND = r"[\s\p{Cf}]"
UNCLEAN = rf"^{_AROUND}|{_AROUND}$|^="
"""What `clean` may change."""

_ENDS = rf"^{_AROUND}+|{_AROUND}+$"
_EXCEL_TEXT = '^="(.*)"$'
"""How Excel is made to keep a number as it is written."""


def clean(text: pl.Series) -> pl.Series:
    """The values without what surrounds them, and without Excel's `="…"`."""
    return text.str.replace_all(_ENDS, "").str.replace(_EXCEL_TEXT, "${1}").str.replace_all(_ENDS, "")


def read(
    values: pl.Series, read_plain: Callable[[pl.Series], pl.Series], read_any: Callable[[pl.Series], pl.Series]
) -> pl.Series:
    """What the values mean, null where they mean nothing.

    Nearly every value is written as it should be: all are read as they stand, and only
    what that leaves unread is cleaned and read again.
    """
    found = read_plain(values)
    unread = found.is_null()
    if not unread.any():
        return found
    return found.scatter(unread.arg_true(), read_any(clean(values.filter(unread))))
