"""`python -m benchmarks.settling`: what a file of twice the rows costs, whatever share of its rows repeats an id.

Each kind of file is doubled a few times. The cost of a row must stay the same, and so must
the memory: all runs are held to 1 GiB.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

import polars as pl
import typer
from rich.console import Console
from rich.table import Table

from benchmarks.compare import OURS
from benchmarks.measure import measure
from benchmarks.work import COLUMNS, PARTITION_DAY, Work

MOST_PER_DOUBLING = 2.2
"""Seconds of a file by those of half of it; a constant part makes it less than two, noise a little more."""

_LIMIT_BYTES = 2**30
_BLOCK_ROWS = 1_000_000
_CUSTOMERS, _PRODUCTS = 1_000, 100
_ROW = pl.col("row")
_SECONDS = 5_000_000
"""From the first of the year up to the day of the file."""

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
"""Kind of file -> what of the columns makes it one."""


def main(
    rows: Annotated[int, typer.Option(help="Rows of the smallest file.")] = 1_000_000,
    doublings: Annotated[int, typer.Option(help="How often it is doubled.")] = 3,
    kind: Annotated[list[str] | None, typer.Option(help="Kind of file; without any, all kinds.")] = None,
) -> None:
    """Seconds, memory and the ratio of each doubling, for each kind of file."""
    console = Console()
    table = Table("kind", "rows", "CPU seconds", "by half as many", "peak MiB")
    is_linear = True
    for name in kind or KINDS:
        before: float | None = None
        for size in (rows * 2**doubling for doubling in range(doublings + 1)):
            seconds, peak = _measure(name, size)
            ratio = seconds / before if before else None
            is_linear &= ratio is None or ratio <= MOST_PER_DOUBLING
            table.add_row(name, f"{size:,}", f"{seconds:.2f}", f"{ratio:.2f}" if ratio else "", f"{peak / 2**20:,.0f}")
            before = seconds
    console.print(table)
    raise typer.Exit(0 if is_linear else 1)


def _measure(kind: str, rows: int) -> tuple[float, int]:
    """CPU seconds and peak bytes; raises DiedError where 1 GiB does not suffice."""
    with tempfile.TemporaryDirectory() as folder:
        work = Work(Path(folder))
        write(work, kind, rows)
        out = Path(folder) / "out"
        out.mkdir()
        measured = measure(OURS, work, out, limit_bytes=_LIMIT_BYTES)
    return measured.cpu_seconds, measured.peak_bytes


def write(work: Work, kind: str, rows: int) -> None:
    """A file of this kind and its dimensions."""
    columns = {
        "transaction_id": pl.format("T{}", _ROW),
        "customer_id": pl.format("C{}", _ROW // 2 % _CUSTOMERS),
        "product_id": pl.format("P{}", _ROW // 2 % _PRODUCTS),
        "quantity": pl.lit("1"),
        # A second each, so that the rows of an id are states of one sale and not different ones.
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
