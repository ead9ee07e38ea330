"""Finds all faults that keep a file from being read: encoding, delimiter, headings, dates.

Each fault says what is wrong, where, and how to fix it: a change of the file, or a setting of its source. `pipeline
check` shows the same faults before anything is uploaded.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice

from jobs.csv.content import Content
from jobs.csv.header import Header
from jobs.csv.inspection import NotUtf8
from jobs.csv.layout import Columns
from jobs.csv.records import WHITE_SPACE, Dialect
from jobs.errors import FileRefused
from schemas.counted import counted
from schemas.sources import ISO, SourceSettings, heading_key

MAX_COLUMNS = 1000

_SIGN_NAMES = {",": "a comma", ";": "a semicolon", "\t": "a tab", "|": "a vertical bar"}
_HEADINGS_OF = {"quantity": "columns", "price": "products"}
"""A column that identifies a kind of file -> the setting that names that kind's headings."""
_ENCODINGS = {"cp1252": "Windows-1252", "mac_roman": "Mac OS Roman", "cp850": "code page 850 of DOS"}
_LETTERS = "äöüßéèêëáàâãåæçíìîïñóòôõøœúùûÄÖÜÉÈÁÀÅÆÇÑÓØŒÚ"
_IN_A_WORD = re.compile(f"(?<=[A-Za-z])[{_LETTERS}]|[{_LETTERS}](?=[a-z])")
_SAMPLE_BYTES = 64 * 1024
_SAMPLE_LINES = 100
_SHOWN_HEADINGS = 30
_IS_VALUE = re.compile(r"@|^\s*[+-]?\d[\d.,:/TZ +-]*$|^\s*[A-Za-z]{1,3}-?\d+\s*$")
"""An e-mail address, a number, a date or an id: a heading is none of these."""
_ISO_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong with a file's shape."""

    sentence: str
    """Where the fault is and what is wrong."""
    remedy: str
    """How to fix it."""
    setting: tuple[str, object] | None = None
    """The source setting with which the file can be read, if there is one."""


def refuse_faults(name: str, faults: Sequence[Fault]) -> None:
    """Raises FileRefused with one sentence that names all faults."""
    if len(faults) == 1:
        raise FileRefused(f"{name}, {faults[0].sentence}; {faults[0].remedy}, and upload the file again")
    if faults:
        listed = "; ".join(f"({at}) {fault.sentence}: {fault.remedy}" for at, fault in enumerate(faults, start=1))
        raise FileRefused(f"{name} cannot be read for {len(faults)} reasons: {listed}; then upload the file again")


def find_faults(
    content: Content, header: Header, not_utf8: NotUtf8 | None, columns: Columns, settings: SourceSettings
) -> list[Fault]:
    """All faults in the shape of a file that has a header."""
    with content.open("rb") as file:
        sample = file.read(_SAMPLE_BYTES)
    text = sample.decode("utf-8" if not_utf8 is None else likely_encoding(sample) or "cp1252", "replace").removeprefix(
        "\ufeff"
    )
    lines = [line.removesuffix("\r") for line in text.split("\n")[:_SAMPLE_LINES]]
    faults = [_encoding_fault(not_utf8, sample)] if not_utf8 is not None else []
    dialect = _likely_dialect(header, columns)
    if dialect.split(header.text) is None:
        remedy = "fix the header"
        return [*faults, Fault(f"line {header.line}: a quote in the header is out of place or not closed", remedy)]
    headings = _headings(header, dialect)
    if len(headings) > MAX_COLUMNS:
        most = f"at most {MAX_COLUMNS:,} are read"
        return [
            *faults,
            Fault(
                f"line {header.line}: the header has {counted(len(headings), 'column')} and {most}",
                "delete columns that are not needed",
            ),
        ]
    if dialect != header.dialect:
        faults.append(_delimiter_fault(header.line, header.dialect, dialect))
    faults += _heading_faults(header, headings, lines, dialect, columns)
    faults += _date_faults(header, headings, lines, dialect, columns, settings) if faults else []
    return faults


