"""The layout of a file: which of its columns the contract reads, and which shape a row must have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import polars as pl

from jobs.csv.records import WHITE_SPACE, Dialect, escaped
from schemas.sources import LINE_NUMBER, heading_key

ORDER_LINE = "order_line"
"""The frame's name for the column that the reader supplies for LINE_NUMBER."""

_DATE = r"(?:\d[-/:]\d|\d\.\d{1,2}\.\d)"
"""A part of a date that no amount and no plain numeric id has."""
_FEWEST_IDS = 3
"""The end of a note may look like one or two ids, but rarely like three."""


@dataclass(frozen=True)
class Layout:
    """The columns of one file."""

    dialect: Dialect
    header: tuple[str, ...]
    """The headings as written in the file."""
    names: tuple[str, ...]
    """The frame's name for each: the contract's for a contract column, `extra_<position>` for another. There are
    more names where each row ends with delimiters that the header lacks."""
    parts: Mapping[str, tuple[str, ...]]
    """Contract column -> the names of the columns that it is made of."""
    spanning: frozenset[str]
    """Names of the columns whose values may span lines."""
    is_rejected_file: bool = False
    """A rejected file that was corrected and uploaded: some of its apostrophes are ours."""

    @property
    def width(self) -> int:
        return len(self.names)

    def of_width(self, width: int) -> Layout:
        """The layout of rows that are wider or narrower than the header by columns without a heading."""
        unnamed = tuple(f"extra_{at + 1}" for at in range(self.width, width))
        names = (*self.names[:width], *unnamed)
        spanning = (self.spanning | set(unnamed)) & set(names)
        return replace(self, header=self.header[:width], names=names, spanning=spanning)

    @property
    def ignored_columns(self) -> list[str]:
        """Headings of the columns that are not read, trimmed."""
        return [heading.strip(WHITE_SPACE) for heading, name in zip(self.header, self.names) if name not in self.read]

    @cached_property
    def read(self) -> frozenset[str]:
        """Names of the columns that are read."""
        return frozenset(name for names in self.parts.values() for name in names)

    @property
    def fewest_delimiters_of_two(self) -> int:
        """Of a line with two rows, the second inside a value of the first, perhaps without its ignored columns."""
        return self.width + len(self.read - {ORDER_LINE}) - 2

    @property
    def first_read(self) -> str:
        """The name of the first column that every row must have."""
        return next(iter(self.parts.values()))[0]

    @cached_property
    def strict(self) -> tuple[str, ...]:
        """Names of the columns whose values may hold no line break, and a quote only when they are quoted."""
        return tuple(name for name in self.names if name not in self.spanning)

    def holds(self, record: str) -> list[str] | None:
        """The values of a sound record of this layout, which may have several lines; None if it is not sound."""
        parsed = self.dialect.parse(record)
        if parsed is None or len(parsed[0]) != self.width:
            return None
        values, strays = parsed
        is_escaped = self.dialect.stray_escape and self.dialect.stray_escape in record
        is_slip = any(
            at in strays or "\n" in value or (is_escaped and value.endswith("\\"))
            for at, (name, value) in enumerate(zip(self.names, values))
            if name not in self.spanning
        )
        return None if is_slip else values

    @cached_property
    def is_derived(self) -> bool:
        """True where a contract column is made of other columns of the file."""
        return any(names != (column,) for column, names in self.parts.items())

    def rows_in(self, lines: pl.Series) -> pl.Series:
        """How many rows a person sees in each physical line, whatever quotes it has: 0, 1, or 2 for more.

        A line as wide as the header is a row, and so is one in which the contract's values can be found in
        the header's order.
        """
        dialect = self.dialect
        delimiters = lines.str.count_matches(dialect.delimiter, literal=True)
        bare = self._bare(lines)
        # Polars' patterns take linear time, whatever the text is; Python's do not.
        is_row = (delimiters == self.width - 1) & ~bare.str.contains(dialect.without_value)
        is_two = pl.repeat(False, lines.len(), dtype=pl.Boolean(), eager=True)
        if self.sale:
            is_row |= bare.str.contains(self.sale)
            # Where the line end between them is lost, the second begins within the last value of the first.
            is_two = bare.str.contains(f"{self.sale}.*{self._sale_values}")
        unsure = (~is_row & (delimiters >= self.width - 1)).arg_true()
        wide = [at for at in unsure if self._is_wide(lines[at])]
        return is_row.scatter(wide, True).cast(pl.Int8) + is_two.cast(pl.Int8)

    def sales_in(self, lines: pl.Series) -> pl.Series:
        """True where the values of a whole sale can be found in a physical line."""
        if not self.sale:
            return pl.repeat(False, lines.len(), dtype=pl.Boolean(), eager=True)
        return self._bare(lines).str.contains(self.sale)

    def cores_in(self, lines: pl.Series) -> list[pl.Series]:
        """For each of `core`, whether it can be found in each physical line: 0 or 1."""
        bare = self._bare(lines)
        return [bare.str.contains(core).cast(pl.Int8) for core in self.core]

    def _bare(self, lines: pl.Series) -> pl.Series:
        return lines.str.replace_all(self.dialect.quote, "", literal=True) if self.dialect.quote else lines

    def follows_ids(self, values: Sequence[str]) -> bool:
        """True where the last line break of a record comes after three or more columns that are read."""
        last = max(at for at, value in enumerate(values) if "\n" in value)
        return sum(name in self.read for name in self.names[:last]) >= _FEWEST_IDS

    def _is_wide(self, line: str) -> bool:
        readings = (self.dialect.split(line), self.dialect.split(line + self.dialect.quote))
        return any(values is not None and len(values) == self.width for values in readings)

    def _beginning(self, name: str, mark: str) -> str:
        """The pattern for the start of a sale's last value, as far as it must be checked."""
        if name in self.parts["transaction_id"]:
            return rf"[^{mark}]*[^\s{mark}]"
        if name in self.parts["quantity"]:
            return rf"[^A-Za-z{mark}]*\d"
        return rf"[^{mark}]*{_DATE}" if name in self.parts["transaction_date"][:1] else ""

    @cached_property
    def sale(self) -> str:
        """A pattern, for Polars and Python, of the contract's values in the header's order; empty for dimensions."""
        return self._start + self._sale_values if self._groups else ""

    @cached_property
    def _sale_values(self) -> str:
        mark = escaped(self.dialect.delimiter)
        return f"{mark}(?:.*{mark})?".join(map(self._side_by_side, self._groups))

    @property
    def _start(self) -> str:
        """Before a sale. Only an id may begin after other text, where the line end before it is lost."""
        return "" if self._groups[0][0] in self.parts["transaction_id"] else self._value_start

    @property
    def _value_start(self) -> str:
        return f"(?:^|{escaped(self.dialect.delimiter)})"

    @cached_property
    def core(self) -> list[str]:
        """Patterns that no note matches: the date, with the columns next to it that are read."""
        telling = set(self.parts.get("transaction_date", ()))
        return [
            (self._start if group == self._groups[0] else self._value_start) + self._side_by_side(group)
            for group in self._groups
            if telling & set(group)
        ]

    @cached_property
    def _groups(self) -> list[list[str]]:
        """The columns that are read, grouped where they are adjacent; none for a dimension."""
        groups: list[list[str]] = [[]]
        for name in self.names if "quantity" in self.parts else ():
            if name in self.read:
                groups[-1].append(name)
            elif groups[-1]:
                groups.append([])
        return [group for group in groups if group]

    def _side_by_side(self, group: Sequence[str]) -> str:
        mark = escaped(self.dialect.delimiter)
        no_letters, a_word = f"[^A-Za-z{mark}]*", rf"[^\S{mark}]*[^\s{mark}]*[^\S{mark}]*"
        looks = {
            **dict.fromkeys(self.read, a_word),
            **dict.fromkeys(self.parts["status"], f"[^{mark}]*"),
            **dict.fromkeys(self.parts["transaction_id"], rf"[^\S{mark}]*[^\s{mark}]+[^\S{mark}]*"),
            **dict.fromkeys(self.parts["quantity"], rf"{no_letters}\d{no_letters}"),
            **dict.fromkeys(self.parts["transaction_date"][:1], rf"[^{mark}]*{_DATE}[^{mark}]*"),
        }
        whole = [looks[name] for name in group]
        if group == self._groups[-1]:
            # Not checked to its end: where a line end is lost, the next row begins in it.
            whole[-1] = self._beginning(group[-1], mark)
        return mark.join(whole)


