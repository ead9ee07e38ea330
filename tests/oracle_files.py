"""How a transactions file is read: bytes in, numbered rows out, by the contract alone.

What to call
    read_file(content, gz=False)     bytes -> TransactionFile(header, rows, ignored_columns), or raises Refused
    trim, ascii_lower, column_name   how values and headings are compared

Decided here, where the contract leaves room
    Header   The header is the record that starts on line 1. Names are trimmed and compared without
             regard to ASCII case. Any name that occurs twice is refused, an ignored one too; headings
             that are empty may repeat, since spreadsheets leave commas behind.
             A first line that is blank is a header without columns (missing_column); content of
             nothing but line feeds and carriage returns, or of a byte order mark alone, is an empty file.
             The delimiter is the comma and nothing else. One byte order mark is dropped, a second is text.
    Lines    End with LF or CRLF. A lone CR ends nothing. The 1 MiB limit counts the bytes of one
             physical line up to its LF, so with a CR ahead of it and with the byte order mark; a quoted
             field may span several such lines.
    Quotes   A field that starts with a quote ends at the next quote that is not doubled; then comes a
             comma, a line end or the end of the file. Anything else makes the record malformed, it
             ends with the physical line on which that was seen, and reading goes on with the next.
             A quote inside a field that does not start with one is text.
    Second   A row whose six values are the names of the six columns, compared as headings are, is a second
             header: the file is refused. A malformed row has no values, so it is none.
    Again    A header with all three columns that the rejected file adds is a rejected file dropped again:
             from every heading and every field in it that begins with an apostrophe, more of them or none,
             and then one of FORMULA_SIGNS, one apostrophe is taken off before it is looked at.
    Blank    A record that is one empty field is no row (`""` alone on a line is one as well); a line
             of spaces is a malformed row.
    Breaks   Only LF, CR and NUL inside a trimmed value are malformed; other controls are text.
    Refusals `Refused.kinds` names everything that is wrong with the file, `Refused.kind` the first of
             them in the order of REFUSALS. The product may stop at whichever it meets first.
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

SOURCE_COLUMNS = ("transaction_id", "customer_id", "product_id", "quantity", "transaction_date", "status")
REFUSALS = (
    "broken_gzip",
    "empty_file",
    "not_utf8",
    "line_too_long",
    "unclosed_quote",
    "malformed_header",
    "duplicate_column",
    "missing_column",
    "second_header",
    "too_many_rejected",
)
REJECTED_COLUMNS = ("source_line", "reject_reasons", "source_text")
"""What the rejected file adds to the columns of its drop."""
FORMULA_SIGNS = "=+-@＝＋－＠\t\r\n\0"
"""What a spreadsheet takes for the beginning of a formula, or passes over before one (OWASP)."""

LONGEST_LINE = 1024 * 1024

_WHITE_SPACE = (
    "\t\n\x0b\x0c\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_FIELD_END = re.compile(",|\r?\n")
_LINE_END = re.compile("\r?\n")


class Refused(Exception):
    """The load of this file fails and nothing is loaded; `kind` says why, `kinds` all the reasons why."""

    def __init__(self, *kinds: str) -> None:
        self.kinds = frozenset(kinds)
        self.kind = next(kind for kind in REFUSALS if kind in self.kinds)
        super().__init__(", ".join(kind for kind in REFUSALS if kind in self.kinds))


@dataclass(frozen=True)
class Row:
    """One record below the header: where it starts, its fields and its text as they stood."""

    source_line: int
    fields: tuple[str, ...]
    """Every field in the file's order, unquoted and untrimmed; empty if the row cannot be read. Of a rejected
    file dropped again: as they were before they were rejected."""
    text: str
    """The record as it stood, quotes and inner line ends included, without the line end behind it."""
    values: Mapping[str, str]
    """The six values, trimmed, by column; empty for a malformed row."""

    @property
    def malformed(self) -> bool:
        return not self.values


@dataclass(frozen=True)
class TransactionFile:
    """A file whose shape is sound: its header as it stood and its rows."""

    header: tuple[str, ...]
    rows: tuple[Row, ...]

    @property
    def ignored_columns(self) -> tuple[str, ...]:
        """Names of the columns that are none of the six, trimmed, in the file's order."""
        return tuple(trim(name) for name in self.header if column_name(name) not in SOURCE_COLUMNS)


def trim(text: str) -> str:
    """The text without Unicode White_Space at either end (str.strip knows four characters too many)."""
    return text.strip(_WHITE_SPACE)


def ascii_lower(text: str) -> str:
    """The text with A-Z made small and everything else untouched."""
    return "".join(chr(ord(letter) + 32) if "A" <= letter <= "Z" else letter for letter in text)


def column_name(heading: str) -> str:
    """What a heading is compared by."""
    return ascii_lower(trim(heading))


def as_shown(text: str) -> str:
    """The text as the rejected file shows it: one apostrophe more where a spreadsheet would run it."""
    return "'" + text if _is_formula(text.lstrip("'")) else text


def as_dropped(text: str) -> str:
    """The text that the rejected file shows as this one."""
    return text[1:] if text.startswith("'") and _is_formula(text.lstrip("'")) else text


