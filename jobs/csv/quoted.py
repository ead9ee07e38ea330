"""Divides a block with quotes into records.

A record is one physical line, unless a value of it is quoted, may span lines, and is closed
soundly. Any other line is malformed alone, and reading goes on with the next one: a stray quote costs one row. Two
stray quotes can close each other and hide the rows between them. So a file is refused where a value that spans lines
hides a row.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from jobs.csv.blocks import IS_MALFORMED, lines_of, read_csv, unguarded
from jobs.csv.layout import Layout
from jobs.csv.records import MAX_RECORD_BYTES
from jobs.errors import FileRefused
from schemas.rejected_file import SOURCE_LINE, SOURCE_TEXT

_POSITION = "position"
"""Of a record's first line in its block."""
_CONTROLS = "[\0\r\n]"
"""No column of the warehouse can hold a NUL, and a line break inside an id is a stray quote."""


@dataclass
class _Records:
    """The records of a block, as its lines were divided."""

    spans: dict[int, int] = field(default_factory=dict)
    """Position of the first line of a record of several lines -> position of its last line."""
    values: list[Sequence[str]] = field(default_factory=list)
    """The values of each of these records."""
    unfinished: int | None = None
    """Position of a record that continues after the block."""


def quoted_frame(
    block: bytes, first_line: int, layout: Layout, *, is_last: bool, file_name: str
) -> tuple[pl.DataFrame, int]:
    """The records of a block of whole lines, and the number of lines they cover. A record that continues after the
    block is left to the next one. Raises FileRefused where a value hides a row.
    """
    has_controls = _has_controls(block)
    lines = lines_of(block)
    kinds = _Kinds.of(lines, layout, has_controls=has_controls)
    is_escaped = b"\\" in block and layout.dialect.stray_escape.encode("utf-8") in block
    if kinds.are_all_simple and not (is_escaped or has_controls):
        positions = pl.int_range(lines.len(), dtype=pl.UInt32(), eager=True)
        frame = _checked(positions, lines, lines, block, layout, layout.dialect.quote)
        return _numbered(unguarded(frame, layout), first_line, layout), lines.len()
    spanning = _spanning(lines, kinds, layout, first_line, is_last=is_last, file_name=file_name)
    used = lines.len() if spanning.unfinished is None else spanning.unfinished
    inside = [at for first, last in spanning.spans.items() for at in range(first, last + 1)]
    is_single = lines.is_not_null()
    if inside or used < lines.len():
        is_single = is_single.scatter(inside, False).set(pl.int_range(lines.len(), eager=True) >= used, False)
    frames = [
        _polars_frame(lines, is_single & kinds.is_simple, layout, layout.dialect.quote),
        *_other_frames(lines, is_single & ~kinds.is_simple, layout),
        _exact_frame(list(spanning.spans), spanning.values, layout),
    ]
    rows = pl.concat([frame for frame in frames if frame.height] or frames[:1], rechunk=True)
    if rows.height and not rows.get_column(_POSITION).is_sorted():
        rows = rows.sort(_POSITION)
    if is_escaped or has_controls:
        texts = _record_texts(lines, spanning.spans).gather(rows.get_column(_POSITION))
        rows = _without_escapes(rows, texts, layout) if is_escaped else rows
    rows = unguarded(rows, layout)
    return _numbered(_without_controls(rows, texts, layout) if has_controls else rows, first_line, layout), used


def simple_column(block: bytes, layout: Layout, name: str) -> pl.DataFrame | None:
    """One column of a block of whole lines, blank lines and records of another width included.

    None where Polars alone would not read each line as one record.
    """
    if _has_controls(block):
        return None
    lines = lines_of(block)
    if not are_simple(lines, layout).all():
        return None
    frame = read_csv(block, layout, quote=layout.dialect.quote, columns=[layout.names.index(name)])
    return frame if lines.null_count() or frame.height == lines.len() else None


def _has_controls(block: bytes) -> bool:
    """True where there is a NUL, or a carriage return that ends no line."""
    return b"\0" in block or (b"\r" in block and block.count(b"\r") != block.count(b"\r\n"))


