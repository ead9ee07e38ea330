"""A rejected file of any source can be corrected and dropped again: ids and filled values stay."""

from __future__ import annotations

import csv
import io
from datetime import date
from decimal import Decimal

from sources import read_source
from tests import oracle
from tests.jobs.dry_run import DryRun, dry_run

PRODUCTS = {"P100": oracle.Product("P100", "Teapot", "Tea", Decimal("12.50"), "S1")}
CUSTOMERS = {"ann@example.com": oracle.Customer("ann@example.com", "Ann", "One", "", "Gold")}
ORDERS = (
    "Name,Email,Financial Status,Created at,Lineitem quantity,Lineitem price,Lineitem sku\n"
    "#1001,ann@example.com,paid,2023-03-15 09:50:25 +0200,1,12.50,P100\n"
    "#1001,,,2023-03-15 09:50:25 +0200,two,12.50,P100\n"
    "#1001,,,2023-03-15 09:50:25 +0200,3,12.50,P100\n"
)


def test_a_corrected_order_line_keeps_its_number_and_filled_values() -> None:
    first = _run(ORDERS.encode())
    assert [row["transaction_id"] for row in first.staged] == ["#1001|1", "#1001|3"]
    assert first.rejected_content is not None
    header, row = csv.reader(io.StringIO(first.rejected_content.decode()))
    corrected = io.StringIO()
    csv.writer(corrected).writerows([header, ["2" if value == "two" else value for value in row]])
    (staged,) = _run(corrected.getvalue().encode()).staged
    assert (staged["transaction_id"], staged["customer_id"], staged["status"], staged["quantity"]) == (
        *("#1001|2", "ann@example.com", "completed", 2),
    )


def _run(content: bytes) -> DryRun:
    run = dry_run(
        content,
        products=PRODUCTS,
        customers=CUSTOMERS,
        partition_day=date(2023, 3, 15),
        source=read_source("shopify"),
    )
    assert run.error is None
    return run
