"""The values that a source's settings may have, one reader for each kind of value.

Each reader takes a value parsed from YAML or JSON and returns the setting, or raises WrongValue.
"""

from __future__ import annotations

import codecs
import re
import warnings
import zoneinfo
from collections.abc import Iterable
from datetime import date, datetime, timezone
from typing import Any

DATE_DIRECTIVES = {
    "%Y": r"[0-9]{4}",
    "%y": r"[0-9]{2}",
    "%m": r"(?:0?[1-9]|1[0-2])",
    "%d": r"(?:0?[1-9]|[12][0-9]|3[01])",
    "%H": r"(?:[01]?[0-9]|2[0-3])",
    "%I": r"(?:0?[1-9]|1[0-2])",
    "%M": r"[0-5][0-9]",
    "%S": r"[0-5][0-9]",
    "%f": r"[0-9]{1,9}",
    "%p": r"(?i:AM|PM)",
    "%b": r"(?i:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)",
    "%B": r"(?i:January|February|March|April|May|June|July|August|September|October|November|December)",
    "%z": r"(?:Z|[+-](?:[01][0-9]|2[0-3]):?[0-5][0-9])",
    "%%": "%",
}
"""Directive of a date format -> the pattern it matches. `%m`, `%d`, `%H` and `%I` may lack their leading zero, but not
directly beside another directive."""

ID_BYTES = 64
"""Bytes of the warehouse's id columns."""

_PADDED = {"%m": r"(?:0[1-9]|1[0-2])", "%d": r"(?:0[1-9]|[12][0-9]|3[01])", "%H": r"(?:[01][0-9]|2[0-3])"}
_PADDED["%I"] = _PADDED["%m"]
_SAMPLES = (datetime(2023, 3, 15, 21, 5, 59), datetime(2024, 11, 1, 0, 30, 7), datetime(1999, 12, 31, 12, 0, 1))


class WrongValue(ValueError):
    """`value` is not what is `wanted`."""

    def __init__(self, value: object, wanted: str) -> None:
        self.value, self.wanted = value, wanted
        super().__init__(f"{value!r} is not {wanted}")


def quoted(words: Iterable[str]) -> str:
    return ", ".join(repr(word) for word in words)


def text(value: object) -> str:
    if not isinstance(value, str):
        raise WrongValue(value, "a text; put it in quotes")
    # YAML and JSON can write half a surrogate pair, which no file can hold.
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise WrongValue(value, "a text of whole characters")
    return value


def text_list(value: object) -> tuple[str, ...]:
    if not isinstance(value, (list, tuple)):
        raise WrongValue(value, "a list of texts")
    return tuple(text(entry) for entry in value)


def heading_list(value: object) -> tuple[str, ...]:
    """One heading, or a list of them, each with a letter or digit and none twice."""
    headings = tuple(entry.strip() for entry in ((value,) if isinstance(value, str) else text_list(value)))
    for heading in headings:
        if not re.search(r"[^\W_]", heading):
            raise WrongValue(heading, "a heading")
    if len({heading.lower() for heading in headings}) < len(headings):
        raise WrongValue(value, "different headings")
    return headings


def one_character(value: object) -> str:
    """A mark of the file's format: no letter, digit, line break or NUL."""
    if not isinstance(value, str) or len(value) != 1 or text(value).isalnum() or value in "\r\n\0\ufeff\x1a":
        raise WrongValue(value, "one character that is no letter, digit or line break; put it in quotes")
    return value


def identifier(value: object) -> str:
    """A trimmed id, empty or short enough for its column."""
    id_ = text(value).strip()
    if len(id_.encode("utf-8")) > ID_BYTES:
        raise WrongValue(value, f"at most {ID_BYTES} bytes")
    return id_


def truth(value: object) -> bool:
    if not isinstance(value, bool):
        raise WrongValue(value, "true or false")
    return value