def _numbered(rows: pl.DataFrame, first_line: int, layout: Layout) -> pl.DataFrame:
    line = pl.col(_POSITION).cast(pl.Int64) + first_line
    return rows.select(line.alias(SOURCE_LINE), IS_MALFORMED, SOURCE_TEXT, *layout.names)


@dataclass(frozen=True)
class _Kinds:
    """The kinds of record that each line of a block can be."""

    is_simple: pl.Series
    """Polars reads it correctly unchanged."""
    opens: list[int]
    """Positions of the lines with a value that goes on in the next line."""

    are_all_simple: bool

    @classmethod
    def of(cls, lines: pl.Series, layout: Layout, *, has_controls: bool) -> _Kinds:
        dialect = layout.dialect
        is_simple = are_simple(lines, layout)
        if has_controls:
            is_simple &= ~lines.str.contains("\r", literal=True)
        is_simple &= ~_may_be_two(lines, layout)
        if is_simple.all(ignore_nulls=False):
            return cls(is_simple, [], True)
        is_simple = is_simple.fill_null(False)
        rest = (~is_simple & lines.is_not_null()).arg_true()
        opens = rest.filter(lines.gather(rest).str.contains(dialect.opens)).to_list() if dialect.quote else []
        return cls(is_simple, opens, False)


def are_simple(lines: pl.Series, layout: Layout) -> pl.Series:
    """True for each line with whose quotes Polars alone comes to terms: where a record begins on it, it ends on it."""
    dialect = layout.dialect
    if len((dialect.delimiter + dialect.quote).encode("utf-8")) != 2:
        return pl.repeat(False, lines.len(), dtype=pl.Boolean(), eager=True)
    return lines.str.contains(dialect.simple)


def _may_be_two(lines: pl.Series, layout: Layout) -> pl.Series:
    """True for each line with enough delimiters for two rows."""
    return lines.str.count_matches(layout.dialect.delimiter, literal=True) >= layout.fewest_delimiters_of_two


def _spanning(
    lines: pl.Series, kinds: _Kinds, layout: Layout, first_line: int, *, is_last: bool, file_name: str
) -> _Records:
    """The records of several lines."""
    spanning = _Records()
    if not kinds.opens:
        return spanning
    ends = _Ends(lines, layout)
    used = 0
    for first in kinds.opens:
        # A line inside the record before it belongs to that record.
        if first < used:
            continue
        last = ends.last_line(first)
        if last == lines.len() and not is_last and ends.bytes_from(first) <= MAX_RECORD_BYTES:
            spanning.unfinished = first
            break
        if last is None or last == lines.len():
            continue
        text = ends.text(first, last)
        values = layout.holds(text) if len(text) <= MAX_RECORD_BYTES else None
        if values is None:
            continue
        spanning.spans[first] = last
        spanning.values.append(values)
        used = last + 1
    _refuse_hidden_rows(lines, spanning, layout, first_line, file_name)
    return spanning


class _Ends:
    """The lines on which values that span lines end."""

    def __init__(self, lines: pl.Series, layout: Layout) -> None:
        dialect = layout.dialect
        self._lines = lines.fill_null("")
        self._ending = (~self._lines.str.contains(dialect.continues)).arg_true()
        ending = self._lines.gather(self._ending)
        self._positions = self._ending.to_list()
        self._closes = ending.str.contains(dialect.closes).to_list()
        self._reopens = ending.str.contains(dialect.reopens).to_list()
        self._text = self._lines.to_list()

    def last_line(self, first: int) -> int | None:
        """The last line of the record that begins on line `first` with an open value.

        None where it does not end soundly, and the number of lines where it does not end.
        """
        at = bisect_left(self._positions, first + 1)
        while at < len(self._positions) and self._reopens[at]:
            at += 1
        if at == len(self._positions):
            return len(self._text)
        return self._positions[at] if self._closes[at] else None

    def bytes_from(self, first: int) -> int:
        return int(self._lines.slice(first).str.len_bytes().sum()) + self._lines.len() - first

    def text(self, first: int, last: int) -> str:
        return "\n".join(self._text[first : last + 1])


