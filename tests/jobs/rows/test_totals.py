"""The row of a total in a dimension's file: neither a product nor a customer, and named in a note."""

from __future__ import annotations

import pytest

from schemas.drops import CUSTOMERS
from tests.jobs.dry_run import small_pieces
from tests.jobs.rows.test_dimension_files import CUSTOMER_HEADER, PRODUCT_HEADER, read_with_notes


@pytest.mark.parametrize(
    ("row", "is_total"),
    [
        *((f"{word},,,149.50,", True) for word in ("Total", "TOTAL:", "Grand Total", "Sub-Total", "Gesamt", "Summe ")),
        *(
            (f"{word},,,,", True)
            for word in ("Total: 3", "Total (3)", "Zwischensumme", "Total g\u00e9n\u00e9ral", "'Total'")
        ),
        ("Total,Engine oil,,149.50,", False),
        ("Total,,Oil,149.50,", False),
        ("Total,,,149.50,S1", False),
        ("Total 5W30,,,149.50,", False),
        ("Totale8,,,149.50,", False),
    ],
)
def test_the_row_of_a_total_is_no_product_and_is_noted(row: str, is_total: bool) -> None:
    with small_pieces():
        actual, notes = read_with_notes(f"{PRODUCT_HEADER}\nP1,Mug,,12.50,S1\nP2,,,1,\n{row}\n")
    assert actual["product_id"].to_list()[:2] == ["P1", "P2"]
    assert actual.height == (2 if is_total else 3)
    assert notes == (["line 4 is the row of a total; such a row was skipped"] if is_total else [])


def test_totals_of_several_groups_are_noted_once() -> None:
    _, notes = read_with_notes(
        f"{CUSTOMER_HEADER}\nC1,Ann,,,\nSubtotal,,,,\nC2,Ben,,,\nSubtotal,,,,\nTotal,,,,\n", CUSTOMERS
    )
    assert notes == ["line 3 is the row of a total (so it is on 2 more rows, next on line 5); such a row was skipped"]
