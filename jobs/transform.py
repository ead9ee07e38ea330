"""What happens to rows: enriched, validated, priced, classed and put in order of precedence.

Decided here: every rule a row must keep, what a row is worth, and which of two rows
that speak of one transaction wins. A chunk of text goes in, accepted and rejected rows
come out; nothing here touches a disk or a network.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import NamedTuple

import polars as pl

from jobs.lookup import Lookup
from jobs.source_file import IS_MALFORMED, SOURCE_LINE
from jobs.timestamps import read_timestamps
from schemas.reject_reasons import REJECT_REASONS
from schemas.statuses import STATUS_RANK, STATUSES
from schemas.tables import FACT_TRANSACTIONS, STAGED_TRANSACTIONS, TRANSACTION_COLUMNS

REJECT_REASONS_COLUMN = "reject_reasons"
SOURCE_COLUMNS = tuple(column.name for column in TRANSACTION_COLUMNS)

# Room for sixteen statuses; a microsecond of the year 9999 times this still fits a BIGINT.
RANKS = 16

_STATUS = pl.Enum(STATUSES)
_AS_STATUS = pl.col("status").cast(_STATUS, strict=False)
_TOTAL_AMOUNT = FACT_TRANSACTIONS["total_amount"].polars
_CENTS = 2


class JudgedRows(NamedTuple):
    accepted: pl.DataFrame
    """The staged columns, typed; several rows may still speak of one transaction."""
    rejected: pl.DataFrame
    """The columns as they stood, SOURCE_LINE, SOURCE_TEXT and `reject_reasons` (list of text)."""


@dataclass(frozen=True)
class Transform:
    """All that the rows of one drop are judged by."""

    products: Lookup
    """product_id -> product_name, category, price, supplier_id."""
    customers: Lookup
    """customer_id -> membership_level."""
    amount_classes: Mapping[str, Decimal]
    """Label -> lower bound, the smallest first."""
    partition_day: date
    drop_precedence: str
    load_id: str
    source_uri: str

    def __call__(self, rows: pl.DataFrame) -> JudgedRows:
        """Judge a chunk: text columns, SOURCE_LINE, IS_MALFORMED and SOURCE_TEXT."""
        typed = self._typed(rows)
        is_accepted = typed.select(pl.all_horizontal(self._rules().values())).to_series()
        if is_accepted.all():
            return JudgedRows(self._staged(typed), _rejected(rows.clear(), typed.clear(), self._rules()))
        return JudgedRows(
            self._staged(typed.filter(is_accepted)),
            _rejected(rows.filter(~is_accepted), typed.filter(~is_accepted), self._rules()),
        )

    def _typed(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Each value trimmed and read by its rule, null where it cannot be; joined, priced and classed."""
        text = rows.select(pl.col(SOURCE_COLUMNS).str.strip_chars())
        product_rows = self.products.rows_of(text)
        moments = read_timestamps(text.get_column("transaction_date"))
        typed = text.select(
            "transaction_id",
            "customer_id",
            "product_id",
            pl.when(pl.col("quantity").str.contains("^[0-9]+$"))
            .then(pl.col("quantity").cast(pl.Int32, strict=False))
            .alias("quantity"),
            pl.col("status").str.len_bytes().alias("status_bytes"),
        ).with_columns(
            rows.get_column(SOURCE_LINE),
            rows.get_column(IS_MALFORMED),
            moments.get_column("moment").alias("transaction_date"),
            moments.get_column("written_day"),
            _statuses(text),
            product_rows.is_not_null().alias("product_is_known"),
            self.products.column("price", product_rows).alias("unit_price"),
            self.products.column("product_name", product_rows),
            self.products.column("category", product_rows),
            self.products.column("supplier_id", product_rows),
        )
        customer_rows = self.customers.rows_of(text)
        return typed.with_columns(
            customer_rows.is_not_null().alias("customer_is_known"),
            self.customers.column("membership_level", customer_rows),
            # Exact decimals; the product has 38 digits, so only the cast can overflow, to null.
            total_amount=(pl.col("quantity").cast(pl.Decimal(10, 0)) * pl.col("unit_price"))
            .round(_CENTS, mode="half_away_from_zero")
            .cast(_TOTAL_AMOUNT, strict=False),
        )

    def _rules(self) -> dict[str, pl.Expr]:
        """Reject reason -> true where a row keeps the rule. Unknown is not valid: no rule is ever null."""
        given = {name: pl.col(name).str.len_bytes().fill_null(0) > 0 for name in SOURCE_COLUMNS[:3]}
        quantity = pl.col("quantity").is_not_null() & (pl.col("quantity") >= 1)
        amount = pl.col("unit_price").is_null() | pl.col("total_amount").is_not_null()
        day = pl.col("written_day")
        rules = {
            "missing_transaction_id": given["transaction_id"],
            "missing_customer_id": given["customer_id"],
            "missing_product_id": given["product_id"],
            "unknown_customer": pl.col("customer_is_known") | ~given["customer_id"],
            "unknown_product": pl.col("product_is_known") | ~given["product_id"],
            "invalid_quantity": quantity & amount,
            "invalid_transaction_date": day.is_not_null(),
            "future_transaction_date": (day <= self.partition_day).fill_null(True),
            "invalid_status": pl.col("status").is_not_null(),
            "value_too_long": pl.all_horizontal(_fits(name) for name in SOURCE_COLUMNS[:3])
            & (pl.col("status_bytes").fill_null(0) <= FACT_TRANSACTIONS["status"].max_bytes),
        }
        # The values of a malformed row may stand in the wrong columns: it is judged by its shape alone.
        is_malformed = pl.col(IS_MALFORMED)
        judged = {reason: is_malformed | rule for reason, rule in rules.items()}
        return {"malformed_row": ~is_malformed, **judged}

    def _staged(self, typed: pl.DataFrame) -> pl.DataFrame:
        """Accepted rows as the warehouse takes them, with their class and precedence."""
        return typed.with_columns(
            amount_class=self._amount_class(),
            event_precedence=pl.col("transaction_date").to_physical() * RANKS + _rank(),
            drop_precedence=pl.lit(self.drop_precedence),
            load_id=pl.lit(self.load_id),
            source_uri=pl.lit(self.source_uri),
        ).select(STAGED_TRANSACTIONS.names)

    def _amount_class(self) -> pl.Expr:
        labels = pl.Enum(list(self.amount_classes))
        (lowest, _), *higher = self.amount_classes.items()
        found: pl.Expr = pl.lit(lowest, dtype=labels)
        for label, bound in higher:
            found = pl.when(pl.col("total_amount") >= bound).then(pl.lit(label, dtype=labels)).otherwise(found)
        return found