def _refuse_hidden_rows(lines: pl.Series, spanning: _Records, layout: Layout, first_line: int, file_name: str) -> None:
    """Refuse a file in which two stray quotes may have joined several rows into one record. Signs of that: its lines
    hold more than one row, or more than one row's date; a row is wholly inside a value; or its last line is a whole
    sale, but the record takes ids from another line.
    """
    spans = spanning.spans
    inside = [at for first, last in spans.items() for at in range(first, last + 1)]
    texts = lines.gather(inside).fill_null("")
    rows = dict(zip(inside, layout.rows_in(texts)))
    wholly = dict(zip(inside, texts.str.contains(layout.dialect.continues)))
    sales = dict(zip(inside, layout.sales_in(texts)))
    counted = [rows, *(dict(zip(inside, core)) for core in layout.cores_in(texts))]
    for (first, last), values in zip(spans.items(), spanning.values):
        hidden = [at for at in range(first + 1, last + 1) if rows[at]]
        is_one_inside = any(wholly[at] for at in hidden if at < last)
        is_sale_already = sales[last] and layout.follows_ids(values)
        is_more = any(sum(counts[at] for at in range(first, last + 1)) > 1 for counts in counted)
        if is_one_inside or is_sale_already or is_more:
            raise FileRefused(
                f"{file_name}, line {first_line + first}: a quote is opened here and closed on line "
                f"{first_line + last}, and line {first_line + min(hidden, default=first)} is a row of its own, "
                "so rows would be lost; close the quote on its line, or write it twice where it is part of a "
                "value, and upload the file again"
            )


def _polars_frame(lines: pl.Series, mask: pl.Series, layout: Layout, quote: str) -> pl.DataFrame:
    """The lines under the mask as Polars reads them; each is checked to have every byte in one of its values."""
    positions, texts = mask.arg_true(), lines.filter(mask)
    return _checked(positions, texts, texts, _joined(texts), layout, quote)


def _joined(texts: pl.Series) -> bytes:
    return ((texts.str.join("\n").item() or "") + "\n").encode("utf-8")


def _checked(
    positions: pl.Series, texts: pl.Series, originals: pl.Series, block: bytes, layout: Layout, quote: str
) -> pl.DataFrame:
    """The texts, which are the block's lines, as Polars reads them."""
    if texts.is_empty():
        return _exact_frame([], [], layout)
    frame = read_csv(block, layout, quote=quote or None).select(layout.names)
    if frame.height != texts.len():
        return _split_frame(positions, originals, layout)
    values = pl.col(list(layout.names))
    kept, wanted = values.str.len_bytes(), texts.str.len_bytes()
    if quote:
        # Quotes around values are removed and doubled ones become one, so every other character must remain.
        wanted = wanted - texts.str.count_matches(quote, literal=True)
        if (quote * 2).encode("utf-8") in block:
            kept = kept - values.str.count_matches(quote, literal=True)
            frame = frame.with_columns(pl.when(values.str.len_bytes() > 0).then(values))
    lengths = frame.select(pl.sum_horizontal(kept) + (layout.width - 1)).to_series()
    is_malformed = (lengths != wanted).fill_null(True)
    if not quote and layout.dialect.quote:
        strict = [pl.col(name) for name in layout.strict]
        strays = (
            value.str.contains(layout.dialect.quote, literal=True) & ~value.str.contains(layout.dialect.excel_text)
            for value in strict
        )
        is_malformed |= frame.select(pl.any_horizontal(strays).fill_null(False)).to_series()
    return frame.select(
        pl.lit(positions).alias(_POSITION),
        pl.lit(is_malformed).alias(IS_MALFORMED),
        pl.when(pl.lit(is_malformed)).then(pl.lit(originals)).alias(SOURCE_TEXT),
        *layout.names,
    )


def _other_frames(lines: pl.Series, mask: pl.Series, layout: Layout) -> list[pl.DataFrame]:
    """Single lines that are not simple: blanks around quotes, quotes inside values, and what is malformed."""
    positions, texts, dialect = mask.arg_true(), lines.filter(mask), layout.dialect
    if texts.is_empty():
        return []
    is_escaped = (
        texts.str.contains(dialect.escape, literal=True)
        if dialect.escape
        else pl.repeat(False, texts.len(), dtype=pl.Boolean(), eager=True)
    )
    # The end of the first of two rows is lost, and quotes hide the second in a value of it.
    is_crowded = _may_be_two(texts, layout) & (layout.rows_in(texts) > 1)
    is_special = is_escaped | texts.str.contains("\r", literal=True) | is_crowded
    is_unquoted = texts.str.contains(dialect.unquoted) & ~is_special
    bare = texts.str.replace_all(dialect.padded, "${1}${2}")
    is_padded = bare.str.contains(dialect.simple) & ~is_special & ~is_unquoted
    exact = ~(is_unquoted | is_padded)
    unquoted, padded = texts.filter(is_unquoted), bare.filter(is_padded)
    return [
        _checked(positions.filter(is_unquoted), unquoted, unquoted, _joined(unquoted), layout, ""),
        _checked(positions.filter(is_padded), padded, texts.filter(is_padded), _joined(padded), layout, dialect.quote),
        _split_frame(positions.filter(exact), texts.filter(exact), layout),
    ]


