"""The same sales give the same fact rows from every shop system."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tests import oracle
from tests.jobs.dry_run import dry_run
from tests.sources.week import CUSTOMERS, PRICES, formats, week

_FORMATS = formats()
_PRODUCTS = {key: oracle.Product(key, f"Product {key}", "Tea", Decimal(price), "S1") for key, price in PRICES.items()}
_CUSTOMERS = {key: oracle.Customer(key, "Ann", "One", "", "Gold") for key in CUSTOMERS}
_NAMES = ("customer_id", "product_id", "quantity", "transaction_date", "status", "unit_price", "total_amount")


@pytest.mark.parametrize("name", _FORMATS)
def test_a_week_in_any_format_ends_in_the_same_rows(name: str) -> None:
    expected = {
        sale.transaction_id: (
            *(sale.customer, sale.product, sale.quantity, sale.sold_at, sale.status),
            *(Decimal(sale.price), sale.quantity * Decimal(sale.price)),
        )
        for _, sales in week()
        for sale in sales
    }
    loaded = {}
    for day, sales in week():
        content = _FORMATS[name].write(sales)
        run = dry_run(
            content,
            products=_PRODUCTS,
            customers=_CUSTOMERS,
            partition_day=day,
            source=_FORMATS[name].settings,
            max_reject_ratio="0",
        )
        assert run.error is None
        loaded |= {row["transaction_id"]: tuple(row[column] for column in _NAMES) for row in run.staged}
    assert loaded == expected
