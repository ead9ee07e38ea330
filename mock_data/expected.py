"""The expected results of a correct job: an outcome for every row, the final fact and the totals.

The outcomes are right for files that are dropped in day order; the fact is right for any
order. They are written while the rows are generated, so memory does not grow with their number.
"""

from __future__ import annotations

import json
from contextlib import ExitStack
from datetime import date
from decimal import Decimal
from pathlib import Path
from types import TracebackType

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from mock_data.dimensions import PRICE_UNIT, Customers, Products
from mock_data.order_histories import LAST_SECOND, OUTCOMES
from mock_data.rng import Integers
from mock_data.row_variants import VARIANTS
from mock_data.rows import Piece
from schemas.amount_classes import DEFAULT, parse_amount_classes
from schemas.reject_reasons import REJECT_REASONS
from schemas.rejected_file import REASON_SEPARATOR
from schemas.statuses import STATUSES

AMOUNT_CLASSES = parse_amount_classes(DEFAULT)
"""Label -> lower bound."""

OUTCOME_SCHEMA = {
    "source_line": pl.Int64(),
    "transaction_id": pl.String(),
    "outcome": pl.String(),
    "reject_reasons": pl.String(),
    "variant": pl.String(),
}

FACT_SCHEMA = {
    "transaction_id": pl.String(),
    "customer_id": pl.String(),
    "product_id": pl.String(),
    "quantity": pl.Int32(),
    "transaction_date": pl.Datetime("us"),
    "status": pl.String(),
    "unit_price": pl.Decimal(18, 4),
    "total_amount": pl.Decimal(18, 2),
    "amount_class": pl.String(),
    "product_name": pl.String(),
    "category": pl.String(),
    "supplier_id": pl.String(),
    "membership_level": pl.String(),
    "source_key": pl.String(),
    "source_line": pl.Int64(),
}


class Expected:
    """The folder `expected/`: outcomes/<file>.parquet, fact_transactions.parquet and summary.json.

    It is a context manager; leaving it without an error writes the summary.
    """

    def __init__(self, folder: Path, *, start: date, products: Products, customers: Customers) -> None:
        self._folder = folder
        self._start = start
        self._products = products
        self._customers = customers
        self._outcomes = np.zeros(len(OUTCOMES), dtype=np.int64)
        self._variants = np.zeros(len(VARIANTS), dtype=np.int64)
        self._files = 0
        self._fact_rows = 0
        self._fact_cents = 0
        self._open = ExitStack()

    def __enter__(self) -> Expected:
        (self._folder / "outcomes").mkdir(parents=True)
        self._fact = self._open.enter_context(_ParquetFile(self._folder / "fact_transactions.parquet", FACT_SCHEMA))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()
        if kind is None:
            (self._folder / "summary.json").write_text(json.dumps(self._summary(), indent=2) + "\n")

    def file(self, key: str) -> ExpectedFile:
        """The expected outcomes of the rows of one drop; a context manager."""
        self._files += 1
        return ExpectedFile(self, key, self._folder / "outcomes" / (Path(key).stem + ".parquet"))

    def add(self, piece: Piece, *, key: str, source_line: Integers, transaction_id: pl.Series) -> None:
        """Count the piece's rows, and write those that are in the final fact."""
        self._outcomes += np.bincount(piece.outcome, minlength=len(OUTCOMES))
        self._variants += np.bincount(piece.contents.variant, minlength=len(VARIANTS))
        rows = np.flatnonzero(piece.wins)
        quantity, product = piece.contents.quantity[rows], piece.contents.product[rows]
        prices = self._products.prices[product]
        cents = _cents(quantity, prices)
        self._fact_rows += len(rows)
        self._fact_cents += int(cents.sum())
        products = self._products.frame[product]
        customers = self._customers.frame[piece.contents.customer[rows]]
        seconds = piece.contents.event_day[rows] * (LAST_SECOND + 1) + piece.contents.second[rows]
        self._fact.write(
            {
                "transaction_id": transaction_id.gather(rows),
                "customer_id": customers["customer_id"],
                "product_id": products["product_id"],
                "quantity": pl.Series(quantity),
                "transaction_date": pl.select(
                    pl.lit(self._start, dtype=pl.Datetime("us")) + pl.duration(seconds=pl.lit(pl.Series(seconds)))
                ).to_series(),
                "status": pl.Series(STATUSES, dtype=pl.String).gather(piece.contents.status[rows]),
                "unit_price": _decimals(prices, scale=4),
                "total_amount": _decimals(cents, scale=2),
                "amount_class": _amount_classes(cents),
                "product_name": products["product_name"],
                "category": products["category"],
                "supplier_id": products["supplier_id"],
                "membership_level": customers["membership_level"],
                "source_key": pl.repeat(key, len(rows), eager=True),
                "source_line": pl.Series(source_line[rows]),
            }
        )

    def _summary(self) -> dict[str, object]:
        reasons = {
            reason: sum(count for variant, count in zip(VARIANTS, self._variants.tolist()) if reason in variant.reasons)
            for reason in REJECT_REASONS
        }
        return {
            "loads": self._files,
            "rows_read": int(self._outcomes.sum()),
            **dict(zip(OUTCOMES, self._outcomes.tolist())),
            "reject_reasons": {reason: count for reason, count in reasons.items() if count},
            "fact_rows": self._fact_rows,
            "fact_amount": str(Decimal(self._fact_cents).scaleb(-2)),
        }


