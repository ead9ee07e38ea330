"""What happens to rows: looked up, validated, priced and put in order of precedence; then enriched and classed.

Decided here: every rule that a row must keep by itself, and what a row is worth. A chunk
of text goes in, accepted and rejected rows come out; nothing here touches a disk or a
network.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Callable, NamedTuple

import polars as pl

from jobs.csv.reader import IS_MALFORMED, SOURCE_LINE, SOURCE_TEXT
from jobs.rows.lookup import Lookup
from jobs.rows.timestamps import read_timestamps
from schemas.reject_reasons import REJECT_REASONS
from schemas.statuses import STATUSES
from schemas.warehouse.tables import FACT_TRANSACTIONS, STAGED_TRANSACTIONS, TRANSACTION_COLUMNS, Column

REJECT_REASONS_COLUMN = "reject_reasons"
REASON_SEPARATOR = ";"
_BITS = {reason: 1 << place for place, reason in enumerate(REJECT_REASONS)}
_WAITING = _BITS["unknown_customer"] | _BITS["unknown_product"]
SOURCE_COLUMNS = tuple(column.name for column in TRANSACTION_COLUMNS)

# Room for sixteen statuses; a microsecond of the year 9999 times this still fits a BIGINT.
RANKS = 16

_STATUS = pl.Enum(STATUSES)  # in rank order, so the physical value of a status is its rank
_TOTAL_AMOUNT = FACT_TRANSACTIONS["total_amount"].polars
_CENTS = 2
_TEXT_COLUMNS = ("transaction_id", "customer_id", "product_id", "status")
_PRODUCT_ROW = "product_row"
_CUSTOMER_ROW = "customer_row"
_ACCEPTED_COLUMNS = (
    *SOURCE_COLUMNS,
    "unit_price",
    "total_amount",
    "event_precedence",
    SOURCE_LINE,
    _PRODUCT_ROW,
    _CUSTOMER_ROW,
)
"""What a row says, what it is worth, where it stands, and where the dimensions have its product and customer."""


class ValidationResult(NamedTuple):
    accepted: pl.DataFrame
    """Typed, with what `enrich` needs to know of them; several rows may still speak of one transaction."""
    rejected: pl.DataFrame
    """The columns as they stood, SOURCE_LINE, SOURCE_TEXT and all reasons in one text."""
    waiting: pl.DataFrame
    """Typed as `accepted`: the rejected rows that are right in themselves, but their customer or product is unknown."""


@dataclass(frozen=True)
class RowValidator:
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

    def validate(self, rows: pl.DataFrame) -> ValidationResult:
        """Judge a chunk: text columns, SOURCE_LINE, IS_MALFORMED and SOURCE_TEXT."""
        typed = self._typed(rows)
        is_accepted = typed.select(pl.all_horizontal(self._rules().values())).to_series()
        accepted = typed.select(_ACCEPTED_COLUMNS)
        if is_accepted.all():
            return ValidationResult(accepted, *_rejected(rows.clear(), typed.clear(), self._rules()))
        return ValidationResult(
            accepted.filter(is_accepted),
            *_rejected(rows.filter(~is_accepted), typed.filter(~is_accepted), self._rules()),
        )

    def enrich(self, accepted: pl.DataFrame) -> pl.DataFrame:
        """Accepted rows as the warehouse takes them: the staged columns, typed."""
        product, customer = accepted.get_column(_PRODUCT_ROW), accepted.get_column(_CUSTOMER_ROW)
        return accepted.with_columns(
            self.products.column("product_name", product),
            self.products.column("category", product),
            self.products.column("supplier_id", product),
            self.customers.column("membership_level", customer),
            self._amount_class().alias("amount_class"),
            _constant(self.drop_precedence).alias("drop_precedence"),
            _constant(self.load_id).alias("load_id"),
            _constant(self.source_uri).alias("source_uri"),
        ).select(STAGED_TRANSACTIONS.names)

    def _typed(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Each value read by its rule, null where it cannot be; looked up and priced."""
        product = _join(rows.get_column("product_id"), self.products)
        customer = _join(rows.get_column("customer_id"), self.customers)
        instants = read_timestamps(rows.get_column("transaction_date"))
        return pl.DataFrame(
            [
                rows.get_column(SOURCE_LINE),
                rows.get_column(IS_MALFORMED),
                rows.get_column("transaction_id").str.strip_chars(),
                customer.ids,
                customer.bytes.alias("customer_id_bytes"),
                customer.rows.alias(_CUSTOMER_ROW),
                product.ids,
                product.bytes.alias("product_id_bytes"),
                product.rows.alias(_PRODUCT_ROW),
                _read(rows.get_column("quantity"), _quantities, _quantities),
                instants.get_column("instant_utc").alias("transaction_date"),
                instants.get_column("local_date"),
                _read(rows.get_column("status"), _statuses, _statuses_of_any_case),
                _trimmed_bytes(rows.get_column("status"), FACT_TRANSACTIONS["status"]).alias("status_bytes"),
                self.products.column("price", product.rows).alias("unit_price"),
            ]
        ).with_columns(
            pl.col("transaction_id").str.len_bytes().alias("transaction_id_bytes"),
            # Exact decimals; the product has 38 digits, so only the cast can overflow, to null.
            (pl.col("quantity").cast(pl.Decimal(10, 0)) * pl.col("unit_price"))
            .round(_CENTS, mode="half_away_from_zero")
            .cast(_TOTAL_AMOUNT, strict=False)
            .alias("total_amount"),
            (pl.col("transaction_date").to_physical() * RANKS + pl.col("status").to_physical()).alias(
                "event_precedence"
            ),
        )

    def _rules(self) -> dict[str, pl.Expr]:
        """Reject reason -> true where a row keeps the rule. Unknown is not valid: no rule is ever null."""
        size = {name: pl.col(f"{name}_bytes").fill_null(0) for name in _TEXT_COLUMNS}
        quantity = pl.col("quantity").is_not_null() & (pl.col("quantity") >= 1)
        amount = pl.col("unit_price").is_null() | pl.col("total_amount").is_not_null()
        day = pl.col("local_date")
        rules = {
            "missing_transaction_id": size["transaction_id"] > 0,
            "missing_customer_id": size["customer_id"] > 0,
            "missing_product_id": size["product_id"] > 0,
            "unknown_customer": pl.col(_CUSTOMER_ROW).is_not_null() | (size["customer_id"] == 0),
            "unknown_product": pl.col(_PRODUCT_ROW).is_not_null() | (size["product_id"] == 0),
            "invalid_quantity": quantity & amount,
            "invalid_transaction_date": day.is_not_null(),
            "future_transaction_date": (day <= self.partition_day).fill_null(True),
            "invalid_status": pl.col("status").is_not_null(),
            "value_too_long": pl.all_horizontal(
                size[name] <= FACT_TRANSACTIONS[name].max_bytes for name in _TEXT_COLUMNS
            ),
        }
        # The values of a malformed row may stand in the wrong columns: it is judged by its shape alone.
        is_malformed = pl.col(IS_MALFORMED)
        judged = {reason: is_malformed | rule for reason, rule in rules.items()}
        return {"malformed_row": ~is_malformed, **judged}

    def _amount_class(self) -> pl.Expr:
        labels = pl.Enum(list(self.amount_classes))
        (lowest, _), *higher = self.amount_classes.items()
        found: pl.Expr = pl.lit(lowest, dtype=labels)
        for label, bound in higher:
            found = pl.when(pl.col("total_amount") >= bound).then(pl.lit(label, dtype=labels)).otherwise(found)
        return found