@dataclass(frozen=True)
class Columns:
    """The columns that a header must have: contract column -> the headings it is made of."""

    wanted: Mapping[str, Sequence[str]]
    spanning: frozenset[str] = frozenset()
    """Contract columns whose values may span lines."""

    @cached_property
    def headings(self) -> dict[str, str]:
        """heading_key -> the heading as it is wanted."""
        named = [heading for headings in self.wanted.values() for heading in headings if heading != LINE_NUMBER]
        return {heading_key(heading): heading for heading in named}

    def missing(self, header: Sequence[str]) -> list[str]:
        """The wanted headings that a header lacks."""
        present = {heading_key(heading) for heading in header}
        return [heading for key, heading in self.headings.items() if key not in present]

    def written_twice(self, header: Sequence[str]) -> list[str]:
        """Headings, as written, that are two spellings of one wanted heading."""
        keys = [heading_key(heading) for heading in header]
        return [heading for heading, key in zip(header, keys) if key in self.headings and keys.count(key) > 1]

    def layout(self, header: Sequence[str], dialect: Dialect, *, is_rejected_file: bool = False) -> Layout:
        """The layout of a file with this header, in which nothing is missing."""
        positions = {heading_key(heading): at for at, heading in enumerate(header)}
        # A rejected file has the reader's own column among its headings.
        line_number = positions.get(heading_key(LINE_NUMBER))
        sole = {
            positions[heading_key(headings[0])]: column
            for column, headings in reversed(list(self.wanted.items()))
            if len(headings) == 1
        }
        names = tuple(sole.get(at, f"extra_{at + 1}") for at in range(len(header)))

        def name_of(heading: str) -> str:
            if heading == LINE_NUMBER:
                return ORDER_LINE if line_number is None else names[line_number]
            return names[positions[heading_key(heading)]]

        parts = {column: tuple(map(name_of, headings)) for column, headings in self.wanted.items()}
        read = {name for of_column in parts.values() for name in of_column}
        return Layout(
            dialect=dialect,
            header=tuple(header),
            names=names,
            parts=parts,
            spanning=frozenset(name for name in names if name not in read or name in self.spanning),
            is_rejected_file=is_rejected_file,
        )
