"""Forms of quantities and prices, by tables worked out by hand."""

from __future__ import annotations

from decimal import Decimal

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.rows.numbers import NumberReader

POINT = {"decimal_comma": False, "thousands_separator": ""}
ENGLISH = {"decimal_comma": False, "thousands_separator": ","}
CONTRACT = {**POINT, "decimal_point": True}
GERMAN = {"decimal_comma": True, "thousands_separator": "."}
COMMA = {"decimal_comma": True, "thousands_separator": ""}
FRENCH = {"decimal_comma": True, "thousands_separator": " "}


@pytest.mark.parametrize(
    ("settings", "text", "quantity"),
    [
        (POINT, "2.0000", 2),
        (POINT, "1.000", None),  # a thousand in some countries
        (POINT, "999.000", None),
        (POINT, "-1.000", None),
        (POINT, "0.000", 0),
        (POINT, "1234.000", 1234),
        (POINT, "1,000", None),
        (POINT, "2.5", None),
        (POINT, "-3", -3),
        (POINT, "\u22123", -3),
        (POINT, "3-", -3),
        (POINT, "(3.0)", -3),
        (POINT, "-3-", None),
        (POINT, "(-3)", None),
        (GERMAN, "1.234,00-", -1234),
        (POINT, " 7\u200b", 7),
        (ENGLISH, "1,234", 1234),
        (ENGLISH, "1.000", 1),
        (ENGLISH, "1,23", None),
        (ENGLISH, "1,234,5", None),
        (ENGLISH, "-1,234.00", -1234),
        (GERMAN, "1.234", 1234),
        (GERMAN, "0.125", None),
        (GERMAN, "012.500", None),
        (ENGLISH, "0,125", None),
        (GERMAN, "1.000,0", 1000),
        (GERMAN, "1,000", 1),
        (GERMAN, "1,5", None),
        (COMMA, "2,000", 2),
        (COMMA, "2.000", None),
        (FRENCH, "1\u202f234", 1234),
        (FRENCH, "1 234,00", 1234),
        (FRENCH, "12 34", None),
    ],
)
def test_a_whole_number_has_one_reading(settings: dict[str, object], text: str, quantity: int | None) -> None:
    read = NumberReader(**settings).read_whole(pl.Series([text, "5"]))  # type: ignore[arg-type]
    assert read.to_list() == [quantity, 5]


@pytest.mark.parametrize(
    ("settings", "text", "price"),
    [
        (POINT, "29.990000", "29.99"),
        (POINT, "29.990001", None),
        (POINT, "-1", None),
        (POINT, "29,99", None),
        (ENGLISH, "1,299.50", "1299.5"),
        (GERMAN, "1.299,50", "1299.5"),
        (GERMAN, "1299.50", None),
        (COMMA, "0,5", "0.5"),
        (POINT, " 5 ", "5"),
        (POINT, "1.000", None),  # a thousand in some countries
        (POINT, " 1.000 ", None),
        (POINT, "999.999", None),
        (POINT, "1,000", None),
        (POINT, "0.125", "0.125"),
        (POINT, "01.500", "1.5"),
        (POINT, "1234.500", "1234.5"),
        (POINT, "1.0000", "1"),
        (POINT, "1.000000", "1"),
        (CONTRACT, "1.000", "1"),
        (CONTRACT, "1,000", None),
        (ENGLISH, "1.000", "1"),
        (ENGLISH, "1,000", "1000"),
        (GERMAN, "1.000", "1000"),
        (GERMAN, "1,000", "1"),
        (GERMAN, "0.125", None),  # no one writes 125 like this
        (COMMA, "1,000", "1"),
        (COMMA, "1.000", None),
        *((POINT, text, None) for text in ("$12.50", "12.50 €", "12.50 USD", "R$ 12.50")),
        *((COMMA, text, None) for text in ("€ 12,50", "12,50 kr")),
    ],
)
def test_a_price_has_one_reading(settings: dict[str, object], text: str, price: str | None) -> None:
    read = NumberReader(**settings).read_price(pl.Series([text, None, "5"]))  # type: ignore[arg-type]
    assert read.to_list() == [None if price is None else Decimal(price), None, Decimal(5)]


@given(st.from_regex(r"[0-9]{1,4}\.([0-9]{3}|[0-9]{1,5})", fullmatch=True))
def test_an_undeclared_number_is_read_if_no_country_reads_another(text: str) -> None:
    def price(settings: dict[str, object]) -> Decimal | None:
        read: Decimal | None = NumberReader(**settings).read_price(pl.Series([text])).item()  # type: ignore[arg-type]
        return read

    english, german = price(ENGLISH), price(GERMAN)
    has_two_meanings = english is not None and german is not None and english != german
    assert price(POINT) == (None if has_two_meanings else english)
    assert price(CONTRACT) == english
