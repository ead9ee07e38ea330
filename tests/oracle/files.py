"""Reads a transactions file by the contract alone: bytes in, numbered rows out.

What to call
    read_file(content)               bytes -> TransactionFile(header, rows, ignored_columns), or raises Refused

Decided here, where the contract leaves room
    Format   Gzip is unpacked, and what is not gzip is read, whatever the file is called. UTF-16 with a
             byte order mark is decoded. A file without any LF whose lines end with CR is read as if they were LF.
             A workbook, an archive, JSON, XML and the like are refused as what they are. 0x1A at the end of the
             file is its end. `sep=x` on line 1 names the delimiter and is no header,
             whatever delimiters follow.
    Header   The first record with a value. Headings are compared without case, blanks, hyphens, underscores
             and `#`. Two headings that are one of the contract's are refused; any other may repeat.
    Lines    A line ends with LF or CRLF. A lone CR ends nothing. The limit of 1 MiB counts the bytes of one
             physical line up to its LF. A CR before it and the byte order mark count too.
    Quotes   A field may start with a quote, blanks aside. It ends at the next quote that is not doubled.
             Then come blanks, and a comma or the end of the line. Anything else makes the line malformed, and
             reading continues with the next line. In any other field a quote is text if the column is ignored,
             and makes the row malformed if it is not. Excel's `="0012"` is the exception. A backslash at the end
             of a field of the contract makes a record with `\\"` malformed too.
    Spans    Only a field of an ignored column may continue beyond its line, for at most 1 MiB. Its record must be
             closed soundly and be as wide as the header. Otherwise its first line is malformed, and each of the
             next lines is read alone.
    Hidden   A person calls a line a row if it is as wide as the header: without its quotes, with them, or with a
             quote added at its end. A line that holds a sale is a row too. It has the contract's fields in the
             header's order, ids of one word, a quantity with a digit and no letter, and a date with its signs
             between digits. Three kinds of record of several lines refuse the file. The first has more than one
             such line, or one that is wholly inside a field. In the second the last line is a sale, and three or
             more fields of the contract are before it. In the third a date, with what is read beside it, is
             visible on more than one line. A single line with two sales is malformed
             if it has as many delimiters as a whole row and the contract's fields of another.
    Second   A row that holds all the headings that are read, in any order, is a second header.
    Wide     If every row has fields that the header lacks, and they are empty, they are ignored. So are empty
             headings if no row has a field for them.
    Again    A header with all three columns that the rejected file adds belongs to a rejected file that is
             uploaded again. Each heading and field may begin with apostrophes (or none) before one of
             FORMULA_SIGNS. If there is an apostrophe, one is removed before the value is read.
    Blank    A record without any value is no row.
    Breaks   Only LF, CR and NUL inside a trimmed value of the contract are malformed; other controls are text.
    Refusals `Refused.kinds` names everything that is wrong with the file, `Refused.kind` the first of
             them in the order of REFUSALS. The product may stop at whichever it meets first.
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.oracle.records import LONGEST_LINE, Reader, Record
from tests.oracle.text import REJECTED_COLUMNS, WANTED, Refused, as_dropped, ascii_lower, heading_key, trim

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Row:
    """One record below the header: where it starts, its fields and its text as they stood."""

    source_line: int
    fields: tuple[str, ...]
    """Every field in the file's order, unquoted and untrimmed; empty if the row cannot be read. Of a rejected
    file dropped again: as they were before they were rejected."""
    text: str
    """The unchanged record, quotes and inner line ends included, without its own line end."""
    values: Mapping[str, str]
    """The six values, trimmed, by column; empty for a malformed row."""

    @property
    def malformed(self) -> bool:
        return not self.values


@dataclass(frozen=True)
class TransactionFile:
    """A file of valid shape: its unchanged header and its rows."""

    header: tuple[str, ...]
    rows: tuple[Row, ...]

    @property
    def ignored_columns(self) -> tuple[str, ...]:
        """Names of the columns that are none of the six, trimmed, in the file's order."""
        return tuple(trim(name) for name in self.header if heading_key(name) not in WANTED)


