"""The transform as one would write it without a thought for memory: lazy joins, one collect, one sort, one unique."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from benchmarks.work import AMOUNT_CLASSES, COLUMNS, DROP_PRECEDENCE, LOAD_ID, SOURCE_URI, STAGED_COLUMNS, Work
from schemas.statuses import STATUS_RANK

_FORMAT = "%Y-%m-%dT%H:%M:%SZ"


def run(work: Work, out: Path) -> int:
    rows = (
        pl.scan_csv(work.transactions, infer_schema=False, row_index_name="source_line", row_index_offset=2)
        .with_columns(pl.col(COLUMNS).str.strip_chars())
        .with_columns(
            quantity=pl.col("quantity").cast(pl.Int32, strict=False),
            transaction_date=pl.col("transaction_date").str.to_datetime(_FORMAT, time_unit="us", strict=False),
        )
        .join(pl.scan_parquet(work.products), on="product_id", how="left")
        .join(pl.scan_parquet(work.customers), on="customer_id", how="left")
        .rename({"price": "unit_price"})
        .with_columns(
            source_line=pl.col("source_line").cast(pl.Int64),
            total_amount=(pl.col("quantity") * pl.col("unit_price")).round(2).cast(pl.Decimal(18, 2)),
            event_precedence=pl.col("transaction_date").dt.epoch("us") * 16
            + pl.col("status").replace_strict(STATUS_RANK, return_dtype=pl.Int64, default=None),
            drop_precedence=pl.lit(DROP_PRECEDENCE),
            load_id=pl.lit(LOAD_ID),
            source_uri=pl.lit(SOURCE_URI),
        )
        .with_columns(
            amount_class=pl.when(pl.col("total_amount") >= AMOUNT_CLASSES["Large"])
            .then(pl.lit("Large"))
            .when(pl.col("total_amount") >= AMOUNT_CLASSES["Medium"])
            .then(pl.lit("Medium"))
            .otherwise(pl.lit("Small"))
        )
        .collect()
    )
    is_accepted = rows.select(pl.all_horizontal(pl.col("unit_price", "quantity", "event_precedence").is_not_null()))
    latest = rows.filter(is_accepted.to_series()).sort("event_precedence", "source_line")
    (out / "staged").mkdir()
    latest.unique("transaction_id", keep="last").select(STAGED_COLUMNS).write_parquet(
        out / "staged" / "part.parquet", compression="snappy"
    )
    return rows.height
