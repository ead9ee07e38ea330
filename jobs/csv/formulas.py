"""CSV injection: values that a spreadsheet would run as a formula.

The rejected file puts an apostrophe before such a value. The apostrophe is removed again only from a corrected
rejected file that is uploaded again.
"""

from __future__ import annotations

import re

import polars as pl

FORMULA_PREFIX = "^'*[=+@＝＋－＠\t\r\n\0-]"
"""First characters of a formula (OWASP's list, with the full-width signs); such a value gets one more apostrophe."""


def guard_text(text: str) -> str:
    """One value as the rejected file shows it."""
    return "'" + text if re.match(FORMULA_PREFIX, text) else text


def guard(column: str) -> pl.Expr:
    """A column as the rejected file shows it."""
    value = pl.col(column)
    guarded = pl.when(value.str.contains(FORMULA_PREFIX)).then(pl.concat_str(pl.lit("'"), value)).otherwise(value)
    return guarded.alias(column)


def unguard_text(text: str) -> str:
    """The value that the rejected file shows as this text."""
    return text[1:] if text.startswith("'") and re.match(FORMULA_PREFIX, text) else text


def unguard(column: str) -> pl.Expr:
    """A column of a rejected file as it was before it was rejected."""
    value = pl.col(column)
    is_guarded = value.str.starts_with("'") & value.str.contains(FORMULA_PREFIX)
    return pl.when(is_guarded).then(value.str.slice(1)).otherwise(value).alias(column)
