"""Rows of text, validated by the job's RowValidator alone, without a file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import NamedTuple

import polars as pl

from jobs.csv.reader import IS_MALFORMED
from jobs.rows.lookup import Lookup
from jobs.rows.validation import RowValidator
from schemas.drops import CUSTOMERS, PRODUCTS
from schemas.rejected_file import SOURCE_LINE, SOURCE_TEXT
from schemas.warehouse.tables import DIMENSIONS
from tests import oracle
from tests.oracle.text import SOURCE_COLUMNS
from tests.strategies.hostile_content import SOUND_CUSTOMERS, SOUND_DAY, SOUND_PRODUCTS

ENRICHMENT = {
    PRODUCTS: ("product_id", "product_name", "category", "price", "supplier_id"),
    CUSTOMERS: ("customer_id", "membership_level"),
}


class Validated(NamedTuple):
    """The rows of a chunk, the accepted ones enriched."""

    accepted: pl.DataFrame
    rejected: pl.DataFrame
    waiting: pl.DataFrame


def text_rows(rows: Sequence[Mapping[str, str]]) -> pl.DataFrame:
    """A chunk as the reader returns it: empty values are null, and lines are numbered from 2."""
    schema = {name: pl.String() for name in SOURCE_COLUMNS}
    frame = pl.DataFrame([[row[name] or None for name in SOURCE_COLUMNS] for row in rows], schema=schema, orient="row")
    return frame.select(
        pl.int_range(2, 2 + pl.len(), dtype=pl.Int64).alias(SOURCE_LINE),
        pl.lit(False).alias(IS_MALFORMED),
        pl.lit(None, dtype=pl.String).alias(SOURCE_TEXT),
        pl.all(),
    )


def lookup(name: str, rows: Mapping[str, object]) -> Lookup:
    """A dimension of these rows."""
    columns = ENRICHMENT[name]
    schema = {column: DIMENSIONS[name].table[column].polars for column in columns}
    values = {column: [getattr(row, column) for row in rows.values()] for column in columns}
    return Lookup(pl.DataFrame(values, schema=schema), name=name, key=columns[0])


def transform(
    *,
    products: oracle.Products = SOUND_PRODUCTS,
    customers: oracle.Customers = SOUND_CUSTOMERS,
    partition_day: date = SOUND_DAY,
    amount_classes: Mapping[str, Decimal] = dict(oracle.AMOUNT_CLASSES),
) -> Callable[[pl.DataFrame], Validated]:
    """The validator of a drop's rows, with these dimensions."""
    made = RowValidator(
        products=lookup(PRODUCTS, products),
        customers=lookup(CUSTOMERS, customers),
        amount_classes=amount_classes,
        partition_day=partition_day,
        drop_precedence="2023-03-15 2023-03-16T06:00:00Z 0123456789abcdef",
        load_id="0123456789abcdef",
        source_uri="s3://drop-bucket/day.csv",
    )

    def validated_and_enriched(rows: pl.DataFrame) -> Validated:
        validated = made.validate(rows)
        return Validated(made.enrich(validated.accepted), validated.rejected, validated.waiting)

    return validated_and_enriched
