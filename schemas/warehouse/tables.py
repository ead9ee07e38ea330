"""Every table and its columns, declared once.

The DDL, COPY's column list, MERGE and the Polars schema of what is staged are all
rendered from these declarations.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from schemas.amount_classes import LABEL_BYTES
from schemas.counts import COUNTS
from schemas.drops import CUSTOMERS, PRODUCTS


@dataclass(frozen=True)
class Column:
    """A column: its type in Redshift and its type in Polars."""

    name: str
    redshift: str
    polars: pl.DataType
    nullable: bool = False
    max_bytes: int | None = None
    """VARCHAR counts UTF-8 bytes, not characters."""
    default: str | None = None
    """An SQL literal: Redshift adds a NOT NULL column to a table only with a default."""


@dataclass(frozen=True)
class Table:
    """A table; the first column is its key (informational in Redshift: uniqueness is ours)."""

    name: str
    columns: tuple[Column, ...]
    distribution: str = ""
    """DISTKEY/SORTKEY clauses."""

    def __getitem__(self, name: str) -> Column:
        return next(column for column in self.columns if column.name == name)

    @property
    def key(self) -> str:
        return self.columns[0].name

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    def polars_schema(self) -> dict[str, pl.DataType]:
        return {column.name: column.polars for column in self.columns}


def text(name: str, max_bytes: int, *, nullable: bool = False) -> Column:
    return Column(name, f"VARCHAR({max_bytes})", pl.String(), nullable, max_bytes)


def integer(name: str) -> Column:
    return Column(name, "INTEGER", pl.Int32())


def bigint(name: str) -> Column:
    return Column(name, "BIGINT", pl.Int64())


def decimal(name: str, precision: int, scale: int) -> Column:
    return Column(name, f"DECIMAL({precision},{scale})", pl.Decimal(precision, scale))


def timestamp(name: str, *, nullable: bool = False) -> Column:
    # UTC throughout: Redshift's TIMESTAMP has no zone, and a nanosecond one loads as garbage.
    return Column(name, "TIMESTAMP", pl.Datetime("us"), nullable)


PRODUCT_ID = text("product_id", 64)
CUSTOMER_ID = text("customer_id", 64)
CATEGORY = text("category", 128, nullable=True)
SUPPLIER_ID = text("supplier_id", 64, nullable=True)
PRODUCT_NAME = text("product_name", 256, nullable=True)
MEMBERSHIP_LEVEL = text("membership_level", 64, nullable=True)

# The columns of the transactions file, in the contract's order.
TRANSACTION_COLUMNS = (
    text("transaction_id", 64),
    CUSTOMER_ID,
    PRODUCT_ID,
    integer("quantity"),
    timestamp("transaction_date"),
    text("status", 16),
)

# The transaction's own values; `updated_at` changes when one of them changes.
BUSINESS_COLUMNS = (
    *TRANSACTION_COLUMNS[1:],
    decimal("unit_price", 18, 4),
    decimal("total_amount", 18, 2),
    text("amount_class", LABEL_BYTES),
    PRODUCT_NAME,
    CATEGORY,
    SUPPLIER_ID,
    MEMBERSHIP_LEVEL,
)

# Compared in this order, the larger wins: the row's date and status, its drop, its line in the drop.
PRECEDENCE_COLUMNS = (
    bigint("event_precedence"),
    text("drop_precedence", 64),
    bigint("source_line"),
)

STAGED_TRANSACTIONS = Table(
    "staged_transactions",
    (TRANSACTION_COLUMNS[0], *BUSINESS_COLUMNS, *PRECEDENCE_COLUMNS, text("load_id", 16), text("source_uri", 1200)),
    # Collocated with the fact: MERGE joins the two without moving a row.
    "DISTKEY (transaction_id)",
)

RESTORED_TRANSACTIONS = Table("restored_transactions", STAGED_TRANSACTIONS.columns, STAGED_TRANSACTIONS.distribution)
"""A temp table: rows of the history that replace rows that no longer count."""

WITHDRAWN_TRANSACTIONS = Table(
    "withdrawn_transactions", STAGED_TRANSACTIONS.columns[:1], STAGED_TRANSACTIONS.distribution
)
"""A temp table: the ids whose row in the fact no longer counts."""

TRANSACTIONS_BEFORE = Table(
    "transactions_before",
    tuple(STAGED_TRANSACTIONS[name] for name in ("transaction_id", "status", "total_amount")),
    STAGED_TRANSACTIONS.distribution,
)
"""A temp table: rows of the fact before a plan's load."""

FACT_TRANSACTIONS = Table(
    "fact_transactions",
    (*STAGED_TRANSACTIONS.columns, timestamp("loaded_at"), timestamp("updated_at")),
    "DISTSTYLE KEY DISTKEY (transaction_id) SORTKEY (transaction_date)",
)

HISTORY = Table(
    "transaction_history",
    (*STAGED_TRANSACTIONS.columns, Column("is_superseded", "BOOLEAN", pl.Boolean()), timestamp("recorded_at")),
    "DISTSTYLE KEY DISTKEY (transaction_id) SORTKEY (transaction_id)",
)
"""Every row that a load staged. The fact is its maximum by precedence, rows of superseded uploads left out."""

