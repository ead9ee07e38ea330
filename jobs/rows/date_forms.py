"""The forms of a date that have one meaning, whatever program wrote them, as patterns for Polars.

A date names its year with four digits. Its month is the part after a leading year, or an English word. Each part is a
group of the pattern, named as strptime names it. `a` is the day of the week, which must be that of the date.

Not here, since they have two meanings: 03/04/2023, a year of two digits, twelve digits (201203101112 may begin with
2012 or with 20 December), a number of days or seconds, and the letters of a zone, such as CST.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_HOUR, _SIXTY, _TWO = "[01][0-9]|2[0-3]", "[0-5][0-9]", "[0-9]{2}"
_MONTH = "(?i:Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?|Sept?(?:ember)?|Oct(?:ober)?"
_MONTH += "|Nov(?:ember)?|Dec(?:ember)?)"
_WEEKDAY = "(?:(?P<a>(?i:Mon|Tues?|Wed(?:nes)?|Thu(?:rs)?|Fri|Sat(?:ur)?|Sun)(?i:day)?),?\\s+)?"
_SECONDS = rf"(?P<S>{_SIXTY})(?:[.,](?P<f>[0-9]+))?"
_BLANKS = r",?\s+(?:(?i:at)\s+)?"
_AFTER_DAY = rf"(?:[Tt]|{_BLANKS})"

# Java writes the zone's name after the offset; the offset counts. ISO 8601 has a minus sign of its own.
_AHEAD = rf"[+−-](?:(?:{_HOUR})(?::?{_SIXTY})?|[0-9](?::{_SIXTY})?)"
_ZONE_NAME = r"(?:\[[^\[\]]+\]|\s*\([^()]+\))?"
_OFFSET = rf"(?:\s*(?P<z>(?i:Z|(?:UTC|GMT)(?:{_AHEAD})?)|{_AHEAD}){_ZONE_NAME})?$"

_SEPARATED = r"^(?P<Y>[0-9]{4})[-/.](?P<m>[0-9]{1,2})[-/.](?P<d>[0-9]{1,2})"
_DIGITS = rf"^(?P<Y>[0-9]{{4}})(?P<m>{_TWO})(?P<d>{_TWO})"
_DAY_FIRST = rf"^{_WEEKDAY}(?P<d>[0-9]{{1,2}})(?:\.?\s+|[-/.])(?P<b>{_MONTH})\.?(?:,?\s+|[-/.])(?P<Y>[0-9]{{4}})"
_MONTH_FIRST = rf"^{_WEEKDAY}(?P<b>{_MONTH})\.?\s+(?P<d>[0-9]{{1,2}})(?:,\s*|\s+)(?P<Y>[0-9]{{4}})"

_CLOCK = rf"{_AFTER_DAY}(?P<H>{_HOUR}|[0-9]):(?P<M>{_SIXTY})(?::{_SECONDS})?{_OFFSET}"
_HOUR_OF_12 = rf"(?P<I>0?[1-9]|1[0-2])(?::(?P<M>{_SIXTY})(?::{_SECONDS})?)?\s*(?P<p>(?i:[AP]\.?\s?M\.?))"
_HALF_DAY = rf"{_BLANKS}{_HOUR_OF_12}{_OFFSET}"
_CLOCK_DIGITS = rf"{_AFTER_DAY}(?P<H>{_HOUR})(?P<M>{_SIXTY})(?:{_SECONDS})?{_OFFSET}"
# No offset in digits may follow: 10-05 may be five past ten.
_HOUR_ALONE = rf"{_AFTER_DAY}(?P<H>{_HOUR})(?:\s*(?P<z>(?i:Z|UTC|GMT)))?$"

ISO_8601 = rf"{_SEPARATED}(?:{_CLOCK}|$)"
"""The usual form."""

OTHER_FORMS = (
    *(_SEPARATED + clock for clock in (_HALF_DAY, _CLOCK_DIGITS, _HOUR_ALONE)),
    *(
        day + clock
        for day in (_DIGITS, _DAY_FIRST, _MONTH_FIRST)
        for clock in ("$", _CLOCK, _HALF_DAY, _CLOCK_DIGITS, _HOUR_ALONE)
    ),
    # The timestamp of SAP, LDAP and MySQL.
    rf"{_DIGITS}(?P<H>{_HOUR})(?P<M>{_SIXTY}){_SECONDS}{_OFFSET}",
    # The timestamp of DB2.
    rf"^(?P<Y>[0-9]{{4}})-(?P<m>{_TWO})-(?P<d>{_TWO})-(?P<H>{_HOUR})\.(?P<M>{_SIXTY})\.{_SECONDS}$",
)
"""No text has two of them."""


def alternatives(patterns: Iterable[str]) -> str:
    """A pattern with one group for each of these. The group of the first one that a text matches has the text."""
    return "|".join(f"({re.sub('[(][?]P<[a-zA-Z]>', '(?:', pattern)})" for pattern in patterns)
