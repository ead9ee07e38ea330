"""The same week of sales gives the same fact table from every shop system: each file is loaded into the warehouse."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from schemas.warehouse.tables import FACT_TRANSACTIONS
from tests import oracle
from tests.loads.shop import FIRST_UPLOAD, Shop, fresh, key_of
from tests.sources.week import CUSTOMERS, PRICES, Sale, formats, week

pytestmark = pytest.mark.flow

FORMATS = formats()
PRODUCTS = {key: oracle.Product(key, f"Product {key}", "Tea", Decimal(price), "S1") for key, price in PRICES.items()}
MEMBERS = {key: oracle.Customer(key, "Ann", "One", "", "Gold") for key in CUSTOMERS}
OF_THE_LOAD = {"load_id", "source_uri", "source_line", "drop_precedence", "loaded_at", "updated_at"}
"""The columns that name a file, a line of it, or the time of its load."""


@pytest.fixture(scope="module")
def market(mall: Shop) -> Iterator[Shop]:
    yield from fresh(mall)


@pytest.mark.parametrize("name", FORMATS)
def test_a_week_in_any_format_ends_in_the_same_fact(market: Shop, name: str) -> None:
    market.clean(dimensions=True)
    shop = replace(market, source=FORMATS[name].settings, max_reject_ratio="0")
    shop.load_dimension_rows(PRODUCTS, MEMBERS)
    sales = []
    for number, (day, of_day) in enumerate(week()):
        drop = shop.upload(key_of(day, "sales.csv"), FORMATS[name].write(of_day), FIRST_UPLOAD + timedelta(number))
        report = shop.run(drop)
        assert report.outcome == "succeeded", report.error
        sales += of_day
    fact = {
        key: {column: row[column] for column in row if column not in OF_THE_LOAD} for key, row in shop.fact().items()
    }
    assert fact == {sale.transaction_id: fact_row(sale, shop.source.status_ranks or oracle.STATUSES) for sale in sales}
    shop.assert_books_balance()


def fact_row(sale: Sale, ranks: Sequence[str]) -> dict[str, Any]:
    """The row of the fact for a sale, worked out by hand; all columns but those of the load.

    The order of the statuses is a setting of the source.
    """
    amount = sale.quantity * Decimal(sale.price)
    microseconds = (sale.sold_at - datetime(1970, 1, 1)) // timedelta(microseconds=1)
    row = {
        "transaction_id": sale.transaction_id,
        "customer_id": sale.customer,
        "product_id": sale.product,
        "quantity": sale.quantity,
        "transaction_date": sale.sold_at,
        "status": sale.status,
        "unit_price": Decimal(sale.price),
        "total_amount": amount,
        "amount_class": "Medium" if amount >= 100 else "Small",
        "product_name": f"Product {sale.product}",
        "category": "Tea",
        "supplier_id": "S1",
        "membership_level": "Gold",
        "event_precedence": 16 * microseconds + ranks.index(sale.status),
    }
    assert row.keys() == set(FACT_TRANSACTIONS.names) - OF_THE_LOAD
    return row
