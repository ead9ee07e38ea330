"""The header: its line, and the check for a second header further down."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import BinaryIO

import polars as pl

from jobs.csv.content import Content
from jobs.csv.formulas import unguard_text
from jobs.csv.layout import Layout
from jobs.csv.records import MAX_RECORD_BYTES, WHITE_SPACE, Dialect
from jobs.errors import FileRefused
from schemas.rejected_file import REJECT_REASONS_COLUMN, REJECTED_FILE_COLUMNS, SOURCE_LINE, SOURCE_TEXT
from schemas.sources import NOT_IN_HEADING_KEY, SourceSettings, heading_key

MOST_BLANK_LINES = 10_000
"""At most so many lines without a value are skipped above the header."""

_MOST_HEADER_LINES = 20
_FEWEST_IN_A_ROW = 3
"""A heading of several lines with so many delimiters contains a row by mistake."""
_SEPARATOR_LINE = re.compile(r'"?sep=([^\w"])"?[\s,;|]*', re.IGNORECASE)
"""Excel's first line. Delimiters follow it where a sheet was saved again."""
_BYTE_ORDER_MARK = "\ufeff"


@dataclass(frozen=True)
class Header:
    """The first record of a file that has a value."""

    dialect: Dialect
    text: str
    fields: tuple[str, ...] | None
    """None where a quote is out of place."""
    line: int
    """The physical line on which it begins; 0 in a file without lines."""
    data_offset: int
    """The offset of the first byte after it."""
    data_line: int

    @property
    def is_rejected_file(self) -> bool:
        """True for a rejected file that was corrected and uploaded: some of its apostrophes are ours."""
        keys = {heading.strip(WHITE_SPACE).lower() for heading in self.fields or ()}
        return set(REJECTED_FILE_COLUMNS) <= keys


def read_header(content: Content, settings: SourceSettings, end: int) -> Header:
    """Read the header below the rows that the settings skip, below `sep=` and below blank lines.

    A rejected file always has the contract's dialect, not the source's.
    """
    dialect = Dialect.of(settings)
    rejected = _header(content, Dialect(), 0, end)
    header = rejected if rejected.is_rejected_file else _header(content, dialect, settings.skip_rows, end)
    if header.is_rejected_file:
        return replace(header, fields=tuple(map(unguard_text, header.fields or ())))
    return header


def _header(content: Content, dialect: Dialect, skip_rows: int, end: int) -> Header:
    with content.open("rb") as file:
        lines = _lines(file, end)
        for number, line in lines:
            separator = _SEPARATOR_LINE.fullmatch(line) if number == 1 else None
            if separator is not None:
                dialect = replace(dialect, delimiter=separator.group(1))
            elif number - skip_rows > MOST_BLANK_LINES:
                break
            elif number > skip_rows and not re.match(dialect.without_value, line):
                text, last = _record(line, number, lines, dialect)
                fields = dialect.split(text)
                return Header(dialect, text, None if fields is None else tuple(fields), number, file.tell(), last + 1)
    return Header(dialect, "", (), 0, end, 1)


def _lines(file: BinaryIO, end: int) -> Iterator[tuple[int, str]]:
    """Physical lines from 1 on, without their ends; bytes that are no UTF-8 are replaced."""
    number = 0
    # readline, since iteration over a file reads ahead and hides the position.
    while file.tell() < end:
        raw = file.readline(min(end - file.tell(), MAX_RECORD_BYTES))
        number += 1
        line = raw.decode("utf-8", "replace").removesuffix("\n").removesuffix("\r")
        yield number, line.removeprefix(_BYTE_ORDER_MARK) if number == 1 else line


def _record(line: str, number: int, lines: Iterator[tuple[int, str]], dialect: Dialect) -> tuple[str, int]:
    """The record and its end. A heading may hold line breaks; if the lines below look like rows, its quote is an
    error."""
    if dialect.split(line) is not None or not dialect.quote or not re.match(dialect.opens, line):
        return line, number
    text = line
    for last, more in lines:
        text += "\n" + more
        fields = dialect.split(text)
        if fields is not None:
            hides_row = any("\n" in field and field.count(dialect.delimiter) >= _FEWEST_IN_A_ROW for field in fields)
            return (line, number) if hides_row else (text, last)
        if last - number >= _MOST_HEADER_LINES:
            break
    return line, number


def refuse_second_header(rows: pl.DataFrame, layout: Layout, file_name: str) -> None:
    """Refuse two files joined into one: columns below a second header may have another order, which no other check
    sees.

    `rows` have the file's own columns and SOURCE_LINE; rejected ones have their reasons. Raises FileRefused where the
    values of a row are the headings that are read, in any order.
    """
    wanted = {heading_key(heading) for heading, name in zip(layout.header, layout.names) if name in layout.read}
    shaped = [name for name in layout.names if name in rows.columns]
    texts = [SOURCE_TEXT] if SOURCE_TEXT in rows.columns else []
    if REJECT_REASONS_COLUMN in rows.columns:
        # No heading is a date.
        reasons = pl.col(REJECT_REASONS_COLUMN).str
        rows = rows.filter(reasons.contains_any(["malformed_row", "invalid_transaction_date"]))
    # A cheap first filter: few rows contain the longest heading.
    squeezed = pl.concat_str([*shaped, *texts], ignore_nulls=True).str.replace_all(rf"[\s{NOT_IN_HEADING_KEY}]", "")
    has_longest = squeezed.str.to_lowercase().str.contains(max(wanted, key=len), literal=True)
    for row in rows.filter(has_longest).iter_rows(named=True):
        values: Sequence[str | None] = [row[name] for name in shaped]
        if row.get(SOURCE_TEXT) is not None:
            values = layout.dialect.split(row[SOURCE_TEXT]) or ()
        if wanted <= {heading_key(value) for value in values if value}:
            raise FileRefused(
                f"{file_name}, line {row[SOURCE_LINE]}: the header is written a second time; "
                "two files were joined into one: take it out, or upload them one by one"
            )