def latest(rows: pl.DataFrame) -> pl.DataFrame:
    """The winner of each transaction_id among staged rows of one drop."""
    return rows.sort("event_precedence", SOURCE_LINE).unique("transaction_id", keep="last", maintain_order=True)


def _rejected(rows: pl.DataFrame, typed: pl.DataFrame, rules: Mapping[str, pl.Expr]) -> pl.DataFrame:
    """The rows as they stood with all their reasons, in the order in which the reasons are declared."""
    reasons = typed.select(
        pl.concat_list(pl.when(~rules[reason]).then(pl.lit(reason)) for reason in REJECT_REASONS)
        .list.drop_nulls()
        .alias(REJECT_REASONS_COLUMN)
    )
    return rows.drop(IS_MALFORMED).with_columns(reasons.to_series())


def _statuses(text: pl.DataFrame) -> pl.Series:
    """Statuses whatever their case, null where unknown. Lower-casing costs, so only what needs it pays."""
    found = text.select(_AS_STATUS).to_series()
    unknown = found.is_null()
    if not unknown.any():
        return found
    again = text.filter(unknown).select(pl.col("status").str.to_lowercase().cast(_STATUS, strict=False)).to_series()
    return found.scatter(unknown.arg_true(), again)


def _rank() -> pl.Expr:
    return pl.col("status").replace_strict(STATUS_RANK, return_dtype=pl.Int64)


def _fits(name: str) -> pl.Expr:
    return pl.col(name).str.len_bytes().fill_null(0) <= FACT_TRANSACTIONS[name].max_bytes
