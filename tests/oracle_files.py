"""How a transactions file is read: bytes in, numbered rows out, by the contract alone.

What to call
    read_file(content)               bytes -> TransactionFile(header, rows, ignored_columns), or raises Refused
    trim, ascii_lower, heading_key   how values and headings are compared

Decided here, where the contract leaves room
    Format   Gzip is unpacked, and what is not gzip is read, whatever the file is called. UTF-16 with a
             byte order mark is decoded. A file without any LF whose lines end with CR is read as if they were LF.
             A workbook, an archive, JSON, XML and the like are refused as what they are. 0x1A at the end of the
             file is its end. `sep=x` on line 1 names the delimiter and is no header.
    Header   The first record with a value. Headings are compared without case, blanks, hyphens, underscores
             and `#`. Two headings that are one of the contract's are refused; any other may repeat.
    Lines    End with LF or CRLF. A lone CR ends nothing. The 1 MiB limit counts the bytes of one
             physical line up to its LF, so with a CR ahead of it and with the byte order mark.
    Quotes   A field that starts with a quote, blanks aside, ends at the next quote that is not doubled; then come
             blanks, and a comma or the end of the line. Anything else makes the line malformed, and reading
             goes on with the next line. A quote inside a field that does not start with one is text in an
             ignored column and makes the row malformed in any other, but for Excel's `="0012"`.
             So does a backslash at the end of a field of the contract, in a record with `\\"`.
    Spans    Only a field of an ignored column may go on beyond its line, at most 1 MiB, in a record that is
             closed soundly and as wide as the header. Otherwise its first line is malformed and the next lines
             are read by themselves.
    Hidden   Where a record of several lines has more than one line that a person would call a row, or one that
             lies wholly inside a field, the file is refused; also where its last line is a sale by itself, but
             three or more fields of the contract stand ahead of it, or where a date, with what is read beside it,
             can be seen on more than one of its lines. A row, to a person, is a line as wide as the
             header (without its quotes, with them, or with a quote added at its end) or one that holds a sale:
             the contract's fields in the header's order, ids of one word, a quantity with a digit and no
             letter, and a date with its signs between digits. A single line in which there are two sales is malformed.
    Second   A row among whose fields are all the headings that are read, in any order, is a second header.
    Wide     Where every row has one field too many, and it is empty, that field is passed over.
    Again    A header with all three columns that the rejected file adds is a rejected file uploaded again:
             from every heading and every field in it that begins with an apostrophe, more of them or none,
             and then one of FORMULA_SIGNS, one apostrophe is taken off before it is looked at.
    Blank    A record without any value is no row.
    Breaks   Only LF, CR and NUL inside a trimmed value of the contract are malformed; other controls are text.
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
    "other_format",
    "empty_file",
    "not_utf8",
    "line_too_long",
    "hidden_row",
    "other_delimiter",
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
        return tuple(trim(name) for name in self.header if heading_key(name) not in _WANTED)


def trim(text: str) -> str:
    """The text without Unicode White_Space at either end (str.strip knows four characters too many)."""
    return text.strip(_WHITE_SPACE)


def ascii_lower(text: str) -> str:
    """The text with A-Z made small and everything else untouched."""
    return "".join(chr(ord(letter) + 32) if "A" <= letter <= "Z" else letter for letter in text)


def heading_key(heading: str) -> str:
    """What a heading is compared by."""
    return "".join(letter for letter in heading.lower() if letter not in _WHITE_SPACE + "-_#\ufeff")


def as_shown(text: str) -> str:
    """The text as the rejected file shows it: one apostrophe more where a spreadsheet would run it."""
    return "'" + text if _is_formula(text.lstrip("'")) else text


def as_dropped(text: str) -> str:
    """The text that the rejected file shows as this one."""
    return text[1:] if text.startswith("'") and _is_formula(text.lstrip("'")) else text


def _is_formula(text: str) -> bool:
    return text != "" and text[0] in FORMULA_SIGNS


_WANTED = {name.replace("_", ""): name for name in SOURCE_COLUMNS}
_OTHER_FORMATS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0", b"%PDF", b"<", b'{"', b"[{", b"BZh")


@dataclass(frozen=True)
class _Record:
    line: int
    """Of its first physical line, from 0."""
    text: str
    fields: tuple[str, ...] | None
    """None where it is malformed."""


class _Malformed(Exception):
    pass


class _Reader:
    """The records of a text, for one delimiter."""

    def __init__(self, text: str, delimiter: str) -> None:
        self.lines = [line.removesuffix("\r") for line in text.split("\n")]
        self.delimiter = delimiter

    def fields(self, text: str) -> list[tuple[str, bool]]:
        """Each field and whether it was quoted; raises _Malformed."""
        found: list[tuple[str, bool]] = []
        at = 0
        while True:
            start = at
            while at < len(text) and text[at] in _WHITE_SPACE and text[at] != self.delimiter and text[at] != "\n":
                at += 1
            is_quoted = text.startswith('"', at)
            if is_quoted:
                value, at = _quoted(text, at)
                while at < len(text) and text[at] in _WHITE_SPACE and text[at] != self.delimiter and text[at] != "\n":
                    at += 1
                if at < len(text) and text[at] != self.delimiter:
                    raise _Malformed
            else:
                stop = text.find(self.delimiter, start)
                at = len(text) if stop < 0 else stop
                value = text[start:at]
            found.append((value, is_quoted))
            if at == len(text):
                return found
            at += 1

    def values(self, text: str) -> tuple[str, ...] | None:
        """The fields of a record, None where it is malformed."""
        try:
            return tuple(value for value, _ in self.fields(text))
        except _Malformed:
            return None

    def header(self, first: int) -> tuple[int, tuple[str, ...] | None, int]:
        """(the line of the header, its fields, the line behind it)"""
        while first < len(self.lines) and self.is_blank(self.lines[first]):
            first += 1
        if first == len(self.lines):
            return first, (), first
        last = first
        while True:
            values = self.values("\n".join(self.lines[first : last + 1]))
            if values is not None:
                hides_row = any("\n" in value and value.count(self.delimiter) >= 3 for value in values)
                return (first, None, first + 1) if hides_row else (first, values, last + 1)
            last += 1
            if last >= len(self.lines) or last - first > 20 or not self.may_go_on(first, last):
                return first, None, first + 1

    def may_go_on(self, first: int, last: int) -> bool:
        """Whether the lines before `last` end inside a quoted field."""
        return self.values("\n".join([*self.lines[first:last], '"'])) is not None

    def is_blank(self, line: str) -> bool:
        values = self.values(line)
        return values is not None and all(trim(value) == "" for value in values)

    def records(self, first: int, header: tuple[str, ...], width: int) -> list[_Record]:
        """The records below the header; raises Refused where one hides a row."""
        found = []
        while first < len(self.lines):
            last = self.last_line(first, header, width)
            text = "\n".join(self.lines[first : last + 1])
            fields = self.values(text)
            is_blank = fields is not None and all(trim(value) == "" for value in fields)
            if not is_blank:
                crowded = last == first and self.sales(text, header) > 1
                sound = fields is not None and len(fields) == width and not crowded
                sound = sound and not self.has_stray_quote(text, header)
                found.append(_Record(first, text, fields if sound else None))
            first = last + 1
        return found

    def last_line(self, first: int, header: tuple[str, ...], width: int) -> int:
        """The last line of the record that begins here: the first one again unless it may span lines."""
        size = len(self.lines[first].encode("utf-8", "surrogateescape"))
        for last in range(first, len(self.lines)):
            if last > first:
                size += 1 + len(self.lines[last].encode("utf-8", "surrogateescape"))
            try:
                fields = self.fields("\n".join(self.lines[first : last + 1]))
            except _Malformed:
                if size > LONGEST_LINE or not self.may_go_on(first, last + 1):
                    return first
                continue
            spans = [at for at, (value, _) in enumerate(fields) if "\n" in value]
            names = [heading_key(header[at]) if at < len(header) else "" for at in spans]
            if last == first or len(fields) != width or any(name in _WANTED for name in names):
                return first
            if self.has_stray_quote("\n".join(self.lines[first : last + 1]), header):
                return first
            rows = [self.rows(line, header, width) for line in self.lines[first : last + 1]]
            inside = ['"' not in line.replace('""', "") for line in self.lines[first : last + 1]]
            read = [at for at, heading in enumerate(header) if heading_key(heading) in _WANTED]
            ahead = [at for at in read if at < spans[-1]]
            is_sale_already = self.sales(self.lines[last], header) and len(ahead) >= 3
            cores = self.cores(self.lines[first : last + 1], header)
            is_hidden = any(seen and within for seen, within in zip(rows[1:-1], inside[1:-1]))
            if is_hidden or is_sale_already or cores > 1 or sum(rows) > 1:
                raise Refused("hidden_row")
            return last
        return first

    def has_stray_quote(self, text: str, header: tuple[str, ...]) -> bool:
        """Whether a quote stands in a field of the contract that is not quoted, or a backslash before its end."""
        named = zip(header, self.fields(text))
        return any(
            ('"' in value and not quoted and not re.fullmatch('="[^"]*"', trim(value)))
            or ('\\"' in text and value.endswith("\\"))
            for heading, (value, quoted) in named
            if heading_key(heading) in _WANTED
        )

    def rows(self, line: str, header: tuple[str, ...], width: int) -> int:
        """How many rows a person sees in a line."""
        bare = line.replace('"', "")
        readings = (bare.split(self.delimiter), self.values(line), self.values(line + '"'))
        is_wide = any(reading is not None and len(reading) == width for reading in readings)
        has_value = any(map(trim, readings[0]))
        return max(self.sales(line, header), int(is_wide and has_value))

    def sales(self, line: str, header: tuple[str, ...]) -> int:
        """0, 1, or 2 for more than one."""
        if line.count(self.delimiter) < len(SOURCE_COLUMNS) - 1:
            return 0
        return self.count(line.replace('"', ""), _groups(header), header)

    def cores(self, lines: list[str], header: tuple[str, ...]) -> int:
        """In how many lines the date stands, with what is side by side with it."""
        (dated,) = (group for group in _groups(header) if "transaction_date" in group)
        if dated == _groups(header)[0] and dated[0] == "transaction_id":
            return sum(self.has(line.replace('"', ""), [dated], header) for line in lines)
        return sum(self.windows(line.replace('"', ""), dated, dated == _groups(header)[-1]) > 0 for line in lines)

    def windows(self, text: str, group: list[str], is_last: bool) -> int:
        """How often the columns of a group stand side by side in a text."""
        values, at, found = text.split(self.delimiter), 0, 0
        while at + len(group) <= len(values):
            fits = _fits(group, values[at:], False, is_last)
            found += fits
            at += len(group) if fits else 1
        return min(found, 2)

    def count(self, text: str, groups: list[list[str]], header: tuple[str, ...]) -> int:
        """How often these columns stand in a text, each time behind the last: 0, 1, or 2 for more."""
        if not self.has(text, groups, header):
            return 0
        if text.count(self.delimiter) < 2 * sum(map(len, groups)) - 2:
            return 1
        places = range(1, len(text))
        both = (self.has(text[:at], groups, header) and self.has(text[at:], groups, header) for at in places)
        return 2 if any(both) else 1

    def has(self, text: str, groups: list[list[str]], header: tuple[str, ...]) -> bool:
        """Whether the columns stand in the text in this order, those of a group side by side."""
        values = text.split(self.delimiter)
        at = 0
        for number, group in enumerate(groups):
            is_first, is_last = number == 0, group == _groups(header)[-1]
            while at + len(group) <= len(values) and not _fits(group, values[at:], is_first, is_last):
                at += 1
            if at + len(group) > len(values):
                return False
            at += len(group)
        return True


def _groups(header: tuple[str, ...]) -> list[list[str]]:
    """The columns of the contract in the header's order, those that stand side by side together."""
    groups: list[list[str]] = [[]]
    for heading in header:
        if heading_key(heading) in _WANTED:
            groups[-1].append(_WANTED[heading_key(heading)])
        elif groups[-1]:
            groups.append([])
    return [group for group in groups if group]