def _is_formula(text: str) -> bool:
    return text != "" and text[0] in FORMULA_SIGNS


@dataclass(frozen=True)
class _Record:
    start: int
    end: int
    next_start: int
    fields: tuple[str, ...] | None


class _UnclosedQuote(Exception):
    pass


def _read_record(text: str, start: int) -> _Record:
    fields: list[str] = []
    at = start
    while True:
        if text.startswith('"', at):
            value, at = _read_quoted(text, at)
            if at < len(text) and not _FIELD_END.match(text, at):
                line_end = _LINE_END.search(text, at)
                end, next_start = line_end.span() if line_end else (len(text), len(text))
                return _Record(start, end, next_start, None)
        else:
            field_end = _FIELD_END.search(text, at)
            stop = field_end.start() if field_end else len(text)
            value, at = text[at:stop], stop
        fields.append(value)
        if text.startswith(",", at):
            at += 1
            continue
        line_end = _LINE_END.match(text, at)
        return _Record(start, at, line_end.end() if line_end else at, tuple(fields))


def _read_quoted(text: str, start: int) -> tuple[str, int]:
    at = start + 1
    while True:
        at = text.find('"', at)
        if at < 0:
            raise _UnclosedQuote
        if not text.startswith('""', at):
            return text[start + 1 : at].replace('""', '"'), at + 1
        at += 2


def _read_records(text: str) -> tuple[list[_Record], bool]:
    """The records, and whether the last of them is followed by a quote that never ends."""
    records: list[_Record] = []
    at = 0
    while at < len(text):
        try:
            record = _read_record(text, at)
        except _UnclosedQuote:
            return records, True
        records.append(record)
        at = record.next_start
    return records, False


def _has_long_line(content: bytes) -> bool:
    return any(len(line) > LONGEST_LINE for line in content.split(b"\n"))


def read_file(content: bytes, gz: bool = False) -> TransactionFile:
    """The header and the rows of a transactions file, or Refused with everything wrong with its shape."""
    if gz:
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error):
            raise Refused("broken_gzip") from None
    kinds = set()
    if _has_long_line(content):
        kinds.add("line_too_long")
    content = content.removeprefix(_BYTE_ORDER_MARK)
    if not content:
        raise Refused("empty_file")

    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        kinds.add("not_utf8")
        text = content.decode("utf-8", "surrogateescape")
    records, unclosed = _read_records(text)
    if unclosed:
        kinds.add("unclosed_quote")
    elif not text.strip("\r\n") or all(record.fields == ("",) for record in records):
        kinds.add("empty_file")
    header: tuple[str, ...] = ()
    rows: list[Row] = []
    if records:
        header = _header(records[0].fields or ())
        wrong = _wrong_with_header(records[0].fields, header)
        kinds.update(wrong)
        if not wrong:
            rows = _rows(text, records, header)
    if any(_is_header(row) for row in rows):
        kinds.add("second_header")
    if kinds:
        raise Refused(*kinds)
    return TransactionFile(header=header, rows=tuple(rows))


def _header(fields: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(map(as_dropped, fields)) if _is_rejected_file(fields) else fields


def _is_rejected_file(header: tuple[str, ...]) -> bool:
    return set(REJECTED_COLUMNS) <= {column_name(heading) for heading in header}


def _wrong_with_header(fields: tuple[str, ...] | None, header: tuple[str, ...]) -> list[str]:
    if fields is None:
        return ["malformed_header"]
    names = [column_name(heading) for heading in header]
    wrong = []
    if any(name and names.count(name) > 1 for name in names):
        wrong.append("duplicate_column")
    if not set(SOURCE_COLUMNS) <= set(names):
        wrong.append("missing_column")
    return wrong


def _rows(text: str, records: list[_Record], header: tuple[str, ...]) -> list[Row]:
    rows = []
    line = 1
    for record, following in zip(records, [*records[1:], None]):
        if record is not records[0] and record.fields != ("",):
            rows.append(_row(text[record.start : record.end], record.fields, header, line))
        if following is not None:
            line += text.count("\n", record.start, following.start)
    return rows


def _is_header(row: Row) -> bool:
    return not row.malformed and all(column_name(row.values[column]) == column for column in SOURCE_COLUMNS)


def _row(text: str, fields: tuple[str, ...] | None, header: tuple[str, ...], source_line: int) -> Row:
    unreadable = Row(source_line=source_line, fields=(), text=text, values={})
    if fields is None or len(fields) != len(header):
        return unreadable
    if _is_rejected_file(header):
        fields = tuple(map(as_dropped, fields))
    by_name = dict(zip([column_name(heading) for heading in header], fields))
    values = {column: trim(by_name[column]) for column in SOURCE_COLUMNS}
    if any(forbidden in value for value in values.values() for forbidden in "\n\r\0"):
        return unreadable
    return Row(source_line=source_line, fields=fields, text=text, values=values)


def read_cells(content: bytes) -> list[tuple[str, ...]]:
    """The records of a sound CSV, as the csv module reads them (which before Python 3.11 takes no NUL)."""
    records, unclosed = _read_records(content.decode("utf-8"))
    assert not unclosed
    assert None not in [record.fields for record in records]
    return [record.fields or () for record in records]
