"""The reject reasons: name, sentence, column and wanted form. Declared here and nowhere else."""

from __future__ import annotations

from dataclasses import dataclass

from schemas.drops import CUSTOMERS, PRODUCTS
from schemas.statuses import STATUSES


@dataclass(frozen=True)
class RejectReason:
    meaning: str
    """The fault, for a list of reasons."""
    column: str | None = None
    """The column whose value is wrong; None if the fault is in the whole row, or shows only beside another row."""
    wanted: str = ""
    """The wanted form; messages put it after the value."""


_ID = "an id of up to 64 bytes"
PRICE_FORM = "a decimal number from 0 up with at most 4 decimals"
_DATE = "YYYY-MM-DD or YYYY-MM-DDTHH:MM:SSZ, or a form declared in the source settings"

REJECT_REASONS = {
    "malformed_row": RejectReason(
        "not one value for each column of the header, a quote or control character out of place, or a second sale",
        wanted="one value for each column of the header, and a value with a comma or quote in quotes",
    ),
    "missing_transaction_id": RejectReason("no transaction_id", "transaction_id", _ID),
    "missing_customer_id": RejectReason(
        "no customer_id", "customer_id", f"{_ID}, or a guest_customer in the source settings"
    ),
    "missing_product_id": RejectReason("no product_id", "product_id", _ID),
    "unknown_customer": RejectReason(
        "customer_id is not in dim_customers", "customer_id", "the id of a customer; upload the customers first"
    ),
    "unknown_product": RejectReason(
        "product_id is not in dim_products", "product_id", "the id of a product; upload the products first"
    ),
    "invalid_quantity": RejectReason(
        "quantity is not a whole number from 1 up, or it (or its amount) is too large to store",
        "quantity",
        "a whole number from 1 to 2147483647; 0 only if cancelled or refunded; below 0 only with `returns: negative`",
    ),
    "invalid_transaction_date": RejectReason("transaction_date is not a date", "transaction_date", _DATE),
    "future_transaction_date": RejectReason(
        "transaction_date is after the day of the file",
        "transaction_date",
        "a day up to the day in the key of the file",
    ),
    "invalid_status": RejectReason(
        "status is not one of those declared", "status", f"{', '.join(STATUSES)}, or a word of the source settings"
    ),
    "value_too_long": RejectReason("an id is longer, in bytes, than its column", wanted="ids of up to 64 bytes"),
    "rounded_id": RejectReason(
        "an id in scientific notation: a spreadsheet has rounded it, so it may stand for several",
        wanted="the id with all its digits; export it as text",
    ),
    "too_early_transaction_date": RejectReason(
        "transaction_date is before the earliest plausible day",
        "transaction_date",
        "a day from 20 years before the day of the file on, or from the earliest_day of the source settings on",
    ),
    "invalid_unit_price": RejectReason(
        "unit_price is not a price with one meaning",
        "unit_price",
        f"{PRICE_FORM}, without a currency; `thousands_separator` and `decimal_comma` in the source settings say "
        "whether 1.000 is one or a thousand",
    ),
    "conflicting_rows": RejectReason(
        "rows with this transaction_id, transaction_date and status name different sales",
        wanted="one id for one sale; "
        "where an order has several lines, several columns as its key in the source settings",
    ),
}
"""In the order in which a row's reasons are listed."""

WAITS_FOR = {"unknown_customer": CUSTOMERS, "unknown_product": PRODUCTS}
"""Reason -> the dimension that a row with only this reason waits for; it is loaded when its id arrives."""