class ExpectedFile:
    """The expected outcomes of one file's rows, in the order of their lines."""

    def __init__(self, expected: Expected, key: str, path: Path) -> None:
        self._expected = expected
        self._key = key
        self._parquet = _ParquetFile(path, OUTCOME_SCHEMA)
        self._next_line = 2

    def __enter__(self) -> ExpectedFile:
        self._parquet.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._parquet.__exit__(kind, error, trace)

    def add(self, piece: Piece) -> None:
        source_line = self._next_line + piece.first_lines()
        self._next_line += piece.lines
        transaction_id = piece.transaction_ids()
        self._parquet.write(
            {
                "source_line": pl.Series(source_line),
                "transaction_id": transaction_id,
                "outcome": pl.Series(OUTCOMES, dtype=pl.String).gather(piece.outcome),
                "reject_reasons": _REASONS.gather(piece.contents.variant),
                "variant": _VARIANT_NAMES.gather(piece.contents.variant),
            }
        )
        self._expected.add(piece, key=self._key, source_line=source_line, transaction_id=transaction_id)


class _ParquetFile:
    """A Parquet file that is written one frame at a time."""

    def __init__(self, path: Path, schema: dict[str, pl.DataType]) -> None:
        self._path = path
        self._schema = schema

    def __enter__(self) -> _ParquetFile:
        # Ids and lines do not repeat, and building a dictionary of them would take longer than all else.
        repeating = [name for name, dtype in self._schema.items() if dtype == pl.String() and name != "transaction_id"]
        self._writer = pq.ParquetWriter(
            self._path, self._arrow(pl.DataFrame(schema=self._schema)).schema, use_dictionary=repeating
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()

    def write(self, columns: dict[str, pl.Series]) -> None:
        self._writer.write_table(self._arrow(pl.DataFrame(columns, schema_overrides=self._schema)))

    @staticmethod
    def _arrow(frame: pl.DataFrame) -> pa.Table:
        return frame.to_arrow(compat_level=pl.CompatLevel.oldest())


_REASONS = pl.Series([REASON_SEPARATOR.join(variant.reasons) for variant in VARIANTS])
_VARIANT_NAMES = pl.Series([variant.name for variant in VARIANTS])


def _cents(quantity: Integers, price: Integers) -> Integers:
    """quantity * price, rounded half up to cents, in integers only."""
    per_cent = PRICE_UNIT // 100
    return (quantity * price + per_cent // 2) // per_cent


def _decimals(numbers: Integers, *, scale: int) -> pl.Series:
    unit = Decimal(1).scaleb(-scale)
    return pl.select(pl.lit(pl.Series(numbers)).cast(pl.Decimal(38, scale)) * pl.lit(unit)).to_series()


def _amount_classes(cents: Integers) -> pl.Series:
    bounds = np.array([bound * 100 for bound in AMOUNT_CLASSES.values()])
    return pl.Series(list(AMOUNT_CLASSES)).gather(np.searchsorted(bounds, cents, side="right") - 1)
