"""Reads a drop: every field as text, every record with its line.

A file without quotes, as nearly all are, is parsed by Polars unchanged. In a file with
quotes, `quoted` decides which lines are which records. Both give the same frames, a chunk
at a time, so memory does not grow with the file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from itertools import chain
from typing import Callable, NamedTuple, Protocol

import polars as pl

from jobs.csv.blocks import (
    IS_MALFORMED,
    lines_of,
    on_lines,
    plain_frame,
    read_csv,
    unguarded,
    whole_lines,
    without_blank_records,
)
from jobs.csv.content import Content
from jobs.csv.diagnosis import find_faults, refuse_faults
from jobs.csv.file_format import as_utf8, encoding_of, refuse_other_formats, unpacked, with_line_feeds
from jobs.csv.header import MOST_BLANK_LINES, Header, read_header
from jobs.csv.inspection import Inspection, inspect
from jobs.csv.layout import Columns, Layout
from jobs.csv.orders import OrderRows, OrderState, ReadPart, trimmed
from jobs.csv.quoted import are_simple, quoted_frame, simple_column
from jobs.csv.records import MAX_RECORD_BYTES, WHITE_SPACE
from jobs.errors import FileRefused
from jobs.map_ordered import map_ordered
from schemas.rejected_file import SOURCE_LINE, SOURCE_TEXT
from schemas.sources import DEFAULT, SourceSettings, heading_key

__all__ = ["IS_MALFORMED", "Cut", "SourceFile", "open_source_file"]


class Cut(NamedTuple):
    """A place between two records, from which the rest of the file can be read alone."""

    offset: int
    line: int
    """The physical line that begins here."""
    orders: OrderState
    """The state left by the rows above, if rows need them."""


class ReadChunk(Protocol):
    """Reads the rows of a chunk, or only those on some lines."""

    def __call__(self, lines: pl.Series | None = None) -> pl.DataFrame: ...


@dataclass(frozen=True)
class SourceFile:
    """A file whose shape has been accepted; `chunks` may be called more than once."""

    content: Content
    """UTF-8 with line feeds."""
    name: str
    layout: Layout
    settings: SourceSettings
    data_offset: int
    data_line: int
    """The physical line on which the data begins."""
    end: int
    """The offset of the byte after the last row."""
    is_unquoted: bool
    read_part: ReadPart
    orders: OrderState = field(default_factory=OrderState)
    """The state left by earlier rows, if the data does not begin with the first row."""
    _cuts: list[Cut] = field(init=False, repr=False, compare=False, default_factory=list)
    """Of each chunk, once `cuts` has read the whole file: then each can be read alone."""

    @property
    def ignored_columns(self) -> list[str]:
        return self.layout.ignored_columns

    def chunks(self) -> Iterator[pl.DataFrame]:
        """Frames of text columns, SOURCE_LINE, IS_MALFORMED and SOURCE_TEXT, in the order of the file.

        They have the file's own columns by the layout's names, and the contract's. A value is null where it
        is empty. Ignore the values of a malformed record. Raises FileRefused where a quote hides rows.
        """
        return (frame for read in self.unread_chunks() if (frame := read()).height)

    def unread_chunks(self) -> Iterator[ReadChunk]:
        """As `chunks`, each to be read by its call, in any thread and order; some may have no row.

        With the numbers of lines on which rows begin, in order, only these rows are read.
        """
        if self._cuts or self._is_plain:
            return (partial(self._chunk, begin, block) for begin, block in self._blocks())
        orders = self._orders(self.orders)
        return (partial(on_lines, orders.complete(frame)) for _, frame in self._parsed())

    def transaction_ids(self) -> Iterator[pl.DataFrame]:
        """The first column of the contract alone, as in `chunks`; blank lines and malformed records may come along."""
        return (ids for _, ids in self.cuts())

    def cuts(self) -> Iterator[tuple[Cut, pl.DataFrame]]:
        """The places where the file can be cut, each with the frame of `transaction_ids` up to the next one."""
        by_offset: dict[int, Cut] = {}
        for cut, ids in self._find_cuts():
            by_offset[cut.offset] = cut
            yield cut, ids
        self._cuts[:] = by_offset.values()

    @cached_property
    def needs_rows_above(self) -> bool:
        """True where a row cannot be read without those above it."""
        orders = self._orders(self.orders)
        return bool(orders.filled) or orders.is_numbered

    @property
    def _is_plain(self) -> bool:
        """True where each line can be read alone."""
        return self.is_unquoted and not self.needs_rows_above

    def _orders(self, state: OrderState) -> OrderRows:
        return OrderRows(self.layout, self.read_part, self._filled, state)

    @cached_property
    def _filled(self) -> tuple[str, ...]:
        if self.layout.is_rejected_file:
            return ()
        keys = {heading_key(heading) for heading in self.settings.fill_down}
        named = zip(self.layout.header, self.layout.names)
        return tuple(name for heading, name in named if heading_key(heading) in keys)

    def _find_cuts(self) -> Iterator[tuple[Cut, pl.DataFrame]]:
        name = next(iter(self.layout.parts))
        parts = self.layout.parts[name]
        orders = self._orders(self.orders)
        if self._is_plain and not self.layout.is_rejected_file:
            columns = sorted(self.layout.names.index(part) for part in parts)

            def read_ids(located: tuple[Cut, bytes]) -> tuple[Cut, pl.DataFrame]:
                cut, block = located
                return cut, orders.complete(read_csv(block, self.layout, columns=columns), [name]).select(name)

            yield from map_ordered(read_ids, self._blocks())
        elif parts == (name,) and not (self.layout.is_rejected_file or self.needs_rows_above):
            yield from self._quoted_frames(name)
        else:
            for cut, frame in self._parsed():
                cut = cut._replace(orders=orders.state)
                yield cut, orders.complete(frame, [name]).select(name)

    def _chunk(self, begin: Cut, block: bytes, lines: pl.Series | None = None) -> pl.DataFrame:
        if lines is not None and not self.needs_rows_above:
            texts = lines_of(block).gather(lines - begin.line)
            if self.is_unquoted or are_simple(texts, self.layout).all():
                block = "".join(f"{text}\n" for text in texts).encode()
                return self._chunk(begin, block).with_columns(lines.alias(SOURCE_LINE))
        return self._orders(begin.orders).complete(self._parse(begin, block), lines=lines)

    def _parse(self, begin: Cut, block: bytes) -> pl.DataFrame:
        """The records of a block that can be read alone, without what those above say about them."""
        if self.is_unquoted:
            frame = unguarded(plain_frame(block, begin.line, self.layout), self.layout)
        else:
            frame, _ = quoted_frame(block, begin.line, self.layout, is_last=True, file_name=self.name)
        return without_blank_records(frame, self.layout)

    def _parsed(self) -> Iterator[tuple[Cut, pl.DataFrame]]:
        if self.is_unquoted:
            yield from map_ordered(lambda located: (located[0], self._parse(*located)), self._blocks())
            return
        for cut, frame in self._quoted_frames():
            yield cut, without_blank_records(frame, self.layout)

    def _blocks(self) -> Iterator[tuple[Cut, bytes]]:
        """Blocks that can be read alone: those between cuts, or whole lines of a file without quotes."""
        with self.content.open("rb") as file:
            file.seek(self.data_offset)
            if self._cuts:
                ends = [*(cut.offset for cut in self._cuts[1:]), self.end]
                yield from ((cut, _ended(file.read(end - cut.offset))) for cut, end in zip(self._cuts, ends))
                return
            offset, line = self.data_offset, self.data_line
            for block, lines in whole_lines(file, end=self.end, width=self.layout.width):
                yield Cut(offset, line, self.orders), _ended(block)
                offset, line = offset + len(block), line + lines

    def _quoted_frames(self, column: str | None = None) -> Iterator[tuple[Cut, pl.DataFrame]]:
        """All columns, or one, with which blank lines and malformed records come along."""
        offset, line, unfinished = self.data_offset, self.data_line, b""
        with self.content.open("rb") as file:
            file.seek(self.data_offset)
            blocks = whole_lines(file, end=self.end, width=self.layout.width)
            for block, _ in chain(blocks, ((b"", 0),)):
                lines = _ended(unfinished + block)
                if not lines:
                    continue
                frame = simple_column(lines, self.layout, column) if column else None
                used = lines.count(b"\n")
                if frame is None:
                    frame, used = quoted_frame(lines, line, self.layout, is_last=not block, file_name=self.name)
                yield Cut(offset, line, self.orders), frame.select(column) if column else frame
                # A record that continues after the block is read again, from its start, with the next block.
                unfinished = _from_line(lines, used)
                offset, line = offset + len(lines) - len(unfinished), line + used


def _ended(block: bytes) -> bytes:
    """The last line of a file may lack its line feed."""
    return block + b"\n" if block and not block.endswith(b"\n") else block


def _from_line(lines: bytes, number: int) -> bytes:
    """The bytes after the first `number` lines."""
    left = lines.count(b"\n") - number
    at = len(lines)
    for _ in range(left + 1):
        at = lines.rfind(b"\n", 0, at)
    return lines[at + 1 :] if left else b""


def open_source_file(
    content: Content,
    *,
    name: str,
    required: Sequence[str],
    settings: SourceSettings = DEFAULT,
    spanning: Sequence[str] = (),
    read_part: ReadPart = trimmed,
    inspector: Callable[[Content, str, str], Inspection] | None = None,
) -> SourceFile:
    """Inspect the whole file once and read its header; `inspector` is given where others inspect it.

    `required` are the contract's columns, `spanning` those of them whose values may hold line breaks, `name` is the
    file's name as its uploader knows it. `read_part` reads a part of a key as an id is read. Raises FileRefused with
    one sentence that names all faults.
    """
    content = unpacked(content, name)
    refuse_other_formats(content, name)
    encoding = encoding_of(content, settings.encoding)
    content = with_line_feeds(as_utf8(content, name, encoding))
    inspection = (inspector or inspect)(content, name, settings.quote)
    header = read_header(content, settings, inspection.end)
    if not header.line:
        raise FileRefused(f"{name} is empty: it has no header; upload the file again with its content")
    if encoding.startswith("utf-16") and header.dialect.delimiter == "," and "," not in header.text:
        # Excel's "Unicode Text" is UTF-16 with tabs.
        settings = replace(settings, delimiter="\t")
        header = read_header(content, settings, inspection.end)
    wanted = _columns(header, required, settings, frozenset(spanning))
    refuse_faults(name, find_faults(content, header, inspection.not_utf8, wanted, settings))
    source = SourceFile(
        content=content,
        name=name,
        layout=wanted.layout(header.fields or (), header.dialect, is_rejected_file=header.is_rejected_file),
        settings=settings,
        data_offset=header.data_offset,
        data_line=header.data_line,
        end=inspection.end,
        is_unquoted=inspection.is_unquoted,
        read_part=read_part,
    )
    return _as_wide_as_its_rows(source)


def _columns(header: Header, required: Sequence[str], settings: SourceSettings, spanning: frozenset[str]) -> Columns:
    """The headings of the source's settings; the contract's where only those match the file."""
    contract = Columns({column: (column,) for column in required}, spanning)
    priced = {} if settings.unit_price is None else {"unit_price": (settings.unit_price,)}
    configured = Columns({**settings.columns, **priced}, spanning)
    headings = header.fields or ()
    if not configured.missing(headings) or contract.missing(headings) or not settings.reads_contract_layout:
        return configured
    price = Columns({"unit_price": ("unit_price",)})
    return Columns({**contract.wanted, **(price.wanted if priced and not price.missing(headings) else {})}, spanning)


def _as_wide_as_its_rows(source: SourceFile) -> SourceFile:
    """Some programs end each row with delimiters that the header lacks, or the header with some that no row has.

    They are ignored where the meaning is certain: all rows are as wide as the first, and the surplus values or
    headings are empty.
    """
    layout = source.layout
    values = _first_row(source)
    if values is None or len(values) == layout.width:
        return source
    if any(text.strip(WHITE_SPACE) for text in (*values[layout.width :], *layout.header[len(values) :])):
        return source
    fitted = replace(source, layout=layout.of_width(len(values)))
    return fitted if _fits_every_row(fitted, layout.width) else source


def _first_row(source: SourceFile) -> list[str] | None:
    """The values of the first row that has any; None where its quotes are out of place or there is none."""
    layout = source.layout
    with source.content.open("rb") as file:
        file.seek(source.data_offset)
        for _ in range(MOST_BLANK_LINES):
            line = file.readline(MAX_RECORD_BYTES).decode("utf-8").rstrip("\r\n")
            if not re.match(layout.dialect.without_value, line):
                return layout.dialect.split(line)
            if file.tell() >= source.end:
                return None
    return None


def _fits_every_row(fitted: SourceFile, header_width: int) -> bool:
    """True where no row is as wide as the header, and no value is in a column without a heading."""
    layout = fitted.layout
    for _, frame in fitted._parsed():
        malformed = frame.filter(IS_MALFORMED).get_column(SOURCE_TEXT).drop_nulls()
        if any(len(layout.dialect.split(text) or ()) == header_width for text in malformed):
            return False
        unnamed = frame.filter(~pl.col(IS_MALFORMED)).select(layout.names[header_width:])
        if any(column.str.strip_chars().str.len_bytes().sum() for column in unnamed):
            return False
    return True