_WAITING = (
    text("load_id", 16),
    text("bucket", 64),
    text("drop_key", 1024),
    text("version_id", 1024),
    bigint("source_line"),
    # The ids that a dimension lacked when the row was rejected.
    text("customer_id", 64, nullable=True),
    text("product_id", 64, nullable=True),
)

STAGED_WAITING = Table("staged_waiting", _WAITING)

WAITING_ROWS = Table("waiting_rows", (*_WAITING, timestamp("since")), "DISTSTYLE ALL SORTKEY (load_id)")
"""Rows rejected only because a dimension lacks their customer or product."""

LOAD_LOCK = Table("load_lock", (text("reason", 64),))
"""Locked by every load from its first statement to its commit. No query reads it, so only loads wait."""

_DIMENSION_LINEAGE = (
    text("drop_precedence", 64),
    bigint("source_line"),
    text("load_id", 16),
    text("source_uri", 1200),
)

STAGED_PRODUCTS = Table(
    "staged_products",
    (PRODUCT_ID, PRODUCT_NAME, CATEGORY, decimal("price", 18, 4), SUPPLIER_ID, *_DIMENSION_LINEAGE),
)

STAGED_CUSTOMERS = Table(
    "staged_customers",
    (
        CUSTOMER_ID,
        text("first_name", 128, nullable=True),
        text("last_name", 128, nullable=True),
        text("email", 256, nullable=True),
        MEMBERSHIP_LEVEL,
        *_DIMENSION_LINEAGE,
    ),
)

DIM_PRODUCTS = Table(
    PRODUCTS,
    (*STAGED_PRODUCTS.columns, timestamp("loaded_at"), timestamp("updated_at")),
    "DISTSTYLE ALL SORTKEY (product_id)",
)

DIM_CUSTOMERS = Table(
    CUSTOMERS,
    (*STAGED_CUSTOMERS.columns, timestamp("loaded_at"), timestamp("updated_at")),
    "DISTSTYLE KEY DISTKEY (customer_id) SORTKEY (customer_id)",
)

LOAD_LEDGER = Table(
    "load_ledger",
    (
        text("load_id", 16),
        integer("attempt"),
        text("source_uri", 1200),
        text("version_id", 1024),
        text("etag", 128),
        bigint("bytes"),
        Column("partition_day", "DATE", pl.Date()),
        timestamp("uploaded_at"),
        *(bigint(count) for count in COUNTS),
        # 38 digits: the sum of a file's amounts may exceed one amount's DECIMAL(18,2).
        decimal("staged_amount", 38, 2),
        timestamp("started_at"),
        timestamp("committed_at"),
        text("job_version", 32),
        text("polars_version", 32),
        # A stack that is older than these columns gets them by ALTER TABLE, with the default.
        Column("event", "VARCHAR(16)", pl.String(), max_bytes=16, default="'load'"),
        Column("removed", "BIGINT", pl.Int64(), default="0"),
        Column("restored", "BIGINT", pl.Int64(), default="0"),
    ),
    "DISTSTYLE ALL SORTKEY (committed_at)",
)
"""One row for each commit that changed the fact, and for the first commit of each load."""

LEDGER_AMOUNTS = Table(
    "ledger_amounts",
    (
        text("load_id", 16),
        integer("attempt"),
        text("amount_class", LABEL_BYTES),
        text("status", 16),
        Column("is_sale", "BOOLEAN", pl.Boolean()),
        bigint("row_count"),
        decimal("amount", 38, 2),
    ),
    "DISTSTYLE ALL SORTKEY (load_id)",
)
"""The rows and the money by which each commit changed the fact. The sum over all commits equals the fact."""

WAREHOUSE_TABLES = (
    DIM_PRODUCTS,
    DIM_CUSTOMERS,
    FACT_TRANSACTIONS,
    LOAD_LEDGER,
    HISTORY,
    LEDGER_AMOUNTS,
    WAITING_ROWS,
    LOAD_LOCK,
)


@dataclass(frozen=True)
class Dimension:
    """A dimension table, the temp table for its staged drops, and the columns of its CSV."""

    table: Table
    staged: Table
    source_columns: tuple[Column, ...]
    joined: tuple[str, ...]
    """The columns that a transaction takes from it, the key first. The job may read only these: no names, no e-mail."""

    @property
    def personal(self) -> tuple[str, ...]:
        """The columns that no transaction takes: a customer's names and e-mail; none of a product."""
        return tuple(column.name for column in self.source_columns if column.name not in self.joined)


DIMENSIONS = {
    PRODUCTS: Dimension(
        DIM_PRODUCTS,
        STAGED_PRODUCTS,
        STAGED_PRODUCTS.columns[:5],
        ("product_id", "product_name", "category", "price", "supplier_id"),
    ),
    CUSTOMERS: Dimension(
        DIM_CUSTOMERS, STAGED_CUSTOMERS, STAGED_CUSTOMERS.columns[:5], ("customer_id", "membership_level")
    ),
}
