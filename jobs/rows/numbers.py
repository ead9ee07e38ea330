"""Reads whole numbers and prices: nothing is rounded, and an ambiguous number is not guessed."""

from __future__ import annotations

import re

import polars as pl

from jobs.rows.text import bare, read

_PRICE = pl.Decimal(18, 4)
GROUP_OR_DECIMALS = r"^-?[1-9][0-9]{0,2}[.,][0-9]{3}$"
"""1.000 is one in one country and a thousand in another. 0.125, 1234.000 and 1.0000 have no groups of three digits."""
_NEGATIVE = r"^(?:[-−](.+)|(.+)[-−]|\((.+)\))$"
"""Forms of a negative number: a minus sign (the typographic one too) before the number or, as in SAP, after it; or
brackets."""


class NumberReader:
    """Reads the numbers of one source format."""

    def __init__(
        self, *, decimal_comma: bool = False, thousands_separator: str = "", decimal_point: bool = False
    ) -> None:
        """A blank as the separator means any blank, an apostrophe either form of it.

        Groups have three digits, the first one to three and no leading zero. `decimal_point`: a point is known to be
        the decimal mark, though no separator is declared.
        """
        mark = "," if decimal_comma else r"\."
        separator = "['’]" if thousands_separator == "'" else re.escape(thousands_separator)
        if thousands_separator == " ":
            separator = r"\s"
        grouped = rf"|[1-9][0-9]{{0,2}}(?:{separator}[0-9]{{3}})+" if thousands_separator else ""
        self._separator = separator if thousands_separator else ""
        self._mark = "," if decimal_comma else "."
        self._whole = rf"^-?(?:[0-9]+{grouped})(?:{mark}0*)?$"
        self._is_declared = decimal_comma or bool(thousands_separator) or decimal_point
        self._price = rf"^(?:[0-9]+{grouped})(?:{mark}[0-9]{{1,4}}0*)?$"

    def read_whole(self, text: pl.Series) -> pl.Series:
        """Int32: whole numbers of ASCII digits, zeros behind the decimal mark included."""
        return read(text, _digits, self._any_whole)

    def read_price(self, text: pl.Series) -> pl.Series:
        """Decimal(18, 4): from 0 up, at most four decimals, then only zeros; no sign of a currency."""
        prices = self._plain_prices(text) if self._mark == "." else self._prices(text)
        # Not `read`: Polars cannot scatter decimals.
        return self._prices(bare(text)) if prices.null_count() > text.null_count() else prices

    def _any_whole(self, text: pl.Series) -> pl.Series:
        text = text.str.replace(_NEGATIVE, "-${1}${2}${3}")
        digits = self._plain(text).str.replace(r"\..*$", "")
        return digits.set(~self._is_written_as(self._whole, text), None).cast(pl.Int32, strict=False)

    def _plain_prices(self, text: pl.Series) -> pl.Series:
        is_price = self._is_written_as(r"^[0-9]+(?:\.[0-9]{1,4})?$", text)
        return text.set(~is_price, None).cast(_PRICE, strict=False)

    def _prices(self, text: pl.Series) -> pl.Series:
        plain = self._plain(text).str.replace(r"(\.[0-9]{4})0+$", "${1}")
        return plain.set(~self._is_written_as(self._price, text), None).cast(_PRICE, strict=False)

    def _is_written_as(self, form: str, text: pl.Series) -> pl.Series:
        has_form = text.str.contains(form)
        return has_form if self._is_declared else has_form & ~text.str.contains(GROUP_OR_DECIMALS)

    def _plain(self, text: pl.Series) -> pl.Series:
        """Without separators and with a decimal point."""
        joined = text.str.replace_all(self._separator, "") if self._separator else text
        return joined.str.replace(self._mark, ".", literal=True)


def _digits(text: pl.Series) -> pl.Series:
    # The digits are checked first, since a cast alone accepts a sign.
    is_digits = text.str.contains("^[0-9]+$")
    return text.set(~is_digits, None).cast(pl.Int32, strict=False)
