"""The lower limit: Polars reads the file as text, writes it as Parquet, and does nothing else."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from benchmarks.work import COLUMNS, Work


def run(work: Work, out: Path) -> int:
    rows = pl.scan_csv(
        work.transactions, schema={name: pl.String() for name in COLUMNS}, quote_char=None, truncate_ragged_lines=True
    )
    (out / "staged").mkdir()
    rows.sink_parquet(out / "staged" / "part.parquet", compression="snappy", statistics=False)
    return int(pl.scan_parquet(out / "staged" / "part.parquet").select(pl.len()).collect().item())