def _fits(group: list[str], values: list[str], is_first: bool, is_last: bool) -> bool:
    """Whether values look like these columns. A sale may begin within a value, and end within one."""
    for at, (column, value) in enumerate(zip(group, values)):
        begins, ends = is_first and at == 0, is_last and at == len(group) - 1
        is_word = begins or ends or not any(space in trim(value) for space in _WHITE_SPACE)
        looks = {
            "transaction_id": trim(value) != "" and is_word,
            "customer_id": is_word,
            "product_id": is_word,
            "quantity": re.search(r"^[^A-Za-z]*\d" + ("" if ends else "[^A-Za-z]*$"), value),
            "transaction_date": re.search(r"\d[-/:]\d|\d[.]\d\d?[.]\d", value),
            "status": True,
        }
        if not looks[column]:
            return False
    return True


def _quoted(text: str, start: int) -> tuple[str, int]:
    at = start + 1
    while True:
        at = text.find('"', at)
        if at < 0:
            raise _Malformed
        if not text.startswith('""', at):
            return text[start + 1 : at].replace('""', '"'), at + 1
        at += 2


def _has_long_line(content: bytes) -> bool:
    return any(len(line) > LONGEST_LINE for line in content.split(b"\n"))


def _text(content: bytes, kinds: set[str]) -> str:
    """The content as text, its faults added to the kinds."""
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        content = content.decode("utf-16").encode("utf-8")
    if b"\n" not in content and b"\r" in content:
        content = content.replace(b"\r", b"\n")
    if _has_long_line(content):
        kinds.add("line_too_long")
    content = content.removeprefix(_BYTE_ORDER_MARK)
    if content.rstrip(b"\r\n").endswith(b"\x1a"):
        content = content.rstrip(b"\r\n").rstrip(b"\x1a")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        kinds.add("not_utf8")
        return content.decode("utf-8", "surrogateescape")


