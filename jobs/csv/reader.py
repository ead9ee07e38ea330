"""Reading a drop: every field as text, every record with its line.

Decided here: which files are refused whole, and which records are malformed. A file
without quotes, NULs and lone carriage returns (nearly every one) is parsed by Polars
as it stands; any other is split by `records`, which is slower and knows what to do with
each oddity. Both give the same frames, a chunk at a time, so memory does not grow with
the file.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import BinaryIO

import polars as pl

from jobs.csv.records import MAX_RECORD_BYTES, Record, UnclosedQuote, records
from jobs.errors import FileRefused
from jobs.map_ordered import map_ordered

CHUNK_BYTES = 12 * 1024 * 1024
CHUNK_VALUES = 1_800_000
"""A line of nothing but commas is short in the file and long in memory."""

MAX_COLUMNS = 1000

SOURCE_LINE = "source_line"
IS_MALFORMED = "is_malformed"
SOURCE_TEXT = "source_text"
"""The record as it stood; null unless it is malformed."""

REJECTED_FILE_COLUMNS = (SOURCE_LINE, "reject_reasons", SOURCE_TEXT)
"""What the rejected file adds to the drop's own columns."""

_OVERFLOW = "overflow"

_SIMPLE_VALUE = r'(?:"[^",\x00\r]*"|[^",\x00\r]*)'
_SIMPLE_LINE = f"^{_SIMPLE_VALUE}(?:,{_SIMPLE_VALUE})*$"
"""Quotes, if any, enclose whole values, and no value needs them."""

FORMULA_PREFIX = "^'*[=+@＝＋－＠\t\r\n\0-]"
"""What the rejected file sets an apostrophe before: a spreadsheet would take it for a formula."""

WHITE_SPACE = "\t\n\x0b\x0c\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))
"""What is trimmed from a value: Unicode's White_Space, which is what Polars' strip_chars() strips."""