def _encoding_fault(not_utf8: NotUtf8, sample: bytes) -> Fault:
    where = f"line {not_utf8.line}: the byte 0x{not_utf8.byte:02x} is not UTF-8 ({not_utf8.reason})"
    if sample.count(b"\0") * 3 > len(sample):
        return Fault(f"{where}; it looks like UTF-16 without its byte order mark", "save the file as UTF-8")
    encoding = likely_encoding(sample)
    if encoding is None:
        return Fault(where, "save the file as UTF-8")
    remedy = f"save the file as UTF-8, or set `encoding: {encoding}` in the source's settings"
    return Fault(f"{where} but may be {_ENCODINGS[encoding]}", remedy, ("encoding", encoding))


def likely_encoding(sample: bytes) -> str | None:
    """The encoding of text that is not UTF-8, by the letters that it would have; None where none fits."""
    letters: dict[str, int] = {}
    for encoding in _ENCODINGS:
        with suppress(UnicodeDecodeError):
            letters[encoding] = len(_IN_A_WORD.findall(sample.decode(encoding)))
    # The first of equals; any bytes are text of Mac OS, so only its letters show it.
    best = max(letters, key=lambda encoding: letters[encoding])
    return best if letters[best] or best == "cp1252" else None


def _likely_dialect(header: Header, columns: Columns) -> Dialect:
    """The header's own dialect, or one with a delimiter that splits the header better."""
    # Several blanks in a row are columns of a fixed width.
    is_fixed_width = "  " in header.text
    unusual = [
        sign for sign in dict.fromkeys(header.text) if _is_delimiter(sign) and not (sign == " " and is_fixed_width)
    ]
    signs = dict.fromkeys([*_SIGN_NAMES, *unusual])
    alternatives = [replace(header.dialect, delimiter=sign) for sign in signs if sign != header.dialect.quote]

    def rank(dialect: Dialect) -> tuple[int, bool]:
        missing, is_unusual = len(columns.missing(_headings(header, dialect))), dialect.delimiter not in _SIGN_NAMES
        # A blank splits `Variant Price` too, and a stray tab a header with an open quote: such a sign must show most of
        # the wanted headings.
        is_doubtful = is_unusual or header.fields is None
        if is_doubtful and dialect != header.dialect and missing * 2 >= len(columns.headings):
            missing = len(columns.headings) + 1
        # One heading alone is unlikely, so a usual delimiter that splits it is preferred.
        return missing, is_unusual or len(_headings(header, dialect)) < 2

    return min([header.dialect, *alternatives], key=rank)


def _is_delimiter(sign: str) -> bool:
    """True for a sign that the settings allow as a delimiter and that no heading contains."""
    return not (sign.isalnum() or sign in "_-.'\r\n\0\x1a\ufeff\ufffd")


def _headings(header: Header, dialect: Dialect) -> tuple[str, ...]:
    if dialect == header.dialect:
        return header.fields or ()
    return tuple(dialect.split(header.text) or ())


def _delimiter_fault(line: int, declared_dialect: Dialect, dialect: Dialect) -> Fault:
    actual, declared = dialect.delimiter, declared_dialect.delimiter
    expected = _SIGN_NAMES.get(declared, repr(declared))
    return Fault(
        f"line {line}: its columns are separated by {_sign(actual)}, not by {expected}",
        f"save it with {expected}, or set `delimiter: {_yaml(actual)}` in the source's settings",
        ("delimiter", actual),
    )