def with_mark(content: bytes) -> bytes:
    """The content; with its byte order mark where it begins with eight ASCII letters of UTF-16 that lack one."""
    for zeros, letters, mark in ((1, 0, b"\xff\xfe"), (0, 1, b"\xfe\xff")):
        first = content[letters:16:2]
        if content[zeros:16:2] == bytes(8) and all(byte == 9 or 32 <= byte < 127 for byte in first):
            return mark + content
    return content


def read_file(content: bytes) -> TransactionFile:
    """The header and the rows of a transactions file, or Refused with everything wrong with its shape."""
    while content[:2] == b"\x1f\x8b":
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error):
            raise Refused("broken_gzip") from None
    content = with_mark(content)
    if content.removeprefix(_BYTE_ORDER_MARK).lstrip().startswith(_OTHER_FORMATS):
        raise Refused("other_format")
    kinds: set[str] = set()
    is_utf16 = content[:2] in (b"\xff\xfe", b"\xfe\xff")
    text = _text(content, kinds)
    separator = re.match('"?sep=([^\\w"])"?\\s*?\r?(?:\n|$)', text, re.IGNORECASE)
    delimiter = separator.group(1) if separator else ","
    reader = _Reader(text, delimiter)
    first = 1 if separator else 0
    line, fields, below = reader.header(first)
    if is_utf16 and fields is not None and len(fields) == 1 and "\t" in text.split("\n")[line]:
        reader = _Reader(text, "\t")
        line, fields, below = reader.header(first)
    if line == len(reader.lines):
        raise Refused(*kinds, "empty_file")
    header = _header(fields or ())
    kinds.update(_wrong_with_header(fields, header, reader.lines[line], reader.delimiter))
    rows: list[Row] = []
    if not kinds:
        width = _width(reader, below, header)
        try:
            rows = [_row(record, header) for record in reader.records(below, header, width)]
        except Refused as refused:
            kinds.update(refused.kinds)
        if any(_is_header(row, header, reader) for row in rows):
            kinds.add("second_header")
    if kinds:
        raise Refused(*kinds)
    return TransactionFile(header=header, rows=tuple(rows))


