"""Redacts a source file or a rejected file: every row stays on its line and keeps the columns that are loaded.

A row shows the person if it has the person's customer_id or one of the person's addresses. A row with the customer_id
keeps the columns that the pipeline reads, except names and addresses; its other columns are emptied. In a row of
another customer only the values with an address are emptied. A malformed row becomes one word, and stays malformed.

The encoding, the compression and the line ends of the file do not change.
"""

from __future__ import annotations

import gzip
import io
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

import polars as pl

from cli.forget.person import FORGOTTEN, Person
from jobs.csv.file_format import BLOCK_BYTES, GZIP, encoding_of, unpacked
from jobs.csv.formulas import unguard_text
from jobs.csv.layout import Layout
from jobs.csv.reader import SourceFile, open_source_file
from jobs.csv.records import WHITE_SPACE
from jobs.errors import FileRefused
from jobs.load_dimensions import open_dimension
from jobs.rows.ids import IdReader
from schemas.drops import CUSTOMERS, TRANSACTIONS
from schemas.rejected_file import REJECT_REASONS_COLUMN, SOURCE_LINE, SOURCE_TEXT
from schemas.sources import CONTRACT_COLUMNS, DEFAULT, SourceSettings, heading_key
from schemas.warehouse.person import PERSONAL_COLUMNS
from schemas.warehouse.tables import CUSTOMER_ID, DIMENSIONS

_IDS = ("transaction_id", CUSTOMER_ID.name)
"""Columns that identify rows of the fact; they always stay."""
_MOST_LINES = 1000
"""The longest value that spans lines."""


@dataclass(frozen=True)
class FileKind:
    """The kind of a file and the settings to read it with."""

    kind: str | None
    """One of schemas.drops.KINDS; None for a file whose key is outside the layout."""
    settings: SourceSettings = DEFAULT
    is_loaded_again: bool = True
    """False for a rejected file. A replay may read any other file again, perhaps with earlier settings."""


def redact(path: Path, target: Path, kind: FileKind, person: Person) -> int:
    """Write the file without the person; returns the number of changed rows, and writes nothing when it is 0.

    Raises FileRefused for a gzip file that is incomplete.
    """
    opened = _Opened(path, kind)
    plain = target.with_suffix(".plain")
    changed = 0
    with opened.lines() as lines, opened.writer(plain) as written:
        for before, after in _redacted(lines, opened.source, kind, person):
            changed += before != after
            written.write(after)
    if changed:
        _pack(plain, target, is_packed=_is_packed(path))
    return changed


def read_addresses(path: Path, kind: FileKind, person: Person) -> list[str]:
    """The values of the column email in the person's rows of a file of customers; raises FileRefused as `redact`."""
    opened = _Opened(path, kind)
    if opened.source is None:
        return []
    layout, rows = opened.source.layout, _Rows(opened.source, person)
    at = layout.names.index(layout.parts["email"][0])
    with opened.lines() as lines:
        for _ in _skip(lines, opened.source.data_line - 1):
            pass
        own = [layout.holds(_body(record)) for record in _records(lines, layout) if person.may_be_in(record)]
    return [values[at] for values in own if values is not None and rows.is_own(values)]


class _Opened:
    """A file as text, and its layout where the settings can read it."""

    def __init__(self, path: Path, kind: FileKind) -> None:
        self._content = unpacked(path, path.name)
        self.source: SourceFile | None = None
        with suppress(FileRefused):
            self.source = _open(path, kind)
        settings = self.source.settings if self.source is not None else kind.settings
        self._encoding = encoding_of(self._content, settings.encoding)
        with self._content.open("rb") as file:
            has_line_feed = any(b"\n" in block for block in iter(lambda: file.read(BLOCK_BYTES), b""))
        self._line_end = "\n" if has_line_feed else "\r"

    def lines(self) -> TextIO:
        # Bytes that cannot be decoded are written back unchanged.
        file = self._content.open("rb")
        return io.TextIOWrapper(file, self._encoding, errors="surrogateescape", newline=self._line_end)

    def writer(self, path: Path) -> TextIO:
        return path.open("w", encoding=self._encoding, errors="surrogateescape", newline="")


def _open(path: Path, kind: FileKind) -> SourceFile:
    """The file, read with the settings of its kind; raises FileRefused where they do not fit."""
    if kind.kind != TRANSACTIONS:
        dimension = DIMENSIONS[kind.kind or CUSTOMERS]
        return open_dimension(path, name=path.name, dimension=dimension, settings=kind.settings)
    return open_source_file(path, name=path.name, required=CONTRACT_COLUMNS, settings=kind.settings)


def _redacted(
    file: Iterator[str], source: SourceFile | None, kind: FileKind, person: Person
) -> Iterator[tuple[str, str]]:
    """Each record with its line end, before and after redaction."""
    if source is None:
        # Earlier settings may read this file again, and must find the same sales.
        keeps_columns = kind.kind == TRANSACTIONS and kind.is_loaded_again
        for line in file:
            yield line, person.without_addresses(line) if keeps_columns else _one_word(line, person)
        return
    rows = _Rows(source, person)
    for line in _skip(file, source.data_line - 1):
        yield line, person.without_addresses(line)
    for record in _records(file, source.layout):
        yield record, rows.without_person(record)


def _skip(file: Iterator[str], lines: int) -> Iterator[str]:
    for _ in range(lines):
        yield next(file, "")


