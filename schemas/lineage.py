"""Column lineage: the source of each column of a loaded table, for lineage tools and the data contract.

A test compares it with the tables of `schemas.warehouse`, which this module must not import: functions read it.
"""

from __future__ import annotations

from schemas.drops import CUSTOMERS, PRODUCTS, TRANSACTIONS
from schemas.sources import CUSTOMER_COLUMNS, PRODUCT_COLUMNS

DROP = "drop"
"""The file that a load reads; any other source is a table."""
FACT = "fact_transactions"

_AMOUNT = ((DROP, "quantity"), (DROP, "unit_price"), (PRODUCTS, "price"))
COLUMN_SOURCES: dict[str, dict[str, tuple[tuple[str, str], ...]]] = {
    FACT: {
        "transaction_id": ((DROP, "transaction_id"),),
        "customer_id": ((DROP, "customer_id"), (CUSTOMERS, "customer_id")),
        "product_id": ((DROP, "product_id"), (PRODUCTS, "product_id")),
        "quantity": ((DROP, "quantity"),),
        "transaction_date": ((DROP, "transaction_date"),),
        "status": ((DROP, "status"),),
        "unit_price": ((DROP, "unit_price"), (PRODUCTS, "price")),
        "total_amount": _AMOUNT,
        "amount_class": _AMOUNT,
        "product_name": ((PRODUCTS, "product_name"),),
        "category": ((PRODUCTS, "category"),),
        "supplier_id": ((PRODUCTS, "supplier_id"),),
        "membership_level": ((CUSTOMERS, "membership_level"),),
    },
    PRODUCTS: {column: ((DROP, column),) for column in PRODUCT_COLUMNS},
    CUSTOMERS: {column: ((DROP, column),) for column in CUSTOMER_COLUMNS},
}
"""Table -> column -> the columns it is computed from, each with its source. Columns of the load itself are left out."""

TARGETS = {TRANSACTIONS: FACT, PRODUCTS: PRODUCTS, CUSTOMERS: CUSTOMERS}
"""Kind of drop -> the table it is loaded into."""
