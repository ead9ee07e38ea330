"""The rules of a row: looks it up, validates and prices it, and sets its precedence and amount class.

Decided here: every rule that a row must keep alone, and the amount of a row. A chunk
of text goes in, accepted and rejected rows come out; nothing here touches a disk or a
network.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import NamedTuple

import polars as pl

from jobs.csv.reader import IS_MALFORMED
from jobs.csv.rejected_file import as_rejected
from jobs.rows.ids import IdReader
from jobs.rows.lookup import Lookup
from jobs.rows.numbers import NumberReader
from jobs.rows.statuses import StatusReader
from jobs.rows.timestamps import INSTANT_UTC, LATEST_DAY, LOCAL_DATE, TimestampReader
from schemas.reject_reasons import REJECT_REASONS, WAITS_FOR
from schemas.rejected_file import REASON_SEPARATOR, REJECT_REASONS_COLUMN, SOURCE_LINE
from schemas.sources import DEFAULT, NEGATIVE, SourceSettings
from schemas.statuses import RANK_SLOTS, WITHOUT_QUANTITY
from schemas.warehouse.tables import FACT_TRANSACTIONS, STAGED_TRANSACTIONS

_BITS = {reason: 1 << place for place, reason in enumerate(REJECT_REASONS)}
_WAITING = sum(_BITS[reason] for reason in WAITS_FOR)

_IDS = ("transaction_id", "customer_id", "product_id")
_PRODUCT_ROW = "product_row"
_CUSTOMER_ROW = "customer_row"
_IS_ROUNDED = "is_rounded"
UNIT_PRICE = "unit_price"
"""The price the customer paid for one piece, where the file has it; otherwise the list price."""
TOTAL_AMOUNT = (
    # Exact decimals; the product has 38 digits, so only the cast can overflow, to null.
    (pl.col("quantity").cast(pl.Decimal(10, 0)) * pl.col(UNIT_PRICE))
    .round(2, mode="half_away_from_zero")
    .cast(FACT_TRANSACTIONS["total_amount"].polars, strict=False)
    .alias("total_amount")
)
"""Of a row with a quantity and a price."""
_ACCEPTED_COLUMNS = (
    *_IDS,
    "quantity",
    UNIT_PRICE,
    "total_amount",
    "event_precedence",
    SOURCE_LINE,
    _PRODUCT_ROW,
    _CUSTOMER_ROW,
)
"""The row's values, its price and amount, its line, and its positions in both dimensions. Its date and status follow
from event_precedence."""


class _Readers(NamedTuple):
    ids: IdReader
    numbers: NumberReader
    timestamps: TimestampReader
    statuses: StatusReader


class ValidationResult(NamedTuple):
    typed: pl.DataFrame
    """Every row of the chunk, with what `enrich` needs to know of it."""
    is_accepted: pl.Series
    """For each of these rows; several may still have one transaction_id."""
    rejected: pl.DataFrame
    """The columns as they stood, SOURCE_LINE, SOURCE_TEXT and all reasons in one text."""
    waiting: pl.DataFrame
    """Typed, with their reasons: the rejected rows that are right in themselves, but their customer or product is
    unknown."""

    @property
    def accepted(self) -> pl.DataFrame:
        return self.typed if self.is_accepted.all() else self.typed.filter(self.is_accepted)


@dataclass(frozen=True)
class RowValidator:
    """Validates and enriches the rows of one drop."""

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
    source: SourceSettings = DEFAULT
    """The format of the source's values."""

    def validate(self, rows: pl.DataFrame) -> ValidationResult:
        """Validate a chunk: text columns, SOURCE_LINE, IS_MALFORMED and SOURCE_TEXT."""
        typed = self._typed(rows)
        rules = self._rules(rows)
        is_accepted = typed.select(pl.all_horizontal(rules.values())).to_series()
        rejected = _rejected(rows.filter(~is_accepted), typed.filter(~is_accepted), rules)
        return ValidationResult(typed.select(_ACCEPTED_COLUMNS), is_accepted, *rejected)

    def enrich(self, accepted: pl.DataFrame) -> pl.DataFrame:
        """Accepted rows as the warehouse takes them: the staged columns, typed."""
        product, customer = accepted.get_column(_PRODUCT_ROW), accepted.get_column(_CUSTOMER_ROW)
        computed = accepted.with_columns(
            (pl.col("event_precedence") // RANK_SLOTS).cast(pl.Datetime("us")).alias("transaction_date"),
            (pl.col("event_precedence") % RANK_SLOTS).cast(self._readers.statuses.type).alias("status"),
            self._amount_class().alias("amount_class"),
            _constant(self.drop_precedence).alias("drop_precedence"),
            _constant(self.load_id).alias("load_id"),
            _constant(self.source_uri).alias("source_uri"),
        )
        looked_up = (
            self.products.column("product_name", product),
            self.products.column("category", product),
            self.products.column("supplier_id", product),
            self.customers.column("membership_level", customer),
        )
        columns = {column.name: column for column in (*computed, *looked_up)}
        return pl.DataFrame([columns[name] for name in STAGED_TRANSACTIONS.names])

    @functools.cached_property
    def _readers(self) -> _Readers:
        source = self.source
        return _Readers(
            IdReader(source.null_words),
            NumberReader(decimal_comma=source.decimal_comma, thousands_separator=source.thousands_separator),
            TimestampReader(source.date_formats, source.time_zone),
            StatusReader(source.statuses, source.status_ranks),
        )

    def _typed(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Each value read by its rule, null where it cannot be; looked up and priced."""
        ids, numbers, timestamps, statuses = self._readers
        own = ids.read_own(rows.get_column("transaction_id"))
        product = ids.read_known(rows.get_column("product_id"), self.products)
        customer = ids.read_known(rows.get_column("customer_id"), self.customers, otherwise=self.source.guest_customer)
        instants = timestamps.read(rows.get_column("transaction_date"))
        return pl.DataFrame(
            [
                rows.get_column(SOURCE_LINE),
                rows.get_column(IS_MALFORMED),
                own.ids,
                own.bytes.alias("transaction_id_bytes"),
                customer.ids,
                customer.bytes.alias("customer_id_bytes"),
                customer.rows.alias(_CUSTOMER_ROW),
                product.ids,
                product.bytes.alias("product_id_bytes"),
                product.rows.alias(_PRODUCT_ROW),
                _true_at(pl.concat([own.rounded, customer.rounded, product.rounded]), rows.height).alias(_IS_ROUNDED),
                numbers.read_whole(rows.get_column("quantity")),
                instants.get_column(INSTANT_UTC).alias("transaction_date"),
                instants.get_column(LOCAL_DATE),
                instants.get_column(LATEST_DAY),
                statuses.read(rows.get_column("status")),
                self._unit_price(rows, product.rows),
            ]
        ).with_columns(
            TOTAL_AMOUNT,
            (pl.col("transaction_date").to_physical() * RANK_SLOTS + pl.col("status").to_physical()).alias(
                "event_precedence"
            ),
        )

    def _unit_price(self, rows: pl.DataFrame, product_rows: pl.Series) -> pl.Series:
        if self._is_priced_by(rows):
            return self._readers.numbers.read_price(rows.get_column(UNIT_PRICE))
        return self.products.column("price", product_rows).alias(UNIT_PRICE)

    def _is_priced_by(self, rows: pl.DataFrame) -> bool:
        """True where the source says what the customer paid."""
        return self.source.unit_price is not None and UNIT_PRICE in rows.columns

    def _rules(self, rows: pl.DataFrame) -> dict[str, pl.Expr]:
        """Reject reason -> true where a row keeps the rule. Unknown is not valid: no rule is ever null."""
        size = {name: pl.col(f"{name}_bytes").fill_null(0) for name in _IDS}
        amount = pl.col(UNIT_PRICE).is_null() | pl.col("total_amount").is_not_null()
        day = pl.col(LOCAL_DATE)
        names_one = ~pl.col(_IS_ROUNDED)
        rules = {
            "missing_transaction_id": size["transaction_id"] > 0,
            "missing_customer_id": size["customer_id"] > 0,
            "missing_product_id": size["product_id"] > 0,
            "unknown_customer": self._is_known_customer() | (size["customer_id"] == 0),
            "unknown_product": pl.col(_PRODUCT_ROW).is_not_null() | (size["product_id"] == 0),
            "invalid_quantity": self._is_quantity() & amount,
            "invalid_transaction_date": day.is_not_null(),
            "future_transaction_date": (pl.col(LATEST_DAY) <= self.partition_day).fill_null(True),
            "invalid_status": pl.col("status").is_not_null(),
            # A status that was read is one of those declared.
            "value_too_long": pl.all_horizontal(size[name] <= FACT_TRANSACTIONS[name].max_bytes for name in _IDS),
            "rounded_id": names_one,
            "too_early_transaction_date": (day >= self.source.first_plausible_day(self.partition_day)).fill_null(True),
        }
        if self._is_priced_by(rows):
            rules["invalid_unit_price"] = pl.col(UNIT_PRICE).is_not_null()
        # The values of a malformed row may be in the wrong columns, so no other rule applies.
        is_malformed = pl.col(IS_MALFORMED)
        readable_rules = {reason: is_malformed | rule for reason, rule in rules.items()}
        return {"malformed_row": ~is_malformed, **readable_rules}

    def _is_known_customer(self) -> pl.Expr:
        is_known = pl.col(_CUSTOMER_ROW).is_not_null()
        guest = self.source.guest_customer
        return is_known | (pl.col("customer_id") == guest).fill_null(False) if guest else is_known

    def _is_quantity(self) -> pl.Expr:
        quantity = pl.col("quantity")
        is_over = pl.col("status").is_in(list(WITHOUT_QUANTITY)) & (quantity == 0)
        allowed = (quantity >= 1) | is_over
        return (allowed | (quantity < 0) if self.source.returns == NEGATIVE else allowed).fill_null(False)

    def _amount_class(self) -> pl.Expr:
        labels = pl.Enum(list(self.amount_classes))
        (lowest, _), *higher = self.amount_classes.items()
        amount_class: pl.Expr = pl.lit(lowest, dtype=labels)
        for label, bound in higher:
            amount_class = (
                pl.when(pl.col("total_amount") >= bound).then(pl.lit(label, dtype=labels)).otherwise(amount_class)
            )
        return amount_class


def _true_at(places: pl.Series, size: int) -> pl.Series:
    # Scattering numbers costs a twentieth of scattering booleans.
    return pl.zeros(size, dtype=pl.UInt8(), eager=True).scatter(places, 1).cast(pl.Boolean())


def _rejected(
    rows: pl.DataFrame, typed: pl.DataFrame, rules: Mapping[str, pl.Expr]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """(the rows as they stood with all their reasons, in the order in which those are declared; the waiting ones)."""
    # One bit for each broken rule: rows may be many, and the combinations that occur are few.
    broken = typed.select(
        pl.sum_horizontal((~rule).cast(pl.UInt32) * _BITS[reason] for reason, rule in rules.items())
    ).to_series()
    reasons = pl.Series(REJECT_REASONS_COLUMN, [_reasons(bits) for bits in broken], dtype=pl.String())
    waiting = typed.select(*_ACCEPTED_COLUMNS, reasons).filter((broken | _WAITING) == _WAITING)
    return as_rejected(rows, reasons), waiting


@functools.cache
def _reasons(bits: int) -> str:
    return REASON_SEPARATOR.join(reason for reason, bit in _BITS.items() if bits & bit)


def _constant(value: str) -> pl.Expr:
    """One value for every row, as a category: Parquet then holds it once."""
    return pl.lit(value, dtype=pl.Enum([value]))
