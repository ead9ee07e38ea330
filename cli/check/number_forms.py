"""The form of a file's numbers: decimal comma and thousands separator, where the values show only one meaning."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any

import polars as pl

from jobs.rows.numbers import GROUP_OR_DECIMALS, NumberReader
from schemas.sources import SourceSettings

_NUMBER = re.compile(r"[-−]?([0-9][0-9.,'’\s]*)")
_SEPARATORS = ("", ",", ".", "'", " ")


@dataclass(frozen=True)
class _Form:
    decimal_comma: bool
    thousands_separator: str

    def read(self, numbers: list[str]) -> tuple[Decimal | None, ...]:
        reader = NumberReader(decimal_comma=self.decimal_comma, thousands_separator=self.thousands_separator)
        return tuple(reader.read_price(pl.Series(numbers, dtype=pl.String())))


# The simplest form first.
_FORMS = [
    _Form(decimal_comma, separator)
    for separator in _SEPARATORS
    for decimal_comma in (False, True)
    if separator != ("," if decimal_comma else ".")
]


def number_changes(values: Iterable[str], used: SourceSettings) -> dict[str, Any]:
    """The changes of the settings under which all these values are numbers.

    Empty where the settings in use read them, and where no form does or several give other numbers.
    """
    written = (_NUMBER.fullmatch(value.strip()) for value in values)
    numbers = list(dict.fromkeys(number[1] for number in written if number))
    in_use = _Form(used.decimal_comma, used.thousands_separator)
    readings = {form: form.read(numbers) for form in _FORMS}
    # A value that no form reads says nothing.
    readable = [at for at in range(len(numbers)) if any(reading[at] is not None for reading in readings.values())]
    meanings = {form: tuple(reading[at] for at in readable) for form, reading in readings.items()}
    fitting = {form: meaning for form, meaning in meanings.items() if None not in meaning}
    if in_use in fitting or len(set(fitting.values())) != 1:
        return {}
    form = asdict(next(iter(fitting)))
    return {setting: value for setting, value in form.items() if value != getattr(used, setting)}


def with_two_meanings(values: Iterable[str]) -> list[str]:
    """The values that are one number with a decimal point and another with a decimal comma, such as 1.000."""
    return [value for value in values if re.search(GROUP_OR_DECIMALS, value)]