def _width(reader: _Reader, below: int, header: tuple[str, ...]) -> int:
    """How many fields a row must have: one more than the header where that one is empty in every row."""
    wider = len(header) + 1
    try:
        records = reader.records(below, header, wider)
    except Refused:
        return len(header)
    first = next((record.fields for record in records), None)
    if first is None or any(record.fields and trim(record.fields[-1]) for record in records):
        return len(header)
    malformed = [reader.values(record.text) or () for record in records if record.fields is None]
    return len(header) if any(len(values) == len(header) for values in malformed) else wider


def _header(fields: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(map(as_dropped, fields)) if _is_rejected_file(fields) else fields


def _is_rejected_file(header: tuple[str, ...]) -> bool:
    return set(REJECTED_COLUMNS) <= {ascii_lower(trim(heading)) for heading in header}


def _wrong_with_header(fields: tuple[str, ...] | None, header: tuple[str, ...], text: str, delimiter: str) -> list[str]:
    if fields is None:
        return ["malformed_header"]
    names = [heading_key(heading) for heading in header]
    wrong = []
    if any(name in _WANTED and names.count(name) > 1 for name in names):
        wrong.append("duplicate_column")
    if not set(_WANTED) <= set(names):
        wrong.append("missing_column")
        if any(sign in text for sign in ",;\t|" if sign != delimiter):
            wrong.append("other_delimiter")
    return wrong


def _is_header(row: Row, header: tuple[str, ...], reader: _Reader) -> bool:
    values = (reader.values(row.text) or ()) if row.malformed else row.fields
    return set(_WANTED) <= {heading_key(value) for value in values if len(value) < 1000}


def _row(record: _Record, header: tuple[str, ...]) -> Row:
    line = record.line + 1
    unreadable = Row(source_line=line, fields=(), text=record.text, values={})
    if record.fields is None:
        return unreadable
    fields = record.fields[: len(header)]
    if _is_rejected_file(header):
        fields = tuple(map(as_dropped, fields))
    by_name = dict(zip([heading_key(heading) for heading in header], fields))
    values = {column: trim(by_name[key]) for key, column in _WANTED.items()}
    if any(forbidden in value for value in values.values() for forbidden in "\n\r\0"):
        return unreadable
    return Row(source_line=line, fields=fields, text=record.text, values=values)


def read_cells(content: bytes) -> list[tuple[str, ...]]:
    """The records of a sound CSV, as the csv module reads them (which before Python 3.11 takes no NUL)."""
    reader = _Reader(content.decode("utf-8").removesuffix("\n"), ",")
    cells, first = [], 0
    while first < len(reader.lines):
        last = first
        while True:
            values = reader.values("\n".join(reader.lines[first : last + 1]))
            last += 1
            if values is not None:
                break
        cells.append(values)
        first = last
    return cells
