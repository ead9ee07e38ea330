"""Blocks of whole lines, about CHUNK_BYTES each, and the rows that Polars reads from lines without quotes."""

from __future__ import annotations

import codecs
import re
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
_FEW_RECORDS = 2_000
"""Looking at so many one by one costs less than dividing a block into lines."""


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
    data, blank_lines = _without_blank_start(block)
    schema = {"line": pl.String()}
    lines = pl.DataFrame(schema=schema)
    if data:
        lines = pl.read_csv(
            shielded(data), has_header=False, schema=schema, quote_char=None, separator=separator, raise_if_empty=False
        )
    blank = pl.DataFrame({"line": [None] * blank_lines}, schema=schema)
    return pl.concat([blank, lines]).to_series()


def _without_blank_start(block: bytes) -> tuple[bytes, int]:
    """(the block without its first blank lines, their number). Polars skips them, but gives nulls for any other."""
    blank = re.match(rb"(?:\r?\n)*", block)
    start = blank.end() if blank else 0
    return block[start:], block.count(b"\n", 0, start)


def plain_frame(block: bytes, first_line: int, layout: Layout) -> pl.DataFrame:
    """One row for each line of a block without quotes; a blank line is malformed and has no text."""
    block, blank_lines = _without_blank_start(block)
    first_line += blank_lines
    frame = read_csv(block, layout)
    columns = list(layout.names)
    found_bytes = frame.select(pl.sum_horizontal(pl.col(columns).str.len_bytes()) + (len(columns) - 1)).to_series()
    malformed, text = pl.lit(False), pl.lit(None, dtype=pl.String)
    if not _is_sound(frame.select(columns), found_bytes, block, layout):
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


def _is_sound(records: pl.DataFrame, found_bytes: pl.Series, block: bytes, layout: Layout) -> bool:
    """True where it is certain that no record of a block was padded or cut, as Polars does without a word.

    If the fields and the separators add up to the block, nothing was, unless what was padded makes up for what was
    cut. But a padded record has no last value, so each record without one must stand in the block where those before
    it end. Behind a cut one it can only match a line before its own, and then the sum stays too small.
    """
    end = b"\r\n" if b"\r" in block else b"\n"
    ends = (found_bytes + len(end)).cum_sum()
    is_mixed = end == b"\r\n" and block.count(end) != records.height
    if is_mixed or (ends.len() and ends[-1] != len(block)):
        return False
    without_last = records.get_column(layout.names[-1]).is_null().arg_true()
    if without_last.len() > _FEW_RECORDS:
        return False
    texts = records[without_last].select(pl.concat_str(pl.all().fill_null(""), separator=layout.dialect.delimiter))
    starts = ends.gather(without_last) - found_bytes.gather(without_last) - len(end)
    return all(block.startswith(text.encode() + end, start) for text, start in zip(texts.to_series(), starts))


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


def on_lines(frame: pl.DataFrame, lines: pl.Series | None = None) -> pl.DataFrame:
    """The rows that begin on these lines; all rows where no lines are given."""
    return frame if lines is None else frame.filter(pl.col(SOURCE_LINE).is_in(lines.implode()))
