"""Why a row can be rejected, and in which words a person is told."""

from __future__ import annotations

REJECT_REASONS = {
    "malformed_row": "not one value for each column of the header, or a quote or control character out of place",
    "missing_transaction_id": "no transaction_id",
    "missing_customer_id": "no customer_id",
    "missing_product_id": "no product_id",
    "unknown_customer": "customer_id is not in dim_customers",
    "unknown_product": "product_id is not in dim_products",
    "invalid_quantity": "quantity is not a whole number from 1 up, or it (or its amount) is too large to store",
    "invalid_transaction_date": "transaction_date is not a date (YYYY-MM-DD, with an optional time)",
    "future_transaction_date": "transaction_date is after the day of the file",
    "invalid_status": "status is not one of those declared",
    "value_too_long": "a value is longer, in bytes, than its column",
    "conflicting_rows": "rows with this transaction_id, transaction_date and status name different sales",
}
"""Reason -> what it means. The order is the order in which a row's reasons are listed."""
