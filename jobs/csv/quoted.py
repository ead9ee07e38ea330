"""Which lines of a block are which records, where quotes stand in it.

A record is one physical line, unless a value of it is quoted, may span lines, and is closed
soundly. Any other line is malformed by itself, and reading goes on with the next one: a slip
of a quote costs one row. Two slips can close each other and hide the rows between them. So a
file is refused where a value that spans lines hides a row.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field

import polars as pl

from jobs.csv.blocks import IS_MALFORMED, SOURCE_LINE, SOURCE_TEXT, lines_of, read_csv, unguarded
from jobs.csv.layout import Layout
from jobs.csv.records import MAX_RECORD_BYTES
from jobs.errors import FileRefused

_POSITION = "position"
"""Of a record's first line in its block."""
_CONTROLS = "[\0\r\n]"
"""No column of the warehouse holds a NUL, and a line break inside an id is a slip of a quote."""


@dataclass
class _Records:
    """What the lines of a block were found to be."""

    spans: dict[int, int] = field(default_factory=dict)
    """Position of the first line of a record of several -> that of its last."""
    values: list[Sequence[str]] = field(default_factory=list)
    """The values of each of these records."""
    unfinished: int | None = None
    """Position of a record that goes on beyond the block."""


def quoted_frame(
    block: bytes, first_line: int, layout: Layout, *, is_last: bool, file_name: str
) -> tuple[pl.DataFrame, int]:
    """The records of a block of whole lines, and how many of its lines they are.

    A record that goes on beyond the block is left to the next one. Raises FileRefused where a value hides a row.
    """
    lines = lines_of(block).str.strip_suffix("\r")
    lines = lines.set(lines == "", None)
    kinds = _Kinds.of(lines, layout)
    found = _spanning(lines, kinds, layout, first_line, is_last=is_last, file_name=file_name)
    used = lines.len() if found.unfinished is None else found.unfinished
    inside = [at for first, last in found.spans.items() for at in range(first, last + 1)]
    is_single = lines.is_not_null()
    if inside or used < lines.len():
        is_single = is_single.scatter(inside, False).set(pl.int_range(lines.len(), eager=True) >= used, False)
    frames = [
        _polars_frame(lines, is_single & kinds.is_simple, layout, layout.dialect.quote),
        *_other_frames(lines, is_single & ~kinds.is_simple, layout),
        _exact_frame(list(found.spans), found.values, layout),
    ]
    rows = pl.concat([frame for frame in frames if frame.height] or frames[:1])
    if rows.height and not rows.get_column(_POSITION).is_sorted():
        rows = rows.sort(_POSITION)
    rows = _without_controls(unguarded(rows, layout), lines, layout)
    return rows.select(
        (pl.col(_POSITION).cast(pl.Int64) + first_line).alias(SOURCE_LINE), IS_MALFORMED, SOURCE_TEXT, *layout.names
    ), used


@dataclass(frozen=True)
class _Kinds:
    """What each line of a block can be."""

    is_simple: pl.Series
    """Polars reads it right as it stands."""
    opens: list[int]
    """Positions of the lines with a value that goes on in the next line."""

    @classmethod
    def of(cls, lines: pl.Series, layout: Layout) -> _Kinds:
        dialect = layout.dialect
        if len((dialect.delimiter + dialect.quote).encode("utf-8")) != 2:
            is_simple = pl.repeat(False, lines.len(), dtype=pl.Boolean(), eager=True)
        else:
            is_simple = (lines.str.contains(dialect.simple) & ~lines.str.contains("\r", literal=True)).fill_null(False)
            # One line of so many delimiters may be two rows, the second of them inside a value of the first.
            most = layout.width + len(layout.read) - 2
            delimiters = lines.str.count_matches(dialect.delimiter, literal=True)
            is_simple &= (delimiters <= most).fill_null(False)
        rest = (~is_simple & lines.is_not_null()).arg_true()
        opens = rest.filter(lines.gather(rest).str.contains(dialect.opens)).to_list() if dialect.quote else []
        return cls(is_simple, opens)


def _spanning(
    lines: pl.Series, kinds: _Kinds, layout: Layout, first_line: int, *, is_last: bool, file_name: str
) -> _Records:
    """The records of several lines."""
    found = _Records()
    if not kinds.opens:
        return found
    ends = _Ends(lines, layout)
    used = 0
    for first in kinds.opens:
        # A line inside the record before it is part of that, whatever it looks like.
        if first < used:
            continue
        last = ends.last_line(first)
        if last is None:
            if not is_last and ends.bytes_from(first) <= MAX_RECORD_BYTES:
                found.unfinished = first
                return found
            continue
        text = ends.text(first, last)
        values = layout.holds(text) if len(text) <= MAX_RECORD_BYTES else None
        if values is None:
            continue
        _refuse_hidden_row(text, layout, first_line + first, file_name)
        found.spans[first] = last
        found.values.append(values)
        used = last + 1
    return found


class _Ends:
    """Where the values that go on beyond their line end."""

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
        """The line on which the record ends that begins with an open value; None where it does not end soundly."""
        at = bisect_left(self._positions, first + 1)
        while at < len(self._positions) and self._reopens[at]:
            at += 1
        return self._positions[at] if at < len(self._positions) and self._closes[at] else None

    def bytes_from(self, first: int) -> int:
        return int(self._lines.slice(first).str.len_bytes().sum()) + self._lines.len() - first

    def text(self, first: int, last: int) -> str:
        return "\n".join(self._text[first : last + 1])