@dataclass(frozen=True)
class SourceFile:
    """A file whose shape has been accepted; `chunks` may be called more than once."""

    path: Path
    name: str
    header: tuple[str, ...]
    """Column names as they stand in the file."""
    columns: tuple[str, ...]
    """The frame's name for each: the contract's for a contract column, `extra_<position>` for another."""
    required: tuple[str, ...]
    data_offset: int
    data_line: int
    """The physical line on which the data begins."""
    is_unquoted: bool
    is_rejected_file: bool
    """A rejected file that somebody corrected and dropped again: some of its apostrophes are ours."""

    @property
    def ignored_columns(self) -> list[str]:
        names = zip(self.header, self.columns)
        return [name.strip(WHITE_SPACE) for name, column in names if column not in self.required]

    def chunks(self) -> Iterator[pl.DataFrame]:
        """Frames of text columns, SOURCE_LINE, IS_MALFORMED and SOURCE_TEXT, in the order of the file.

        A value is null where it is empty. The values of a malformed record mean nothing.
        """
        with self.path.open("rb") as file:
            file.seek(self.data_offset)
            yield from self._plain_chunks(file) if self.is_unquoted else self._quoted_chunks(file)

    def transaction_ids(self) -> Iterator[pl.DataFrame]:
        """The first required column alone, as in `chunks`; blank lines and malformed records may come along."""
        name = self.required[0]
        if not self.is_unquoted:
            yield from (chunk.select(name) for chunk in self.chunks())
            return
        with self.path.open("rb") as file:
            file.seek(self.data_offset)
            column = [self.columns.index(name)]
            yield from map_ordered(
                lambda numbered: self._read_csv(numbered[1], columns=column), self._plain_blocks(file)
            )

    def _plain_chunks(self, file: BinaryIO) -> Iterator[pl.DataFrame]:
        for line, block in self._plain_blocks(file):
            yield _without_blank_lines(self._plain_frame(block, line))

    def _plain_blocks(self, file: BinaryIO) -> Iterator[tuple[int, bytes]]:
        """Whole lines, about CHUNK_BYTES of them, with the number of the first; no block begins with a blank line."""
        line = self.data_line
        for block, lines in self._whole_lines(file):
            # A last line without its end gets one, so that all blocks are alike.
            block = block if block.endswith(b"\n") else block + b"\n"
            # Polars passes over blank lines ahead of the first record, yet gives a row of nulls for any other.
            data = block.lstrip(b"\r\n")
            if data:
                yield line + block.count(b"\n", 0, len(block) - len(data)), data
            line += lines

    def _whole_lines(self, file: BinaryIO) -> Iterator[tuple[bytes, int]]:
        """What is left of the file, in blocks of whole lines and how many they are; the last line may lack its end."""
        most_lines = max(CHUNK_VALUES // len(self.columns), 1)
        start, room = file.tell(), CHUNK_BYTES
        while True:
            # Where the block ends is looked up first: to read it and cut it would copy it once more.
            file.seek(start + room - 1)
            end = start + room - 1 + len(file.readline())
            file.seek(start)
            block = file.read(end - start)
            lines = block.count(b"\n")
            if lines > most_lines:
                room = max(room * most_lines // lines, 1)
            elif block:
                yield block, lines
                # Where lines are short here they are likely to be short there, too.
                start, room = start + len(block), min(room * 2, CHUNK_BYTES)
            else:
                return

    def _read_csv(self, block: bytes, columns: list[int] | None = None) -> pl.DataFrame:
        return pl.read_csv(
            _shielded(block),
            has_header=False,
            schema={name: pl.String() for name in (*self.columns, _OVERFLOW)},
            columns=columns,
            quote_char=None,
            truncate_ragged_lines=True,
        )

    def _plain_frame(self, block: bytes, first_line: int) -> pl.DataFrame:
        """One row for each line of the block; a blank line is malformed and without a text."""
        frame = self._read_csv(block)
        # Polars pads a short record and cuts a long one without a word. Arithmetic tells: where the
        # fields and the separators between them make up the line, nothing was padded and nothing cut.
        found_bytes = frame.select(
            pl.sum_horizontal(pl.col(self.columns).str.len_bytes()) + (len(self.columns) - 1)
        ).to_series()
        line_ends = frame.height + (block.count(b"\r") if b"\r" in block else 0)
        malformed, text = pl.lit(False), pl.lit(None, dtype=pl.String)
        # A padded record counts too many bytes and a cut one too few, so their sum alone proves nothing;
        # but a padded one has no last value.
        if frame.get_column(self.columns[-1]).null_count() or found_bytes.sum() + line_ends != len(block):
            lines = _lines(block)
            if lines.len() != frame.height:
                raise AssertionError(
                    f"{self.name}, from line {first_line}: {frame.height} records were read from {lines.len()} lines"
                )
            malformed = pl.lit((lines.str.len_bytes() != found_bytes).fill_null(True))
            text = pl.when(malformed).then(pl.lit(lines))
        return frame.select(
            pl.int_range(first_line, first_line + pl.len(), dtype=pl.Int64).alias(SOURCE_LINE),
            malformed.alias(IS_MALFORMED),
            text.alias(SOURCE_TEXT),
            *self.columns,
        )

    def _quoted_chunks(self, file: BinaryIO) -> Iterator[pl.DataFrame]:
        line = self.data_line
        unfinished: list[str] = []
        for block, _ in chain(self._whole_lines(file), ((b"", 0),)):
            # The last line's end, if it has none: CRLF, since a CR of its own must not become part of one.
            ended = block if block.endswith(b"\n") or not block else block + b"\r\n"
            lines = unfinished + ended.decode("utf-8").split("\n")[:-1]
            frame, used = self._quoted_frame(lines, line, is_last=not block)
            line += used
            # A record that goes on beyond the block is read again, from its start, with the next one.
            unfinished = lines[used:]
            if frame.height:
                yield frame

    def _quoted_frame(self, physical: list[str], first_line: int, *, is_last: bool) -> tuple[pl.DataFrame, int]:
        """The records of these lines, and how many lines they are.

        Where the quotes of a line only enclose what needs no quotes, they are taken off
        and Polars reads it; any other line starts a record that `records` reads.
        """
        lines = pl.Series(physical, dtype=pl.String()).str.strip_suffix("\r")
        is_simple = lines.str.contains(_SIMPLE_LINE) & (not self.is_rejected_file)
        exact: list[Record] = []
        used = 0
        inside: list[int] = []
        for position in (~is_simple).arg_true():
            # A line inside the record before it is part of that, whatever it looks like.
            if position < used:
                continue
            following = (physical[at] for at in range(position, len(physical)))
            try:
                record = next(records(following, first_line=first_line + position, file_name=self.name), None)
            except UnclosedQuote:
                if is_last:
                    raise
                lines, is_simple = lines.head(position), is_simple.head(position)
                break
            if record is None:
                break
            used = record.last_line + 1 - first_line
            exact.append(record)
            inside.extend(range(position, used))
        is_simple = is_simple.scatter(pl.Series(inside, dtype=pl.UInt32()), False)
        bare = pl.select(pl.when(is_simple).then(lines.str.replace_all('"', "", literal=True)).otherwise(pl.lit("")))
        block = "\n".join([*bare.to_series(), ""]).encode("utf-8")
        data = block.lstrip(b"\n")
        frames = [pl.DataFrame([self._exact_row(record) for record in exact], schema=self._schema, orient="row")]
        if data:
            skipped = len(block) - len(data)
            plain = self._plain_frame(data, first_line + skipped)
            as_it_stood = pl.when(pl.col(IS_MALFORMED) & pl.col(SOURCE_TEXT).is_not_null()).then(
                pl.lit(lines).gather(pl.col(SOURCE_LINE) - first_line)
            )
            frames.append(_without_blank_lines(plain.with_columns(as_it_stood.alias(SOURCE_TEXT))))
        return pl.concat(frames).sort(SOURCE_LINE), lines.len()

    @property
    def _schema(self) -> dict[str, pl.DataType]:
        text = {column: pl.String() for column in self.columns}
        return {SOURCE_LINE: pl.Int64(), IS_MALFORMED: pl.Boolean(), SOURCE_TEXT: pl.String(), **text}

    def _exact_row(self, record: Record) -> tuple[object, ...]:
        fields = record.fields
        if fields is not None and self.is_rejected_file:
            fields = [_as_dropped(field) for field in fields]
        if fields is None or len(fields) != len(self.columns) or self._has_control_character(fields):
            return (record.first_line, True, record.text) + (None,) * len(self.columns)
        return (record.first_line, False, None, *(field or None for field in fields))

    def _has_control_character(self, fields: Sequence[str]) -> bool:
        # A quoted line break inside an id is a slip of a quote, and no warehouse column can hold a NUL.
        return any(
            any(control in value for control in "\0\n\r")
            for value, column in zip(fields, self.columns)
            if column in self.required
            for value in (value.strip(WHITE_SPACE),)
        )


def _without_blank_lines(frame: pl.DataFrame) -> pl.DataFrame:
    is_blank = frame.select(pl.col(IS_MALFORMED) & pl.col(SOURCE_TEXT).is_null()).to_series()
    return frame.filter(~is_blank) if is_blank.any() else frame


def _lines(block: bytes) -> pl.Series:
    """Each line as text, null where it is blank. A plain file has no NUL, so NUL separates nothing."""
    return pl.read_csv(
        _shielded(block), has_header=False, schema={"line": pl.String()}, quote_char=None, separator="\0"
    ).to_series()


def _shielded(block: bytes) -> bytes:
    """With a byte order mark more where it begins with one: Polars drops the first of any block it is given."""
    return codecs.BOM_UTF8 + block if block.startswith(codecs.BOM_UTF8) else block


def open_source_file(path: Path, *, name: str, required: Sequence[str]) -> SourceFile:
    """Look the whole file over once and read its header.

    `required` are the contract's columns, `name` is what the person who dropped the file
    calls it. Raises FileRefused with one sentence: empty, not UTF-8, a line too long, a
    column missing or written twice.
    """
    is_unquoted = inspect(path, name)
    with path.open("rb") as file:
        if file.read(len(codecs.BOM_UTF8)) != codecs.BOM_UTF8:
            file.seek(0)
        # readline, since iterating a file leaves no telling how far it was read.
        lines = (raw.decode("utf-8").removesuffix("\n") for raw in iter(file.readline, b""))
        header = next(records(lines, first_line=1, file_name=name), None)
        data_offset = file.tell()
    if header is None:
        raise FileRefused(f"{name} is empty: it has not even a header; drop the file again with its content")
    if header.first_line > 1:
        raise FileRefused(f"{name}, line 1: the line is blank where the header belongs; take it out and drop it again")
    is_rejected_file = set(REJECTED_FILE_COLUMNS) <= {_column_name(field) for field in header.fields or ()}
    if is_rejected_file:
        header = replace(header, fields=[_as_dropped(field) for field in header.fields or ()])
    columns = _columns(header, name, required)
    return SourceFile(
        path=path,
        name=name,
        header=tuple(header.fields or ()),
        columns=columns,
        required=tuple(required),
        data_offset=data_offset,
        data_line=header.last_line + 1,
        # A rejected file is small, and only the exact reader takes the apostrophes off.
        is_unquoted=is_unquoted and not is_rejected_file,
        is_rejected_file=is_rejected_file,
    )


def _columns(header: Record, name: str, required: Sequence[str]) -> tuple[str, ...]:
    where = f"{name}, line {header.first_line}"
    if header.fields is None:
        raise FileRefused(f"{where}: a quote in the header is out of place; mend the header and drop the file again")
    if len(header.fields) > MAX_COLUMNS:
        raise FileRefused(
            f"{where}: the header has {len(header.fields):,} columns and at most {MAX_COLUMNS:,} are read"
        )
    named = [_column_name(field) for field in header.fields]
    twice = sorted({column for column in named if column and named.count(column) > 1})
    if twice:
        raise FileRefused(
            f"{where}: the header has {_quoted(twice)} twice, so no one can tell which is meant; "
            "keep one of them and drop the file again"
        )
    missing = [column for column in required if column not in named]
    if missing:
        found = next((sign for sign in (";", "\t", "|") if len(header.fields) == 1 and sign in header.text), None)
        hint = f" (its columns are separated by {found!r}, not by a comma)" if found else ""
        raise FileRefused(
            f"{where}: the header lacks {_quoted(missing)}{hint}; "
            f"it must have {', '.join(required)}, in any order; mend the header and drop the file again"
        )
    return tuple(
        column if column in required else f"extra_{position}" for position, column in enumerate(named, start=1)
    )


def _column_name(heading: str) -> str:
    return heading.strip(WHITE_SPACE).lower()


def _as_dropped(text: str) -> str:
    """The value that the rejected file shows as this text."""
    return text[1:] if text.startswith("'") and re.match(FORMULA_PREFIX, text) else text


def _quoted(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name[:64]) for name in names[:6])
    return shown + (f" and {len(names) - 6} more" if len(names) > 6 else "")


def inspect(path: Path, name: str) -> bool:
    """True if the file is plain: no quote, no NUL, no carriage return but before a line feed.

    Raises FileRefused where a byte is not UTF-8 or a line is too long to hold in memory.
    """
    decoder = codecs.getincrementaldecoder("utf-8")()
    is_unquoted, offset, line_bytes, ends_in_return = True, 0, 0, False
    with path.open("rb") as file:
        # No larger than the longest line allowed: a longer one then covers a whole block without a line end.
        for block in iter(lambda: file.read(MAX_RECORD_BYTES), b""):
            # Polars tells many times faster whether bytes are UTF-8, but not where they are not.
            if decoder.getstate()[0] or not (block.isascii() or _is_utf8(block)):
                try:
                    decoder.decode(block)
                except UnicodeDecodeError as reason:
                    raise _not_utf8(path, name, offset + len(block), reason) from None
            if b"\r" in block or ends_in_return:
                text = b"\r" + block if ends_in_return else block
                ends_in_return = block.endswith(b"\r")
                is_unquoted &= text.count(b"\r") - ends_in_return == text.count(b"\r\n")
            is_unquoted &= b'"' not in block and b"\0" not in block
            first_end = block.find(b"\n")
            line_bytes += len(block) if first_end < 0 else first_end
            if line_bytes > MAX_RECORD_BYTES:
                raise FileRefused(
                    f"{name}, line {_line_at(path, offset)}: the line is longer than {MAX_RECORD_BYTES:,} bytes, "
                    "which no transaction is; is this the right file?"
                )
            if first_end >= 0:
                line_bytes = len(block) - block.rfind(b"\n") - 1
            offset += len(block)
    try:
        decoder.decode(b"", True)
    except UnicodeDecodeError as reason:
        raise _not_utf8(path, name, offset, reason) from None
    return is_unquoted and not ends_in_return


def _is_utf8(block: bytes) -> bool:
    try:
        pl.Series([block], dtype=pl.Binary()).cast(pl.String())
    except pl.exceptions.PolarsError:
        return False
    return True


def _not_utf8(path: Path, name: str, offset: int, reason: UnicodeDecodeError) -> FileRefused:
    """`offset` is where the bytes end that could not be decoded."""
    line = _line_at(path, offset - len(reason.object) + reason.start)
    return FileRefused(
        f"{name}, line {line}: the byte 0x{reason.object[reason.start]:02x} is not UTF-8 "
        f"({reason.reason}); save the file as UTF-8 and drop it again"
    )


def _line_at(path: Path, offset: int) -> int:
    """The line in which a byte stands: counted when somebody asks, for it costs as much as all else in a sound file."""
    with path.open("rb") as file:
        lines = 1
        while offset > 0:
            block = file.read(min(offset, MAX_RECORD_BYTES))
            lines, offset = lines + block.count(b"\n"), offset - len(block)
        return lines