def _heading_faults(
    header: Header, headings: Sequence[str], lines: Sequence[str], dialect: Dialect, columns: Columns
) -> list[Fault]:
    where = f"line {header.line}"
    faults = []
    twice = columns.written_twice(headings)
    if twice:
        spellings = "two spellings of one heading, so it is unclear which is meant"
        sentence = f"{where}: the header has {_quoted(twice)}, {spellings}"
        faults.append(Fault(sentence, "keep one of them"))
    missing = columns.missing(headings)
    if not missing:
        return faults
    if "\r" in header.text:
        sentence = f"{where}: it has carriage returns without line feeds, the line ends of an old Mac"
        return [*faults, Fault(sentence, "save the file with line feeds (in Excel: CSV UTF-8, not CSV Macintosh)")]
    if "\0" in header.text:
        return [*faults, Fault(f"{where}: the header has NUL characters", "export the file as plain text")]
    later = _later_header(header, lines, dialect, columns)
    if later is not None:
        number, of_header = later
        above = Fault(
            f"{where}: the header is not here; the wanted headings are on line {number}",
            f"delete the lines above it, or set `skip_rows: {number - 1}` in the source's settings",
            ("skip_rows", number - 1),
        )
        return [*faults, above, *([] if of_header == dialect else [_delimiter_fault(number, dialect, of_header)])]
    observed = f"its headings are {_quoted(headings)}"
    if any(map(_IS_VALUE.search, headings)):
        # Not shown: a row may hold personal data.
        observed = "it looks like a row of data: is the header missing?"
    elif len(headings) == 1 and dialect.delimiter in header.text:
        observed = "the whole line is quoted, so it is one heading: remove the quotes around it"
    elif len(headings) == 1:
        observed = f"it has no delimiter, only {_quoted(headings)}"
    wanted = ", ".join(columns.headings.values())
    sentence = f"{where}: the header lacks {_quoted(missing)}; {observed}; wanted are {wanted}, in any order"
    setting = next((setting for column, setting in _HEADINGS_OF.items() if column in columns.wanted), "customers")
    remedy = f"fix the header, or name its headings under `{setting}` in the source's settings"
    return [*faults, Fault(sentence, remedy)]


def _later_header(
    header: Header, lines: Sequence[str], dialect: Dialect, columns: Columns
) -> tuple[int, Dialect] | None:
    """The line that has the wanted headings, if it is not the first, and the dialect that splits it."""
    dialects = [dialect, *(replace(dialect, delimiter=sign) for sign in _SIGN_NAMES if sign != dialect.quote)]
    for number, line in enumerate(lines[header.line :], start=header.line + 1):
        for other in dialects:
            if not columns.missing(other.split(line) or ()):
                return number, other
    return None


def _date_faults(
    header: Header,
    headings: Sequence[str],
    lines: Sequence[str],
    dialect: Dialect,
    columns: Columns,
    settings: SourceSettings,
) -> list[Fault]:
    """Finds a date in the first rows that does not match the settings; reported beside other faults."""
    wanted = columns.wanted.get("transaction_date", ())
    keys = [heading_key(heading) for heading in headings]
    if settings.date_formats != (ISO,) or len(wanted) != 1 or heading_key(wanted[0]) not in keys:
        return []
    at = keys.index(heading_key(wanted[0]))
    for number, line in islice(enumerate(lines, start=1), header.line, None):
        values = dialect.split(line)
        value = values[at].strip(WHITE_SPACE) if values is not None and len(values) == len(headings) else ""
        if re.search(r"\d", value) and not _ISO_DAY.match(value):
            sentence = f"line {number}: {wanted[0]} {value[:40]!r} is not written as YYYY-MM-DD, with an optional time"
            remedy = "write dates in that form, or name their form under `date_formats` in the source's settings"
            return [Fault(sentence, remedy)]
    return []


def _quoted(names: Sequence[str]) -> str:
    headings = ", ".join(repr(name.strip(WHITE_SPACE)[:40]) for name in names[:_SHOWN_HEADINGS])
    return headings + (f" and {len(names) - _SHOWN_HEADINGS} more" if len(names) > _SHOWN_HEADINGS else "")


def _yaml(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _sign(sign: str) -> str:
    return f"{sign!r} ({_SIGN_NAMES[sign]})" if sign in _SIGN_NAMES else repr(sign)
