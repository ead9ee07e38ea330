"""Reads a date as docs/rows.md has it: taken apart from its end, one word after the other."""

from __future__ import annotations

import re
from datetime import date, datetime, time, timedelta

from tests.oracle.text import WHITE_SPACE, trim

MONTHS = (
    *("january", "february", "march", "april", "may", "june"),
    *("july", "august", "september", "october", "november", "december"),
)
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_SHORT_WEEKDAYS = {"tues": "tue", "wednes": "wed", "thurs": "thu", "satur": "sat"}
_ONE_NUMBER = re.compile("([0-9]{8})([0-9]{6}(?:[.,][0-9]+)?)")
_DB2 = re.compile("([0-9]{4}-[0-9]{2}-[0-9]{2})-([0-9]{2})[.]([0-9]{2})[.]([0-9]{2}(?:[.,][0-9]+)?)")
_AHEAD = re.compile("([+−-])(?:([0-9]{2}):?([0-9]{2})|([0-9]):([0-9]{2})|([0-9]{1,2}))")


def read_written_date(text: str) -> tuple[datetime, timedelta | None] | None:
    """The date and time as written, and the offset behind it, if any; None for anything else."""
    for end in range(len(text), 3, -1):
        # The longest date is the one that is meant: 2023-03-15 is more than 2023-03-1.
        day = _day(text[:end])
        if day is not None:
            at = _time(text[end:])
            if at is not None:
                clock, offset = at
                return datetime.combine(day, clock), offset
    one_number, db2 = _ONE_NUMBER.match(text), _DB2.fullmatch(text)
    if db2:
        return read_written_date(f"{db2[1]} {db2[2]}:{db2[3]}:{db2[4]}")
    if one_number:
        return read_written_date(f"{one_number[1]} {one_number[2]}{text[one_number.end() :]}")
    return None


def _day(text: str) -> date | None:
    numbers = re.fullmatch("([0-9]{4})[-/.]([0-9]{1,2})[-/.]([0-9]{1,2})", text) or re.fullmatch(
        "([0-9]{4})([0-9]{2})([0-9]{2})", text
    )
    if numbers:
        return _calendar(*map(int, numbers.groups()))
    blank = f"[{WHITE_SPACE}]"
    weekday = re.match(f"([A-Za-z]+),?{blank}+", text)
    if weekday and _weekday(weekday[1]) is not None:
        named = _named_day(text[weekday.end() :])
        return named if named is not None and named.weekday() == _weekday(weekday[1]) else None
    return _named_day(text)


def _named_day(text: str) -> date | None:
    blank = f"[{WHITE_SPACE}]"
    day_first = re.fullmatch(
        f"([0-9]{{1,2}})(?:[.]?{blank}+|[-/.])([A-Za-z]+)[.]?(?:,?{blank}+|[-/.])([0-9]{{4}})", text
    )
    if day_first:
        return _calendar(int(day_first[3]), _month(day_first[2]), int(day_first[1]))
    month_first = re.fullmatch(f"([A-Za-z]+)[.]?{blank}+([0-9]{{1,2}})(?:,{blank}*|{blank}+)([0-9]{{4}})", text)
    if month_first:
        return _calendar(int(month_first[3]), _month(month_first[1]), int(month_first[2]))
    return None


def _month(word: str) -> int:
    """0 where it is none."""
    lowered = "september" if word.lower() == "sept" else word.lower()
    return next((at for at, name in enumerate(MONTHS, start=1) if lowered in (name, name[:3])), 0)


def _weekday(word: str) -> int | None:
    lowered = word.lower()
    stem = lowered[:-3] if lowered.endswith("day") else lowered
    stem = _SHORT_WEEKDAYS.get(stem, stem)
    return next((at for at, name in enumerate(WEEKDAYS) if stem == name[:3]), None)


def _calendar(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None


def _time(text: str) -> tuple[time, timedelta | None] | None:
    """The text after a day: nothing, or a time and perhaps an offset."""
    if not text:
        return time(), None
    is_t = text[0] in "Tt"
    start = re.match(f"[Tt]|,?[{WHITE_SPACE}]+(?:[Aa][Tt][{WHITE_SPACE}]+)?", text)
    if not start:
        return None
    rest = text[start.end() :]
    for end in range(len(rest), 0, -1):
        clock = _clock(rest[:end])
        if clock is None or (is_t and rest[:end][-1].upper() in "M."):
            continue
        offset = _offset(rest[end:])
        # An hour alone has no offset in digits behind it.
        is_hour_alone = len(rest[:end]) == 2
        if offset is not None and not (is_hour_alone and rest[end:] and trim(rest[end:]).upper() not in _WORDS):
            return clock, offset if rest[end:] else None
    return None


_WORDS = ("Z", "UTC", "GMT")


def _clock(text: str) -> time | None:
    half = re.fullmatch(f"(.*?)[{WHITE_SPACE}]*([AaPp])[.]?[{WHITE_SPACE}]?[Mm][.]?", text, re.DOTALL)
    if half:
        numbers = re.fullmatch("([0-9]{1,2})(?::([0-9]{2})(?::([0-9]{2})(?:[.,]([0-9]+))?)?)?", half[1])
        if not numbers or not 1 <= int(numbers[1]) <= 12:
            return None
        hour = int(numbers[1]) % 12 + (12 if half[2] in "Pp" else 0)
        return _of_parts(str(hour), *numbers.groups()[1:])
    numbers = (
        re.fullmatch("([0-9]{1,2}):([0-9]{2})(?::([0-9]{2})(?:[.,]([0-9]+))?)?", text)
        or re.fullmatch("([0-9]{2})([0-9]{2})(?:([0-9]{2})(?:[.,]([0-9]+))?)?", text)
        or re.fullmatch("([0-9]{2})()()()", text)
    )
    return _of_parts(*numbers.groups()) if numbers else None


def _of_parts(hour: str, minute: str | None, second: str | None, fraction: str | None) -> time | None:
    try:
        return time(int(hour), int(minute or 0), int(second or 0), int((fraction or "")[:6].ljust(6, "0")))
    except ValueError:
        return None


def _offset(text: str) -> timedelta | None:
    """None where this is no offset; zero where there is none."""
    if not text:
        return timedelta(0)
    # The name of a zone, in brackets beside the offset or in parentheses, adds nothing.
    named = re.fullmatch(rf"(.*?)(?:\[[^\[\]]+\]|[{WHITE_SPACE}]*\([^()]+\))", text, re.DOTALL)
    bare = (named[1] if named else text).lstrip(WHITE_SPACE).upper()
    if bare in _WORDS:
        return timedelta(0)
    ahead = _AHEAD.fullmatch(bare[3:] if bare[:3] in ("UTC", "GMT") else bare)
    if not ahead:
        return None
    hours, minutes = int(ahead[2] or ahead[4] or ahead[6]), int(ahead[3] or ahead[5] or 0)
    if hours > 23 or minutes > 59:
        return None
    offset = timedelta(hours=hours, minutes=minutes)
    return offset if ahead[1] == "+" else -offset