def _split_frame(positions: pl.Series, texts: pl.Series, layout: Layout) -> pl.DataFrame:
    """Lines split one by one: slow and exact."""
    records = [None if rows > 1 else layout.holds(text) for text, rows in zip(texts, layout.rows_in(texts))]
    is_sound = pl.Series([values is not None for values in records], dtype=pl.Boolean())
    sound = [values for values in records if values is not None]
    malformed = pl.DataFrame({_POSITION: positions.filter(~is_sound), SOURCE_TEXT: texts.filter(~is_sound)})
    rows = _exact_frame(positions.filter(is_sound).to_list(), sound, layout)
    return pl.concat([rows, malformed.with_columns(pl.lit(True).alias(IS_MALFORMED))], how="diagonal")


def _exact_frame(positions: Sequence[int], values: Sequence[Sequence[str]], layout: Layout) -> pl.DataFrame:
    """A frame of sound records that are already split."""
    columns = zip(*values) if values else [()] * layout.width
    texts = {name: pl.Series(column, dtype=pl.String()) for name, column in zip(layout.names, columns)}
    return pl.DataFrame(
        {
            _POSITION: pl.Series(positions, dtype=pl.UInt32()),
            IS_MALFORMED: pl.repeat(False, len(positions), dtype=pl.Boolean(), eager=True),
            SOURCE_TEXT: pl.repeat(None, len(positions), dtype=pl.String(), eager=True),
            **texts,
        }
    ).with_columns(pl.when(pl.col(list(layout.names)).str.len_bytes() > 0).then(pl.col(list(layout.names))))


def _record_texts(lines: pl.Series, spans: Mapping[int, int]) -> pl.Series:
    """Position of a record's first line -> the whole record, unchanged."""
    if not spans:
        return lines
    whole = ["\n".join(lines.slice(first, last + 1 - first).fill_null("")) for first, last in spans.items()]
    return lines.clone().scatter(list(spans), whole)


def _without_escapes(rows: pl.DataFrame, texts: pl.Series, layout: Layout) -> pl.DataFrame:
    """Rows in which a backslash before a closing quote would become part of a value of the contract are malformed."""
    if not layout.dialect.stray_escape:
        return rows
    ends = pl.any_horizontal(pl.col(name).str.ends_with("\\").fill_null(False) for name in layout.strict)
    return _malformed_where(rows, ends & texts.str.contains(layout.dialect.stray_escape, literal=True), texts)


def _malformed_where(rows: pl.DataFrame, is_slip: pl.Expr, texts: pl.Series) -> pl.DataFrame:
    is_malformed = rows.select(pl.col(IS_MALFORMED) | is_slip).to_series()
    return rows.with_columns(
        pl.lit(is_malformed).alias(IS_MALFORMED),
        pl.when(pl.lit(is_malformed)).then(pl.coalesce(SOURCE_TEXT, pl.lit(texts))).alias(SOURCE_TEXT),
    )


def _without_controls(rows: pl.DataFrame, texts: pl.Series, layout: Layout) -> pl.DataFrame:
    """Rows with a NUL or a carriage return inside a value of the contract are malformed."""
    if not texts.str.contains("[\0\r]").any():
        return rows
    read = ((pl.col(name).str.strip_chars(), name in layout.spanning) for name in layout.names if name in layout.read)
    has_control = pl.any_horizontal(
        value.str.contains("\0" if may_span else _CONTROLS).fill_null(False) for value, may_span in read
    )
    return _malformed_where(rows, has_control, texts)