def _records(file: Iterator[str], layout: Layout) -> Iterator[str]:
    """Records with their line ends: one line each, or several where a value spans lines."""
    pushed_back: list[str] = []

    def lines() -> Iterator[str]:
        while True:
            line = pushed_back.pop(0) if pushed_back else next(file, None)
            if line is None:
                return
            yield line

    quote = layout.dialect.quote
    for line in lines():
        is_open = bool(quote) and (bool(layout.dialect.escape) or line.count(quote) % 2 == 1)
        if not is_open or layout.dialect.split(_body(line)) is not None:
            yield line
            continue
        taken = [line]
        for more in lines():
            taken.append(more)
            if quote in more and layout.dialect.split(_body("".join(taken))) is not None:
                break
            if len(taken) == _MOST_LINES:
                break
        record = "".join(taken)
        if layout.holds(_body(record)) is None:
            pushed_back[:0] = taken[1:]
            record = line
        yield record


@dataclass
class _Rows:
    """The rows of one file."""

    source: SourceFile
    person: Person
    _owner: str | None = None
    """The customer of the row before: in some formats only the first row of an order names its customer."""
    _ids: IdReader = field(init=False)

    def __post_init__(self) -> None:
        self._ids = IdReader(self.source.settings.null_words)
        layout, settings = self.layout, self.source.settings
        self._owners = [layout.names.index(name) for name in layout.parts.get(CUSTOMER_ID.name, ())]
        filled = {heading_key(heading) for heading in settings.fill_down}
        self._is_filled = any(heading_key(layout.header[at]) in filled for at in self._owners)
        own = {heading_key(name) for name in (SOURCE_LINE, REJECT_REASONS_COLUMN)} if layout.is_rejected_file else set()
        ids = {name for column in _IDS for name in layout.parts.get(column, ())}
        keys = [heading_key(heading) for heading in layout.header]
        self._stays = [name in ids or key in own for name, key in zip(layout.names, keys, strict=False)]
        self._stays += [False] * (layout.width - len(self._stays))
        personal = {name for column in PERSONAL_COLUMNS for name in layout.parts.get(column, ())}
        self._is_read = [name in layout.read and name not in personal for name in layout.names]
        self._text_at = keys.index(heading_key(SOURCE_TEXT)) if layout.is_rejected_file else None

    @property
    def layout(self) -> Layout:
        return self.source.layout

    def is_own(self, values: Sequence[str]) -> bool:
        """True for a row of the person."""
        return self._owner_of(values) == self.person.customer_id

    def without_person(self, record: str) -> str:
        """The record without the person; unchanged where it does not show the person."""
        if not self._is_filled and not self.person.may_be_in(record):
            return record
        body = _body(record)
        values, end = self.layout.holds(body), record[len(body) :]
        if values is None:
            return _one_word(record, self.person)
        owner = self._owner_of(values)
        text = values[self._text_at] if self._text_at is not None else ""
        is_own = owner == self.person.customer_id or self.person.is_named_in(text)
        if not is_own and not any(map(self.person.has_address_in, values)):
            return record
        cut = [self._cut(at, value, is_theirs=is_own or owner is None) for at, value in enumerate(values)]
        return record if cut == values else self._written(cut) + end

    def _cut(self, at: int, value: str, *, is_theirs: bool) -> str:
        if self._stays[at]:
            return value
        if self._is_read[at]:
            return self.person.without_addresses(value)
        # A value of several lines stays as many, so that the rows below stay on their lines.
        return "\n" * value.count("\n") if is_theirs or self.person.has_address_in(value) else value

    def _owner_of(self, values: Sequence[str]) -> str | None:
        given = [unguard_text(values[at]) if self.layout.is_rejected_file else values[at] for at in self._owners]
        owner = next((value.strip(WHITE_SPACE) for value in given if value.strip(WHITE_SPACE)), None)
        if owner is not None and owner != self.person.customer_id:
            owner = self._ids.read(pl.Series([owner], dtype=pl.String()))[0]
        self._owner = owner if owner is not None or not self._is_filled else self._owner
        return self._owner

    def _written(self, values: Sequence[str]) -> str:
        dialect = self.layout.dialect
        special = re.compile("[" + re.escape(dialect.delimiter + dialect.quote) + "\r\n]")

        def quoted(value: str) -> str:
            if not dialect.quote or not special.search(value):
                return value
            if dialect.escape:
                value = value.replace(dialect.escape, dialect.escape * 2)
                return dialect.quote + value.replace(dialect.quote, dialect.escape + dialect.quote) + dialect.quote
            return dialect.quote + value.replace(dialect.quote, dialect.quote * 2) + dialect.quote

        return dialect.delimiter.join(map(quoted, values))


def _one_word(record: str, person: Person) -> str:
    """The word `forgotten` for a line whose columns are unknown and that shows the person, else the line."""
    return FORGOTTEN + record[len(_body(record)) :] if person.is_named_in(record) else record


def _body(record: str) -> str:
    return record.removesuffix("\n").removesuffix("\r")


def _is_packed(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(GZIP)) == GZIP


def _pack(plain: Path, target: Path, *, is_packed: bool) -> None:
    if not is_packed:
        plain.replace(target)
        return
    # Without a name and a time in the header, equal content gives equal bytes.
    with plain.open("rb") as content, target.open("wb") as file, gzip.GzipFile("", "wb", 6, file, 0) as packed:
        shutil.copyfileobj(content, packed)
