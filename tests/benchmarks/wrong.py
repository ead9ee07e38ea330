"""Peers whose results differ from ours by as little as a result can."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from benchmarks import ours
from benchmarks.work import Work


def a_cent_too_much(work: Work, out: Path) -> int:
    rows_read, path, rows = _ours(work, out)
    is_first = pl.int_range(pl.len()) == 0
    more = pl.col("total_amount") + pl.lit("0.01").cast(pl.Decimal(18, 2))
    rows.with_columns(pl.when(is_first).then(more).otherwise("total_amount").cast(pl.Decimal(18, 2))).write_parquet(
        path
    )
    return rows_read


def another_winner(work: Work, out: Path) -> int:
    rows_read, path, rows = _ours(work, out)
    is_first = pl.int_range(pl.len()) == 0
    rows.with_columns(pl.col("source_line") + pl.when(is_first).then(1).otherwise(0)).write_parquet(path)
    return rows_read


def a_row_twice(work: Work, out: Path) -> int:
    rows_read, path, rows = _ours(work, out)
    pl.concat([rows, rows.head(1)]).write_parquet(path)
    return rows_read


def a_reason_less(work: Work, out: Path) -> int:
    rows_read = ours.run(work, out)
    path = out / "rejected.csv"
    path.write_text(path.read_text().replace(";invalid_status", "", 1))
    return rows_read


def a_row_not_read(work: Work, out: Path) -> int:
    return ours.run(work, out) - 1


def breaks_down(work: Work, out: Path) -> int:
    raise ValueError(f"no such luck with {work.folder} and {out}")


def in_another_order(work: Work, out: Path) -> int:
    """Not wrong at all: no order is promised."""
    rows_read, path, rows = _ours(work, out)
    rows.reverse().write_parquet(path)
    return rows_read


def _ours(work: Work, out: Path) -> tuple[int, Path, pl.DataFrame]:
    rows_read = ours.run(work, out)
    path = sorted((out / "staged").glob("*.parquet"))[0]
    return rows_read, path, pl.read_parquet(path)