def _rejected(
    rows: pl.DataFrame, typed: pl.DataFrame, rules: Mapping[str, pl.Expr]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """(the rows as they stood with all their reasons, in the order in which those are declared; the waiting ones)."""
    # One bit for each broken rule: rows may be many, and the combinations that occur are few.
    broken = typed.select(
        pl.sum_horizontal((~rule).cast(pl.UInt32) * _BITS[reason] for reason, rule in rules.items())
    ).to_series()
    reasons = pl.Series(REJECT_REASONS_COLUMN, [_reasons(bits) for bits in broken], dtype=pl.String())
    # What Polars padded or cut of a malformed row stands in no certain column: its text tells all.
    is_sound = pl.col(SOURCE_TEXT).is_null()
    as_it_stood = pl.when(is_sound).then(pl.all().exclude(SOURCE_LINE, SOURCE_TEXT))
    rejected = rows.drop(IS_MALFORMED).with_columns(as_it_stood).with_columns(reasons)
    return rejected, typed.filter((broken | _WAITING) == _WAITING).select(_ACCEPTED_COLUMNS)


@functools.cache
def _reasons(bits: int) -> str:
    return REASON_SEPARATOR.join(reason for reason, bit in _BITS.items() if bits & bit)


def _read(
    values: pl.Series, read: Callable[[pl.Series], pl.Series], read_again: Callable[[pl.Series], pl.Series]
) -> pl.Series:
    """What the trimmed values mean, null where they mean nothing.

    Nearly every value is written as it should be: all are read as they stand, and only
    what that leaves unread is trimmed and read again.
    """
    found = read(values)
    unread = found.is_null()
    if not unread.any():
        return found
    return found.scatter(unread.arg_true(), read_again(values.filter(unread).str.strip_chars()))


class _Joined(NamedTuple):
    ids: pl.Series
    """Trimmed."""
    rows: pl.Series
    """Row numbers in the dimension, null where unknown."""
    bytes: pl.Series
    """Of the trimmed id; 0 or null where there is none."""


def _join(ids: pl.Series, dimension: Lookup) -> _Joined:
    """Look ids up as they stand, and those not found once more without the space around them."""
    rows, size = dimension.rows_of(ids), ids.str.len_bytes()
    unknown = rows.is_null()
    if not unknown.any():
        return _Joined(ids, rows, size)
    trimmed, where = ids.filter(unknown).str.strip_chars(), unknown.arg_true()
    return _Joined(
        ids.scatter(where, trimmed),
        rows.scatter(where, dimension.rows_of(trimmed)),
        size.scatter(where, trimmed.str.len_bytes()),
    )


def _trimmed_bytes(text: pl.Series, column: Column) -> pl.Series:
    """Bytes of each trimmed value; trimming can only matter where one is too long for its column."""
    size = text.str.len_bytes()
    return text.str.strip_chars().str.len_bytes() if (size > (column.max_bytes or 0)).any() else size


def _quantities(text: pl.Series) -> pl.Series:
    # The digits are checked first: a cast alone takes a sign.
    is_digits = text.str.contains("^[0-9]+$")
    return text.set(~is_digits, None).cast(pl.Int32, strict=False)


def _statuses(text: pl.Series) -> pl.Series:
    return text.cast(_STATUS, strict=False)


def _statuses_of_any_case(text: pl.Series) -> pl.Series:
    return text.str.to_lowercase().cast(_STATUS, strict=False)


def _constant(value: str) -> pl.Expr:
    """One value for every row, as a category: Parquet then holds it once."""
    return pl.lit(value, dtype=pl.Enum([value]))
