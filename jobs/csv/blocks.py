"""Blocks of whole lines, about CHUNK_BYTES each, and the rows that Polars reads from lines without quotes."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from typing import BinaryIO

import polars as pl

from jobs.csv.formulas import unguard
from jobs.csv.layout import Layout
from jobs.csv.records import WHITE_SPACE
from schemas.rejected_file import SOURCE_LINE, SOURCE_TEXT

CHUNK_BYTES = 16 * 1024 * 1024
CHUNK_VALUES = 2_400_000
"""A line of commas alone is short in the file and long in memory."""

IS_MALFORMED = "is_malformed"

_OVERFLOW = "overflow"


def whole_lines(file: BinaryIO, *, end: int, width: int) -> Iterator[tuple[bytes, int]]:
    """The file from its position up to the byte `end`: blocks of whole lines, each with its number of lines.

    The last line may lack its line feed.
    """
    most_lines = max(CHUNK_VALUES // width, 1)
    left = end - file.tell()
    while left > 0:
        block = file.read(min(left, CHUNK_BYTES))
        if not block.endswith(b"\n"):
            block += file.readline(left - len(block))
        left -= len(block)
        lines = block.count(b"\n")
        if lines <= most_lines:
            yield block, lines
        else:
            yield from _cut(block, len(block) * most_lines // lines, most_lines)


def _cut(block: bytes, room: int, most_lines: int) -> Iterator[tuple[bytes, int]]:
    """The block in pieces of about `room` bytes and at most `most_lines` lines."""
    start = 0
    while start < len(block):
        piece = block[start : block.find(b"\n", start + max(room, 1) - 1) + 1 or len(block)]
        lines = piece.count(b"\n")
        if lines > most_lines:
            room = room * most_lines // lines
            continue
        yield piece, lines
        start += len(piece)


def read_csv(
    block: bytes, layout: Layout, *, quote: str | None = None, columns: list[int] | None = None
) -> pl.DataFrame:
    """One row of text for each line; short records are padded with nulls, long ones cut."""
    return pl.read_csv(
        shielded(block),
        has_header=False,
        schema={name: pl.String() for name in (*layout.names, _OVERFLOW)},
        columns=columns,
        separator=layout.dialect.delimiter,
        quote_char=quote,
        truncate_ragged_lines=True,
        # Whatever follows is faster on whole columns.
        rechunk=True,
        raise_if_empty=False,
    )


def shielded(block: bytes) -> bytes:
    """The block, with a second byte order mark if it begins with one: Polars removes the first of every block."""
    return codecs.BOM_UTF8 + block if block.startswith(codecs.BOM_UTF8) else block


def lines_of(block: bytes) -> pl.Series:
    """Each line as text without its end, null where it is blank."""
    separator = next((mark for mark in "\0\1\2\3\4\5\6\7" if mark.encode() not in block), None)
    if separator is None:
        return pl.Series([line or None for line in block.decode("utf-8").split("\n")[:-1]], dtype=pl.String())
    # Polars skips blank lines before the first record, but gives a null for any other.
    data = block.lstrip(b"\n")
    schema = {"line": pl.String()}
    lines = pl.DataFrame(schema=schema)
    if data:
        lines = pl.read_csv(
            shielded(data), has_header=False, schema=schema, quote_char=None, separator=separator, raise_if_empty=False
        )
    blank = pl.DataFrame({"line": [None] * (len(block) - len(data))}, schema=schema)
    return pl.concat([blank, lines]).to_series()


def plain_frame(block: bytes, first_line: int, layout: Layout) -> pl.DataFrame:
    """One row for each line of a block without quotes; a blank line is malformed and has no text.

    The block must not begin with a blank line.
    """
    frame = read_csv(block, layout)
    columns = list(layout.names)
    # Polars silently pads a short record and cuts a long one. Arithmetic detects it: if the fields and the separators
    # add up to the line, nothing was padded or cut.
    found_bytes = frame.select(pl.sum_horizontal(pl.col(columns).str.len_bytes()) + (len(columns) - 1)).to_series()
    line_ends = frame.height + (block.count(b"\r") if b"\r" in block else 0)
    malformed, text = pl.lit(False), pl.lit(None, dtype=pl.String)
    # A padded record counts too many bytes and a cut one too few, so the sum alone proves nothing. But a padded one
    # has no last value.
    if frame.get_column(columns[-1]).null_count() or found_bytes.sum() + line_ends != len(block):
        lines = lines_of(block)
        if lines.len() != frame.height:
            raise AssertionError(f"from line {first_line}: {frame.height} records were read from {lines.len()} lines")
        malformed = pl.lit((lines.str.len_bytes() != found_bytes).fill_null(True))
        text = pl.when(malformed).then(pl.lit(lines))
    return frame.select(
        pl.int_range(first_line, first_line + pl.len(), dtype=pl.Int64).alias(SOURCE_LINE),
        malformed.alias(IS_MALFORMED),
        text.alias(SOURCE_TEXT),
        *columns,
    )


def unguarded(frame: pl.DataFrame, layout: Layout) -> pl.DataFrame:
    """The values of a rejected file without its added apostrophes; any other frame unchanged."""
    return frame.with_columns(unguard(name) for name in layout.names) if layout.is_rejected_file else frame


def without_blank_records(frame: pl.DataFrame, layout: Layout) -> pl.DataFrame:
    """The frame without records that have no value: spreadsheets write rows of delimiters alone."""
    is_malformed, first = frame.get_column(IS_MALFORMED), frame.get_column(layout.first_read)
    blanks: list[pl.Series] = []
    if is_malformed.any():
        texts = frame.get_column(SOURCE_TEXT).filter(is_malformed)
        is_blank = texts.is_null() | texts.str.contains(layout.dialect.without_value)
        blanks.append(is_malformed.arg_true().filter(is_blank.fill_null(True)))
    # Few rows lack their first value, so only those are looked at further. Comparing costs less than trimming.
    may_be_blank = first.is_null() | (first < "!") | (first > "~")
    if may_be_blank.any():
        values = pl.col(list(layout.names)).str.strip_chars(WHITE_SPACE).str.len_bytes()
        has_none = ~pl.col(IS_MALFORMED) & (pl.sum_horizontal(values) == 0)
        is_blank = frame.filter(may_be_blank).select(has_none).to_series()
        blanks.append(may_be_blank.arg_true().filter(is_blank))
    where = pl.concat(blanks).sort() if blanks else None
    if where is None or where.is_empty():
        return frame
    return frame.filter(pl.repeat(True, frame.height, dtype=pl.Boolean(), eager=True).scatter(where, False))
