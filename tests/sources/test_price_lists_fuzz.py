"""Any settings and any price list give what a slow oracle, written from the design, says."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from jobs.errors import JobError
from schemas.sources import SourceSettings
from tests.jobs.rows.test_dimension_files import read
from tests.oracle.values import ROUNDED
from tests.sources.files import DAY, Writer
from tests.sources.oracle import SourceOracle
from tests.sources.settings import settings_mappings

COLUMNS = ("product_id", "product_name", "category", "price", "supplier_id")
IDS = ("P1", "P2", "P3", "'P1", "7.0", "7")
DISTINCT_IDS = ("P4", "P5 ", "“P6”", "8.0")
TOTALS = ("total", "gesamt:", "grand total")
NO_IDS = ("", "NULL", "-", "1.2E+10", "0")
NAMES = ("Tea", "", "Grüße", 'vinyl 12"', "a, b; c|d\te: f", "C:\\", "NULL")
SUPPLIERS = ("S1", "", "NULL", "-", "“S1”")
PRICES = ("4", "12.50", "3.50000", "0", "9,90", "1.234,5", "1,234.5", "1.000", "1,000", "0.125", "1 234,5")
NO_PRICES = ("", "-1", "free", "1.00001", "€ 12,50", "1.00.0")


class Product(NamedTuple):
    product_id: str
    product_name: str | None
    category: str | None
    price: Decimal
    supplier_id: str | None


class PriceListOracle(SourceOracle):
    """The products of a file, by id; None where the file is refused."""

    def products(self, content: bytes) -> dict[str, Product] | None:
        text = content.decode(self.settings.get("encoding", "utf-8")).removeprefix("\ufeff")
        header, *rows = [self._split(line) or [] for line in text.splitlines()[self.settings.get("skip_rows", 0) :]]
        headings = {column: self.settings.get("products", {}).get(column, column) for column in COLUMNS}
        is_own = self.settings.get("delimiter", ",") == "," and all(
            heading in (name, []) for name, heading in headings.items()
        )
        products: dict[str, Product] = {}
        for values in rows:
            if len(values) != len(header) and any(values):
                return None
            row = dict(zip(header, (value.strip() for value in values), strict=False))
            texts = {name: row.get(heading, "") if heading else "" for name, heading in headings.items()}
            texts |= {name: self._id(texts[name]) for name in ("product_id", "supplier_id")}
            described = [texts[name] for name in ("product_name", "category", "supplier_id")]
            is_total = texts["product_id"].lower() in TOTALS and not any(described)
            if is_total or not any(texts.values()):
                continue
            price = self._list_price(texts["price"], is_own)
            if price is None or not texts["product_id"] or any(map(ROUNDED.fullmatch, texts.values())):
                return None
            others = {name: texts[name] or None for name in ("product_name", "category", "supplier_id")}
            product = Product(texts["product_id"], price=price, **others)
            if products.setdefault(product.product_id, product) != product:
                return None
        return products

    def _list_price(self, text: str, is_own: bool) -> Decimal | None:
        """In the contract's own form a point is the decimal mark."""
        is_plain = re.fullmatch(r"\d+\.\d+", text, re.ASCII) and not self.settings.get("decimal_comma")
        number = Decimal(text) if is_own and is_plain else self._number(text)
        return number if number is not None and number >= 0 and number == round(number, 4) else None


@st.composite
def settings_and_price_lists(draw: st.DrawFn) -> tuple[Mapping[str, Any], bytes]:
    """One file in four has rows that are wrong under all settings."""
    mapping = dict(draw(st.one_of(st.just({}), settings_mappings())))
    names = draw(
        st.fixed_dictionaries(
            {},
            optional={
                "product_id": st.just("Artikelnr."),
                "product_name": st.sampled_from(("Bezeichnung", [])),
                "category": st.just([]),
                "price": st.just("Preis"),
                "supplier_id": st.just([]),
            },
        )
    )
    mapping["products"] = names
    header = draw(st.permutations([heading for name in COLUMNS if (heading := names.get(name, name))] + ["Bestand"]))
    pools = {
        "product_id": IDS,
        "Artikelnr.": IDS,
        "product_name": NAMES,
        "Bezeichnung": NAMES,
        "category": NAMES,
        "price": PRICES,
        "Preis": PRICES,
        "supplier_id": SUPPLIERS,
        "Bestand": ("7", ""),
    }
    has_faults = draw(st.integers(0, 3)) == 0
    if has_faults:
        pools |= dict.fromkeys(("product_id", "Artikelnr."), IDS + NO_IDS + TOTALS)
        pools |= dict.fromkeys(("price", "Preis"), PRICES + NO_PRICES)
    elif draw(st.booleans()):
        # Numbers that all settings read.
        pools |= dict.fromkeys(("price", "Preis"), ("4", "9", "0"))
    writer = Writer(mapping)
    lines = [*["list", "", "of prices"][: mapping.get("skip_rows", 0)], writer.line(header)]
    for own_id in draw(st.permutations(DISTINCT_IDS))[: draw(st.integers(1, 4))]:
        kind = draw(st.integers(0, 9)) if has_faults else draw(st.sampled_from((9, 9, 9, 0)))
        values = [draw(st.sampled_from(pools[heading])) for heading in header]
        values = [f" {value} " if value and draw(st.integers(0, 7)) == 0 else value for value in values]
        if draw(st.booleans()):
            values[header.index(names.get("product_id", "product_id"))] = own_id
        elif draw(st.integers(0, 5)) == 0:
            total = {names.get("product_id", "product_id"): "TOTAL", names.get("price", "price"): "4"}
            values = [total.get(heading, "") for heading in header]
        lines.append(writer.line([""] * len(header) if kind == 0 else values[: -1 if kind == 1 else None]))
    return mapping, "\n".join([*lines, ""]).encode(mapping.get("encoding", "utf-8"), "replace")


@given(settings_and_price_lists())
def test_a_price_list_is_read_as_its_settings_say(case: tuple[Mapping[str, Any], bytes]) -> None:
    mapping, content = case
    expected = PriceListOracle(mapping, {}, (), DAY).products(content)
    try:
        rows = read(content, settings=SourceSettings.parse(mapping))
    except JobError:
        assert expected is None
        return
    assert {row["product_id"]: Product(**row) for row in rows.drop("source_line").rows(named=True)} == expected