def whole_number(value: object, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
        raise WrongValue(value, f"a whole number from 0 to {most}")
    return value


def day(value: object) -> date:
    """A day; YAML reads `2020-01-31` as one already."""
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    try:
        return datetime.strptime(text(value), "%Y-%m-%d").date()
    except ValueError:
        raise WrongValue(value, "a day, YYYY-MM-DD") from None


def encoding(value: object) -> str:
    """Python's name for an encoding. It must be UTF-16 or contain ASCII unchanged, so that delimiters can be found."""
    try:
        codec = codecs.lookup(text(value))
        name = "utf-8" if codec.name == "utf-8-sig" else codec.name
        if name in ("utf-16", "utf-16-le", "utf-16-be") or _holds_ascii(name):
            return name
    # A name with a NUL raises ValueError; so does a value that is no text, which has its own sentence.
    except (LookupError, ValueError) as reason:
        if isinstance(reason, WrongValue):
            raise
    raise WrongValue(value, "an encoding that Python knows and that holds ASCII, or utf-16, such as utf-8 or cp1252")


def _holds_ascii(name: str) -> bool:
    # A stateful encoding gives ASCII bytes another meaning after an escape.
    samples = (bytes(range(128)), b"\x1b$B!!\x1b(B\x1b$)C\x0e!!\x0f", b"\\x41 \\u0041 \\N{DIGIT ONE} &#65; +AGE-")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return all(sample.decode(name) == sample.decode("ascii") for sample in samples)
    # A codec from bytes to bytes raises LookupError here; others raise various errors.
    except Exception:
        return False


def time_zone(value: object) -> str:
    """A name of the time zone database, such as Europe/Berlin, or UTC."""
    name = text(value)
    try:
        if name == "UTC" or ("/" in name and zoneinfo.ZoneInfo(name).key == name):
            return name
    # A name can also be a path outside the database, a folder, or a file that is not a time zone.
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        pass
    raise WrongValue(value, "UTC or a name of the time zone database, such as Europe/Berlin")


def date_format(value: str) -> str:
    """A date format that reads back what it writes, so a text has only one reading."""
    unknown = [directive for directive in re.findall("%.?", value) if directive not in DATE_DIRECTIVES]
    if unknown:
        raise WrongValue(value, f"made of {' '.join(DATE_DIRECTIVES)}, but has {unknown[0]!r}")
    if value != value.strip():
        raise WrongValue(value, "without blanks at its ends")
    if not all(_is_read_back(value, sample) for sample in _SAMPLES):
        raise WrongValue(value, "a format with year, month and day, each once, and with a time also the hour")
    return value


def _is_read_back(format_: str, sample: datetime) -> bool:
    """True if the day, and every part of the time that the format names, is read back."""
    try:
        written = sample.replace(tzinfo=timezone.utc).strftime(format_)
        read_back = datetime.strptime(written, format_).replace(tzinfo=None)
    except (ValueError, re.error):
        return False
    has_time = re.search("%[HIMSfp]", format_)
    return read_back == datetime(
        sample.year,
        sample.month,
        sample.day,
        sample.hour if has_time else 0,
        sample.minute if "%M" in format_ else 0,
        sample.second if "%S" in format_ else 0,
    )


def date_pattern(format_: str) -> str:
    """The regular expression that a date in this format matches, for Python's `re` and for Polars alike.

    Each directive is a group named after its letter.
    """
    tokens: list[Any] = re.findall("%.|[^%]", format_)
    parts = []
    for position, token in enumerate(tokens):
        beside = tokens[max(position - 1, 0) : position] + tokens[position + 1 : position + 2]
        is_crowded = any(
            other.isdigit() or (other.startswith("%") and other not in ("%%", "%p", "%z")) for other in beside
        )
        patterns = _PADDED if is_crowded and token in _PADDED else DATE_DIRECTIVES
        is_part = token in patterns and token != "%%"
        parts.append(f"(?P<{token[1]}>{patterns[token]})" if is_part else patterns.get(token, re.escape(token)))
    return f"^{''.join(parts)}$"
