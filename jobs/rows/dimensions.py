"""The rows of a dimension's file: what a product or customer must have, and which texts are corrected.

A dimension is small beside the facts and everything is priced by it, so no row is
rejected: one wrong id or price refuses the file. A descriptive text never
refuses a file. It is cut where it is too long, and a line break in it becomes a blank. A row
that equals an earlier one is skipped.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import polars as pl

from jobs.csv.header import refuse_second_header
from jobs.csv.reader import IS_MALFORMED, SourceFile
from jobs.errors import DimensionRefused
from jobs.rows.ids import ROUNDED, IdReader
from jobs.rows.numbers import GROUP_OR_DECIMALS, NumberReader
from jobs.rows.text import clean
from schemas.counted import counted
from schemas.reject_reasons import PRICE_FORM
from schemas.rejected_file import SOURCE_LINE, SOURCE_TEXT
from schemas.sources import DEFAULT, heading_key
from schemas.warehouse.tables import Column, Dimension

_TOTAL_WORDS = (
    *("total", "totals", "grand total", "subtotal", "sub-total", "total result", "sum"),
    *("summe", "gesamt", "gesamtsumme", "gesamtergebnis", "zwischensumme", "insgesamt"),
    *("total général", "sous-total", "totale", "totaal", "suma", "razem"),
)
"""The id in the row of a total, as spreadsheets and reports write it; a number of rows may follow."""
_TOTAL = rf"(?i)^(?:{'|'.join(_TOTAL_WORDS)})(?:\s*[:=]\s*[0-9]*|\s*\([0-9]+\))?$"
_LINE_BREAK = r"\r\n|\r|\n"
_SHOWN = 80
_BESIDE_A_NUMBER = r"^-?(?:[A-Za-z]{0,3}\p{Sc}|[A-Za-z]{2,3}\.?)\s*-?[0-9]|[0-9]\s*(?:\p{Sc}|[A-Za-z]{2,3}\.?)$"
"""The sign or code of a currency: €, R$, USD, kr."""
_TWO_PRICES = (
    "has two meanings, as 1.000 is one or a thousand; set `thousands_separator`, and `decimal_comma` if a comma is "
    "the decimal mark, in the source's settings"
)
_PRICE_FAULTS = {
    GROUP_OR_DECIMALS: _TWO_PRICES,
    _BESIDE_A_NUMBER: "has a currency or unit beside the number, and the warehouse keeps none; write the number alone",
    "": f"is not {PRICE_FORM}",
}
"""A pattern of unreadable prices -> the fault; the first that matches counts."""


@dataclass
class _Rows:
    """The number of rows with the same fault or the same change, and the first lines."""

    lines: list[int] = field(default_factory=list)
    """The first two."""
    rows: int = 0

    def add(self, rows: pl.DataFrame) -> None:
        self.rows += rows.height
        self.lines = sorted([*self.lines, *rows.get_column(SOURCE_LINE).sort().head(2)])[:2]

    @property
    def more(self) -> str:
        if self.rows < 2:
            return ""
        return f" (so it is on {counted(self.rows - 1, 'more row')}, next on line {self.lines[1]})"


class DimensionRows:
    """The rows of one file, a chunk at a time; call `refuse_faults` when all are read."""

    def __init__(self, source: SourceFile, dimension: Dimension) -> None:
        """Reads the keys of the file once."""
        self._source = source
        self._columns = dimension.source_columns
        self._key = dimension.source_columns[0]
        settings = source.settings
        self._ids = IdReader(settings.null_words)
        self._prices = NumberReader(
            decimal_comma=settings.decimal_comma,
            thousands_separator=settings.thousands_separator,
            decimal_point=_has_decimal_point(source),
        )
        self._repeated = self._find_repeated()
        # The first row seen so far of each repeated key.
        self._first = pl.DataFrame()
        self._repeats = _Rows()
        self._totals = _Rows()
        self._faults: dict[str, tuple[str, _Rows]] = {}
        self._cut: dict[str, _Rows] = {}

    def chunks(self) -> Iterator[pl.DataFrame]:
        """Typed rows with SOURCE_LINE. A chunk with a fault gives none, since nothing is loaded then."""
        for chunk in self._source.chunks():
            faults = len(self._faults)
            rows = self._read(chunk)
            if len(self._faults) == faults == 0:
                yield rows

    def refuse_faults(self) -> None:
        """Raises DimensionRefused naming the fault on the earliest line and how often it occurs."""
        if not self._faults:
            return
        fault, rows = min(self._faults.values(), key=lambda fault_rows: fault_rows[1].lines[0])
        raise DimensionRefused(
            f"{self._source.name}, line {rows.lines[0]}: {fault}{rows.more}; "
            "nothing was loaded, correct the file and upload it again"
        )

    @property
    def notes(self) -> list[str]:
        """A sentence for each column whose texts were cut, and for each kind of skipped row.

        They are without the texts, which may be personal data.
        """
        cut = [
            f"{name} is longer than {max_bytes} bytes on line {cut_rows.lines[0]}{cut_rows.more}; it was cut there"
            for name, max_bytes in ((column.name, column.max_bytes) for column in self._columns)
            for cut_rows in [self._cut.get(name)]
            if cut_rows is not None
        ]
        skipped = {"repeats an earlier row": self._repeats, "is the row of a total": self._totals}
        return cut + [
            f"line {rows.lines[0]} {what}{rows.more}; such a row was skipped"
            for what, rows in skipped.items()
            if rows.rows
        ]

    def _read(self, chunk: pl.DataFrame) -> pl.DataFrame:
        names = [column.name for column in self._columns]
        text = chunk.select(*names, SOURCE_LINE, IS_MALFORMED)
        text = text.with_columns(self._cleaned(text.get_column(column.name), column) for column in self._columns)
        # A row for an extra image in a shop's export has no product data.
        text = text.filter(pl.col(IS_MALFORMED) | ~pl.all_horizontal(pl.col(names).is_null()))
        text = self._without_totals(text)
        refuse_second_header(text, self._source.layout, self._source.name)
        key = pl.col(self._key.name)
        sound = text.filter(~pl.col(IS_MALFORMED))
        self._find_malformed(chunk.filter(IS_MALFORMED))
        self._fault(sound.filter(key.is_null()), "key", f"the row has no {self._key.name}")
        typed = [sound.get_column(SOURCE_LINE), *(self._typed(sound, column) for column in self._columns)]
        return self._without_repeats(pl.DataFrame(typed))

    def _without_totals(self, text: pl.DataFrame) -> pl.DataFrame:
        """The rows without those whose id is a word for a total and that describe nothing."""
        described = [column.name for column in self._columns[1:] if column.max_bytes is not None]
        is_total = pl.col(self._key.name).str.contains(_TOTAL) & pl.all_horizontal(pl.col(described).is_null())
        is_total = is_total.fill_null(False) & ~pl.col(IS_MALFORMED)
        totals = text.filter(is_total)
        if totals.is_empty():
            return text
        self._totals.add(totals)
        return text.filter(~is_total)

    def _cleaned(self, text: pl.Series, column: Column) -> pl.Series:
        """Null where there is nothing."""
        if column.name.endswith("_id"):
            return self._ids.read(text)
        cleaned = clean(text)
        return cleaned.set((cleaned.str.len_bytes() == 0).fill_null(False), None)

    def _typed(self, rows: pl.DataFrame, column: Column) -> pl.Series:
        text = rows.get_column(column.name)
        if column.max_bytes is None:
            prices = self._prices.read_price(text)
            self._find_no_prices(rows.filter(prices.is_null()), column)
            return prices
        is_too_long = (text.str.len_bytes() > column.max_bytes).fill_null(False)
        if column.name.endswith("_id"):
            self._unfit(rows, is_too_long, column, f"is longer than {column.max_bytes} bytes")
            is_rounded = text.str.contains(ROUNDED).fill_null(False)
            self._unfit(rows, is_rounded, column, "was rounded by a spreadsheet, so it may stand for several")
            return text
        if is_too_long.any():
            self._cut.setdefault(column.name, _Rows()).add(rows.filter(is_too_long))
            cut = [_cut(value, column.max_bytes) for value in text.filter(is_too_long)]
            text = text.scatter(is_too_long.arg_true(), pl.Series(cut, dtype=pl.String()))
        return text.str.replace_all(_LINE_BREAK, " ")

    def _find_no_prices(self, rows: pl.DataFrame, column: Column) -> None:
        for pattern, fault in _PRICE_FAULTS.items():
            matches = rows.get_column(column.name).fill_null("").str.contains(pattern)
            self._unfit(rows, matches, column, fault)
            rows = rows.filter(~matches)

    def _find_malformed(self, malformed: pl.DataFrame) -> None:
        if malformed.height:
            layout = self._source.layout
            reason = layout.dialect.fault(malformed.item(0, SOURCE_TEXT), len(layout.header))
            self._fault(malformed, "shape", f"the row cannot be read: {reason}")

    def _unfit(self, rows: pl.DataFrame, is_unfit: pl.Series, column: Column, fault: str) -> None:
        unfit = rows.filter(is_unfit)
        if unfit.height:
            value = unfit.get_column(column.name)[0]
            printed = repr(value[:_SHOWN]) if value is not None else "(empty)"
            self._fault(unfit, column.name + fault, f"{column.name} {printed} {fault}")

    def _fault(self, rows: pl.DataFrame, kind: str, sentence: str) -> None:
        if rows.height:
            self._faults.setdefault(kind, (sentence, _Rows()))[1].add(rows)

    def _find_repeated(self) -> pl.Series:
        """The hashes of the keys that more than one row has."""
        chunks = (self._ids.read(chunk.to_series()).drop_nulls() for chunk in self._source.transaction_ids())
        hashes = pl.concat([pl.Series([], dtype=pl.UInt64()), *(keys.hash() for keys in chunks)])
        return hashes.filter(hashes.is_duplicated()).unique()

    def _without_repeats(self, rows: pl.DataFrame) -> pl.DataFrame:
        """The rows without repeats of an earlier row; a row with the same key and other values is a fault."""
        key = self._key.name
        is_repeated = rows.get_column(key).hash().is_in(self._repeated.implode())
        if not is_repeated.any():
            return rows
        candidates = pl.concat([*([self._first] if self._first.height else []), rows.filter(is_repeated)])
        self._first = candidates.unique(key, keep="first", maintain_order=True)
        texts = [column.name for column in self._columns]
        content = pl.struct(texts)
        differing = candidates.filter(content.n_unique().over(key) > 1)
        if "repeated" in self._faults:
            differing = differing.filter(pl.col(SOURCE_LINE).is_in(rows.get_column(SOURCE_LINE).implode()))
        if differing.height:
            value = differing.item(0, key)[:_SHOWN]
            self._fault(
                differing, "repeated", f"{key} {value!r} has rows that differ, and only one of them can be right"
            )
        again = candidates.filter(~pl.col(SOURCE_LINE).is_in(self._first.get_column(SOURCE_LINE).implode()))
        self._repeats.add(again)
        return rows.filter(~pl.col(SOURCE_LINE).is_in(again.get_column(SOURCE_LINE).implode()))


def _has_decimal_point(source: SourceFile) -> bool:
    """True for a file in the contract's own form: there a point is the decimal mark, so 1.000 is one."""
    layout = source.layout
    named = zip(layout.header, layout.names)
    is_own = all(heading_key(heading) == heading_key(name) for heading, name in named if name in layout.read)
    return is_own and layout.dialect.delimiter == DEFAULT.delimiter


def _cut(text: str, max_bytes: int) -> str:
    """The text cut to as many whole characters as fit."""
    return text.encode("utf-8")[:max_bytes].decode("utf-8", "ignore")