def _refuse_hidden_row(text: str, layout: Layout, first_line: int, file_name: str) -> None:
    """Refuse where among the lines of one record there is more than one row, or one wholly inside a value."""
    lines = text.split("\n")
    rows = [layout.rows_in(physical) for physical in lines]
    is_inside = re.compile(layout.dialect.continues)
    if sum(rows) > 1 or any(seen and is_inside.match(line) for seen, line in zip(rows[1:-1], lines[1:-1])):
        hidden = first_line + next((at for at, seen in enumerate(rows) if seen and at), 0)
        closed = first_line + len(lines) - 1
        raise FileRefused(
            f"{file_name}, line {first_line}: a quote is opened here and closed on line {closed}, and line "
            f"{hidden} in between is a row of its own, so rows would be lost; close the quote on its line, "
            "or write it twice where it is part of a value, and upload the file again"
        )


def _polars_frame(lines: pl.Series, mask: pl.Series, layout: Layout, quote: str) -> pl.DataFrame:
    """The lines under the mask as Polars reads them, each checked: is every byte in one of its values?"""
    positions, texts = mask.arg_true(), lines.filter(mask)
    return _checked(positions, texts, texts, layout, quote)


def _checked(positions: pl.Series, texts: pl.Series, originals: pl.Series, layout: Layout, quote: str) -> pl.DataFrame:
    if texts.is_empty():
        return _exact_frame([], [], layout)
    block = (texts.str.join("\n").item() + "\n").encode("utf-8")
    frame = read_csv(block, layout, quote=quote or None).select(layout.names)
    if frame.height != texts.len():
        return _split_frame(positions, originals, layout)
    values = pl.col(list(layout.names))
    kept, wanted = values.str.len_bytes(), texts.str.len_bytes()
    if quote:
        # Quotes round values go, and of two inside one stays: what is not a quote must all be there.
        wanted = wanted - texts.str.count_matches(quote, literal=True)
        if quote * 2 in block.decode("utf-8"):
            kept = kept - values.str.count_matches(quote, literal=True)
            frame = frame.with_columns(pl.when(values.str.len_bytes() > 0).then(values))
    found = frame.select(pl.sum_horizontal(kept) + (layout.width - 1)).to_series()
    is_malformed = (found != wanted).fill_null(True)
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
    is_special = is_escaped | texts.str.contains("\r", literal=True) | _is_crowded(texts, layout)
    is_unquoted = texts.str.contains(dialect.unquoted) & ~is_special
    bare = texts.str.replace_all(dialect.padded, "${1}${2}")
    is_padded = bare.str.contains(dialect.simple) & ~is_special & ~is_unquoted
    exact = ~(is_unquoted | is_padded)
    unquoted = texts.filter(is_unquoted)
    return [
        _checked(positions.filter(is_unquoted), unquoted, unquoted, layout, ""),
        _checked(positions.filter(is_padded), bare.filter(is_padded), texts.filter(is_padded), layout, dialect.quote),
        _split_frame(positions.filter(exact), texts.filter(exact), layout),
    ]


def _is_crowded(texts: pl.Series, layout: Layout) -> pl.Series:
    """True where a line is two rows: the end of the first is lost, and quotes hide the second in a value of it."""
    bare = texts.str.replace_all(layout.dialect.quote, "", literal=True) if layout.dialect.quote else texts
    if not layout.two_sales:
        return pl.repeat(False, texts.len(), dtype=pl.Boolean(), eager=True)
    return bare.str.contains(layout.two_sales)


def _split_frame(positions: pl.Series, texts: pl.Series, layout: Layout) -> pl.DataFrame:
    """Lines split one by one, the slow and exact way."""
    found = [None if layout.rows_in(text) > 1 else layout.holds(text) for text in texts]
    is_sound = pl.Series([values is not None for values in found], dtype=pl.Boolean())
    sound = [values for values in found if values is not None]
    malformed = pl.DataFrame({_POSITION: positions.filter(~is_sound), SOURCE_TEXT: texts.filter(~is_sound)})
    rows = _exact_frame(positions.filter(is_sound).to_list(), sound, layout)
    return pl.concat([rows, malformed.with_columns(pl.lit(True).alias(IS_MALFORMED))], how="diagonal")


def _exact_frame(positions: Sequence[int], values: Sequence[Sequence[str]], layout: Layout) -> pl.DataFrame:
    """Sound records that are split already."""
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


def _without_controls(rows: pl.DataFrame, lines: pl.Series, layout: Layout) -> pl.DataFrame:
    """Rows with a NUL or a carriage return inside a value of the contract are malformed."""
    if not lines.str.contains("[\0\r]").any():
        return rows
    read = ((pl.col(name).str.strip_chars(), name in layout.spanning) for name in layout.names if name in layout.read)
    has_control = pl.any_horizontal(
        value.str.contains("\0" if may_span else _CONTROLS).fill_null(False) for value, may_span in read
    )
    is_malformed = rows.select(pl.col(IS_MALFORMED) | has_control).to_series()
    text = pl.lit(lines).gather(pl.col(_POSITION))
    return rows.with_columns(
        pl.lit(is_malformed).alias(IS_MALFORMED),
        pl.when(pl.lit(is_malformed)).then(pl.coalesce(SOURCE_TEXT, text)).alias(SOURCE_TEXT),
    )
