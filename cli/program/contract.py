"""The data contract of the warehouse's tables as ODCS 3.1 (Open Data Contract Standard), for other tools.

`python -m cli.program.contract` generates the file from the declarations in `schemas`. A test fails when it is old.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import yaml  # type: ignore[import-untyped]

from jobs import __version__
from schemas.drops import CUSTOMERS
from schemas.lineage import COLUMN_SOURCES, DROP
from schemas.statuses import STATUSES
from schemas.warehouse.tables import DIM_CUSTOMERS, DIM_PRODUCTS, FACT_TRANSACTIONS, Column, Table

CONTRACT = Path(__file__).parents[2] / "schemas" / "warehouse" / "rendered" / "shop.odcs.yaml"

_TABLES = {
    FACT_TRANSACTIONS: "One row for each transaction_id: its latest state in any file.",
    DIM_PRODUCTS: "One row for each product, as the latest upload has it.",
    DIM_CUSTOMERS: "One row for each customer, as the latest upload has it.",
}
_MEANINGS = {
    "transaction_id": "The transaction; case-sensitive.",
    "quantity": "Pieces; 0 only if cancelled or refunded, below 0 only where the source says so.",
    "transaction_date": "When the transaction was last changed, in UTC.",
    "status": "How far the transaction has come.",
    "unit_price": "The price at the moment of the load, or that of the file where it brings one.",
    "total_amount": "quantity times unit_price, rounded to cents.",
    "amount_class": "The class of total_amount, as the stack's amountClasses declare them.",
    "event_precedence": "The transaction's date and status as one number; the larger wins.",
    "drop_precedence": "The day and upload of the file, as text; the larger wins.",
    "source_line": "The row's line in its file.",
    "load_id": "The load that the row came with: an upload of a file.",
    "source_uri": "The file.",
    "loaded_at": "When a load first wrote the row, in UTC.",
    "updated_at": "When a load last changed what the row says, in UTC.",
}
_PERSONAL = {CUSTOMERS: {"first_name", "last_name", "email"}}
_LOGICAL_TYPES = ((pl.String, "string"), (pl.Boolean, "boolean"), (pl.Datetime, "timestamp"), (pl.Date, "date"))


def contract() -> dict[str, Any]:
    """The contract as an ODCS document."""
    return {
        "apiVersion": "v3.1.0",
        "kind": "DataContract",
        "id": "transactions-pipeline-shop",
        "name": "A shop's transactions",
        "version": __version__,
        "status": "active",
        "description": {
            "purpose": "Daily transactions of a shop, joined with products and customers, for analysts.",
            "limitations": "A row whose customer or product is unknown waits, and is not in the table.",
        },
        "schema": [_table(table, meaning) for table, meaning in _TABLES.items()],
    }


def rendered() -> str:
    """The text of the file."""
    head = "# Written by `python -m cli.program.contract` from the declarations in schemas/.\n"
    return head + str(yaml.safe_dump(contract(), sort_keys=False, allow_unicode=True, width=110))


def _table(table: Table, meaning: str) -> dict[str, Any]:
    return {
        "name": table.name,
        "physicalType": "table",
        "description": meaning,
        "properties": [_column(table, column) for column in table.columns],
    }


def _column(table: Table, column: Column) -> dict[str, Any]:
    is_key = column.name == table.key
    described: dict[str, Any] = {"name": column.name, "logicalType": _logical_type(column)}
    described["physicalType"] = column.redshift
    described["required"] = not column.nullable
    if column.name in _MEANINGS:
        described["description"] = _MEANINGS[column.name]
    if is_key:
        described |= {"primaryKey": True, "primaryKeyPosition": 1, "unique": True}
        described["quality"] = [{"metric": "duplicateValues", "mustBe": 0}]
    if column.name == "status":
        described["quality"] = [
            {"metric": "invalidValues", "arguments": {"validValues": list(STATUSES)}, "mustBe": 0},
        ]
    if column.name in _PERSONAL.get(table.name, ()):
        described["classification"] = "personal"
    sources = COLUMN_SOURCES[table.name].get(column.name, ())
    if sources:
        described["transformSourceObjects"] = [_source(source, field) for source, field in sources]
    return described


def _source(source: str, field: str) -> str:
    return f"file.{field}" if source == DROP else f"{source}.{field}"


def _logical_type(column: Column) -> str:
    if column.polars.is_integer():
        return "integer"
    return next((name for kind, name in _LOGICAL_TYPES if column.polars == kind), "number")


if __name__ == "__main__":
    CONTRACT.write_text(rendered(), encoding="utf-8")
