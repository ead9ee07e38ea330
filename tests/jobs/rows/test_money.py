"""Amounts are exact to the cent, also at the ends of their range."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.rejected_file import REJECT_REASONS_COLUMN
from tests import oracle
from tests.jobs.dry_run import dry_run, small_pieces
from tests.jobs.rows.validating import text_rows, transform
from tests.oracle.text import SOURCE_COLUMNS
from tests.strategies.hostile_content import SOUND_LINE

quantities = st.one_of(st.integers(1, 200), st.integers(1, 2147483647), st.sampled_from((1, 2147483647)))
prices = st.one_of(
    st.integers(0, 10**18 - 1),
    st.integers(0, 10**8),
    st.sampled_from((0, 49, 50, 51, 10050, 10**18 - 1)),
).map(lambda price: Decimal(price) / 10**4)


def sell(quantity: int | str, price: Decimal) -> object:
    """The total_amount for this quantity and price, or the reject reasons."""
    row = {**dict(zip(SOURCE_COLUMNS, SOUND_LINE.split(","))), "quantity": str(quantity)}
    product = oracle.Product("P12345", "Widget A", "Gadgets", price, "S123")
    accepted, rejected, _ = transform(products={"P12345": product})(text_rows([row]))
    if rejected.height:
        return tuple(rejected.item(0, REJECT_REASONS_COLUMN).split(";"))
    assert accepted.item(0, "unit_price") == price
    return accepted.item(0, "total_amount")


@given(quantities, prices)
def test_every_amount_is_exact_and_half_a_cent_goes_up(quantity: int, price: Decimal) -> None:
    expected = oracle.amount(quantity, price)
    fits = expected < Decimal(10) ** 16
    assert sell(quantity, price) == (expected if fits else ("invalid_quantity",))


@pytest.mark.parametrize(
    ("quantity", "price", "amount"),
    [
        (1, "1.005", Decimal("1.01")),  # a float gives 1.00
        (3, "0.1", Decimal("0.30")),
        (1, "0.0049", Decimal("0.00")),
        (1, "0.005", Decimal("0.01")),
        (1, "2.675", Decimal("2.68")),
        (5, "0.0001", Decimal("0.00")),
        (50, "0.0001", Decimal("0.01")),
        (7, "0", Decimal("0.00")),
        ("007", "29.99", Decimal("209.93")),
        (100, "99999999999999.9999", Decimal("9999999999999999.99")),
        (101, "99009900990099.0099", ("invalid_quantity",)),  # it exceeds the column only after rounding
        (2147483647, "99999999999999.9999", ("invalid_quantity",)),
        (2147483648, "0.01", ("invalid_quantity",)),
        (0, "1", ("invalid_quantity",)),
        ("1e3", "1", ("invalid_quantity",)),
        ("٣", "1", ("invalid_quantity",)),
        ("-0", "1", ("invalid_quantity",)),
        ("NaN", "1", ("invalid_quantity",)),
        (" 5 ", "1", Decimal("5.00")),
    ],
)
def test_an_amount_worked_out_by_hand(quantity: int | str, price: str, amount: object) -> None:
    assert sell(quantity, Decimal(price)) == amount


def test_a_sum_beyond_what_one_amount_may_be_is_exact_too() -> None:
    """Polars gives a sum the precision of its addends, and silently rounds longer results."""
    line = SOUND_LINE.replace(",2,", ",100,")
    content = "\n".join([",".join(SOURCE_COLUMNS), *(line.replace("T1", f"T{at}") for at in range(3))])
    product = oracle.Product("P12345", "Widget A", "Gadgets", Decimal("99999999999999.9999"), "S123")
    for chunk_bytes in (25, 1 << 24):
        with small_pieces(chunk_bytes=chunk_bytes):
            report = dry_run(content.encode(), products={"P12345": product}).report
        assert report.change == "29999999999999999.97"
        assert report.amount_classes["Large"].amount == "29999999999999999.97"
