"""`python -m benchmarks.settling`: the cost of a file with twice the rows, for several shares of repeated ids.

Each kind of file is doubled a few times. The cost per row must stay the same. Each run is
limited to 1 GiB of memory. The sizes take turns, so that a busy minute hits all of them. Seconds
are the median of the turns, the peak is their largest.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import polars as pl
import typer
from rich.console import Console

from benchmarks.compare import OURS
from benchmarks.measure import Measurement, measure
from benchmarks.work import COLUMNS, PARTITION_DAY, Work

MOST_PER_DOUBLING = 2.2
"""The largest allowed ratio of seconds when rows double: a constant part lowers it below 2, noise may raise it."""

_LIMIT_BYTES = 2**30
_BLOCK_ROWS = 1_000_000
_CUSTOMERS, _PRODUCTS = 1_000, 100
_ROW = pl.col("row")
_SECONDS = 5_000_000
"""The seconds from the first of the year to the day of the file, roughly."""

KINDS: dict[str, dict[str, pl.Expr]] = {
    "no id twice": {},
    "one row in ten repeats an id": {"transaction_id": pl.format("T{}", _ROW - (_ROW % 10 == 9))},
    "each id twice": {"transaction_id": pl.format("T{}", _ROW // 2)},
    "one id in all rows": {"transaction_id": pl.lit("T1")},
    "one id and date in all rows": {
        "transaction_id": pl.lit("T1"),
        "transaction_date": pl.lit(f"{PARTITION_DAY}T12:00:00Z"),
    },
}
"""Kind of file -> the columns that differ from the default."""


def main(
    rows: Annotated[int, typer.Option(help="Rows of the smallest file.")] = 1_000_000,
    doublings: Annotated[int, typer.Option(help="The number of doublings.")] = 3,
    turns: Annotated[int, typer.Option(help="Runs of each file.", min=1)] = 3,
    kind: Annotated[list[str] | None, typer.Option(help="Kind of file; default: all kinds.")] = None,
) -> None:
    """Measure seconds, memory and the ratio of each doubling, for each kind of file."""
    console = Console(soft_wrap=True)
    sizes = [rows * 2**doubling for doubling in range(doublings + 1)]
    is_linear = True
    for name in kind or KINDS:
        before: float | None = None
        for size, runs in _measure(name, sizes, turns).items():
            seconds = statistics.median(run.cpu_seconds for run in runs)
            peak = max(run.peak_bytes for run in runs)
            ratio = seconds / before if before else None
            is_linear &= ratio is None or ratio <= MOST_PER_DOUBLING
            times = f", {ratio:.2f} times those of half as many" if ratio else ""
            console.print(f"{name}: {size:,} rows, {seconds:.2f} CPU seconds{times}, a peak of {peak / 2**20:,.0f} MiB")
            before = seconds
    raise typer.Exit(0 if is_linear else 1)


def _measure(kind: str, sizes: Sequence[int], turns: int) -> dict[int, list[Measurement]]:
    """Size -> its runs; raises DiedError when 1 GiB does not suffice."""
    runs: dict[int, list[Measurement]] = {size: [] for size in sizes}
    with tempfile.TemporaryDirectory() as folder:
        works = {size: Work(Path(folder, str(size))) for size in sizes}
        for size, work in works.items():
            work.folder.mkdir()
            write(work, kind, size)
        for _ in range(turns):
            for size, work in works.items():
                runs[size].append(_run(work))
    return runs


def _run(work: Work) -> Measurement:
    with tempfile.TemporaryDirectory() as out:
        return measure(OURS, work, Path(out), limit_bytes=_LIMIT_BYTES)


def write(work: Work, kind: str, rows: int) -> None:
    """Write a file of this kind and its dimensions."""
    columns = {
        "transaction_id": pl.format("T{}", _ROW),
        "customer_id": pl.format("C{}", _ROW // 2 % _CUSTOMERS),
        "product_id": pl.format("P{}", _ROW // 2 % _PRODUCTS),
        "quantity": pl.lit("1"),
        # Two rows per second, so that the rows of one id are states of one sale, not different sales.
        "transaction_date": pl.from_epoch(_ROW // 2 % _SECONDS).dt.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "status": pl.lit("completed"),
        **KINDS[kind],
    }
    columns["transaction_date"] = columns["transaction_date"].str.replace("^1970", "2023")
    with work.transactions.open("wb") as file:
        file.write((",".join(COLUMNS) + "\n").encode())
        for first in range(0, rows, _BLOCK_ROWS):
            block = pl.DataFrame({"row": pl.int_range(first, min(first + _BLOCK_ROWS, rows), eager=True)})
            block.select(columns[name].alias(name) for name in COLUMNS).write_csv(file, include_header=False)
    customers = pl.DataFrame({"customer_id": [f"C{at}" for at in range(_CUSTOMERS)]})
    customers.with_columns(membership_level=pl.lit("Gold")).write_parquet(work.customers)
    products = pl.DataFrame({"product_id": [f"P{at}" for at in range(_PRODUCTS)]})
    products.with_columns(
        product_name=pl.lit("Widget"),
        category=pl.lit("Gadgets"),
        price=pl.lit("29.99").cast(pl.Decimal(18, 4)),
        supplier_id=pl.lit("S1"),
    ).write_parquet(work.products)


if __name__ == "__main__":
    typer.run(main)