_FIRST_BYTES = """
    504b0304 504b0506 d0cf11e0 25504446 50415231 53514c69746520666f726d61742033 28b52ffd 425a68 fd377a585a 04224d18
    ff060000734e61507059 1f9d 2d2d2d2d2d424547494e20504750 4152524f5731 53455106 5047444d50 377abcaf 52617221 7b5c727466
    4f626a01 89504e47 ffd8ff 47494638 76657273696f6e2068747470733a2f2f6769742d6c6673 4f5243
"""
"""Of a zip archive, an empty one, Excel 97, PDF, Parquet, SQLite, Zstandard, bzip2, xz, LZ4, Snappy, compress, PGP,
Arrow, Hadoop, PostgreSQL, 7-Zip, RAR, RTF, Avro, PNG, JPEG, GIF, Git LFS and ORC."""
_OTHER_FORMATS = re.compile(b"|".join(re.escape(bytes.fromhex(sign)) for sign in _FIRST_BYTES.split()))
_OTHER_TEXTS = re.compile(rb"(?:\xef\xbb\xbf)?\s*(?:<|[{\[]\s*[\"{}\[\]])")


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
    if _OTHER_FORMATS.match(content) or _OTHER_TEXTS.match(content):
        raise Refused("other_format")
    kinds: set[str] = set()
    is_utf16 = content[:2] in (b"\xff\xfe", b"\xfe\xff")
    text = _text(content, kinds)
    separator = re.match(r'"?sep=([^\w"\r\n])"?(?:[^\S\n]|[,;|])*?\r?(?:\n|$)', text, re.IGNORECASE)
    delimiter = separator.group(1) if separator else ","
    reader = Reader(text, delimiter)
    first = 1 if separator else 0
    line, fields, below = reader.header(first)
    if is_utf16 and fields is not None and len(fields) == 1 and "\t" in text.split("\n")[line]:
        reader = Reader(text, "\t")
        line, fields, below = reader.header(first)
    if line == len(reader.lines):
        raise Refused(*kinds, "empty_file")
    header = _header(fields or ())
    kinds.update(_wrong_with_header(fields, header, reader.lines[line], reader.delimiter))
    rows: list[Row] = []
    if not kinds:
        width = _width(reader, below, header)
        try:
            header = header[:width]
            rows = [_row(record, header) for record in reader.records(below, header, width)]
        except Refused as refused:
            kinds.update(refused.kinds)
        if any(_is_header(row, header, reader) for row in rows):
            kinds.add("second_header")
    if kinds:
        raise Refused(*kinds)
    return TransactionFile(header=header, rows=tuple(rows))


def _width(reader: Reader, below: int, header: tuple[str, ...]) -> int:
    """The number of fields a row must have: that of the first row, if the surplus headings or values are empty."""
    first = _first_values(reader, below)
    width = len(header) if first is None else len(first)
    if first is None or any(map(trim, (*first[len(header) :], *header[width:]))):
        return len(header)
    try:
        records = reader.records(below, header, width)
    except Refused:
        return len(header)
    if any(any(map(trim, record.fields[len(header) :])) for record in records if record.fields):
        return len(header)
    malformed = [reader.values(record.text) or () for record in records if record.fields is None]
    return len(header) if any(len(values) == len(header) for values in malformed) else width


def _first_values(reader: Reader, below: int) -> Sequence[str] | None:
    """Those of the first line with a value."""
    for line in reader.lines[below:]:
        values = reader.values(line.removesuffix("\r"))
        if values is None or any(map(trim, values)):
            return values
    return None


def _header(fields: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(map(as_dropped, fields)) if _is_rejected_file(fields) else fields


def _is_rejected_file(header: tuple[str, ...]) -> bool:
    return set(REJECTED_COLUMNS) <= {ascii_lower(trim(heading)) for heading in header}


def _wrong_with_header(fields: tuple[str, ...] | None, header: tuple[str, ...], text: str, delimiter: str) -> list[str]:
    if fields is None:
        return ["malformed_header"]
    names = [heading_key(heading) for heading in header]
    wrong = []
    if any(name in WANTED and names.count(name) > 1 for name in names):
        wrong.append("duplicate_column")
    if not set(WANTED) <= set(names):
        wrong.append("missing_column")
        if any(sign in text for sign in ",;\t|" if sign != delimiter):
            wrong.append("other_delimiter")
    return wrong


def _is_header(row: Row, header: tuple[str, ...], reader: Reader) -> bool:
    values = (reader.values(row.text) or ()) if row.malformed else row.fields
    return set(WANTED) <= {heading_key(value) for value in values if len(value) < 1000}


def _row(record: Record, header: tuple[str, ...]) -> Row:
    line = record.line + 1
    unreadable = Row(source_line=line, fields=(), text=record.text, values={})
    if record.fields is None:
        return unreadable
    fields = record.fields[: len(header)]
    if _is_rejected_file(header):
        fields = tuple(map(as_dropped, fields))
    by_name = dict(zip([heading_key(heading) for heading in header], fields))
    values = {column: trim(by_name[key]) for key, column in WANTED.items()}
    if any(forbidden in value for value in values.values() for forbidden in "\n\r\0"):
        return unreadable
    return Row(source_line=line, fields=fields, text=record.text, values=values)


def read_cells(content: bytes) -> list[tuple[str, ...]]:
    """The records of a sound CSV, as the csv module reads them (which before Python 3.11 takes no NUL)."""
    reader = Reader(content.decode("utf-8").removesuffix("\n"), ",")
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
