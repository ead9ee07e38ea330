"""The oracle: a second, slow implementation of the pipeline's promises, in plain Python, row by row.

The oracle is written from the contract alone. It imports nothing of the product, so statuses, widths,
reject reasons and the rule of which row wins are written here again. So a test compares two independent readings of
the contract.

What to call
    read_file(content)
                                     bytes -> TransactionFile, or raises Refused
    validate(row, products=, customers=, partition_day=, amount_classes=)
                                     Row -> Accepted(row, business) or Rejected(row, reasons)
    validate_file(file, ...)            TransactionFile -> ValidatedFile(accepted, rejected)
    resolve_file(accepted)           -> ResolvedFile(winners by transaction_id, duplicates)
    expected_rejected_file(file, rejected)
                                     -> RejectedFile(header, lines): every cell as text
    Drop(bucket=, key=, version_id=, uploaded_at=, content=)
                                     one version of one source file: .load_id .uri .partition_day
    Warehouse()                      the model: .load_products(drop, rows) .load_customers(drop, rows)
                                     .load(drop) -> Counts, or raises Refused and changes nothing
                                     .fact (transaction_id -> FactRow), .ledger (load_id -> LedgerEntry)
                                     .columns() the fact as comparable dicts: business and lineage

Decided here, where the contract leaves room
    Dates    A zone needs a time before it; its hours go to 23, its minutes to 59. `T`, `Z`, `UTC` and `GMT` may
             be small. An invalid date is never called a future or a too early one as well.
    Ids      A rounded id of a customer or product is an unknown one as well. A quantity of 0 is right with
             cancelled and refunded.
    Rejected The rejected file repeats the drop's own header except columns named as the three it adds, so
             that it can be corrected, dropped and rejected again. A malformed row has its text in
             source_text and nothing in the columns, every other row the opposite. Headings and cells
             that a spreadsheet would run as a formula have one apostrophe more.
    URI      source_uri is s3://bucket/key; load_id identifies the version.

Times are naive datetimes in UTC. Money is Decimal: unit_price with 4 decimals, total_amount with 2.
"""

from __future__ import annotations

from tests.oracle.files import TransactionFile, read_file
from tests.oracle.rows import (
    AMOUNT_CLASSES,
    BUSINESS_COLUMNS,
    REJECT_REASONS,
    Accepted,
    Customer,
    Customers,
    Product,
    Products,
    RejectedFile,
    ResolvedFile,
    ValidatedFile,
    amount,
    amount_class,
    expected_rejected_file,
    resolve_file,
    reused_ids,
    validate_file,
)
from tests.oracle.text import SOURCE_COLUMNS
from tests.oracle.values import STATUSES
from tests.oracle.warehouse import LINEAGE_COLUMNS, MAX_REJECT_RATIO, Counts, Drop, FactRow, LedgerEntry, Warehouse

__all__ = [
    "AMOUNT_CLASSES",
    "BUSINESS_COLUMNS",
    "LINEAGE_COLUMNS",
    "MAX_REJECT_RATIO",
    "REJECT_REASONS",
    "SOURCE_COLUMNS",
    "STATUSES",
    "Accepted",
    "Counts",
    "Customer",
    "Customers",
    "Drop",
    "FactRow",
    "LedgerEntry",
    "Product",
    "Products",
    "RejectedFile",
    "ResolvedFile",
    "TransactionFile",
    "ValidatedFile",
    "Warehouse",
    "amount",
    "amount_class",
    "expected_rejected_file",
    "read_file",
    "resolve_file",
    "reused_ids",
    "validate_file",
]
