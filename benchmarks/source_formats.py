"""The cost of source formats: the same sales in several formats, each read with its settings, in one run."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import polars as pl
from rich.console import Console
from rich.table import Table

from benchmarks import ours
from benchmarks.measure import Measurement, Peer, measure
from benchmarks.work import Work
from jobs.main import BEFORE_POLARS
from sources import read_source

MOST = 1.5
"""The largest allowed ratio of a preset's seconds to those of the contract's own format."""
TOO_SLOW = 1

_SOURCE = "BENCH_SOURCE"
_ISO = r"^([0-9]{4})-([0-9]{2})-([0-9]{2})[T ]([0-9]{2}:[0-9]{2}).*$"


@dataclass(frozen=True)
class _Format:
    source: str
    columns: dict[str, str]
    """Heading -> the contract's column with its values, or a constant text."""
    separator: str = ","


_FORMATS = (
    _Format(
        "shopify",
        {
            "Name": "transaction_id",
            "Email": "customer_id",
            "Financial Status": "status",
            "Created at": "transaction_date",
            "Lineitem quantity": "quantity",
            "Lineitem name": "Teapot",
            "Lineitem price": "9.90",
            "Lineitem sku": "product_id",
        },
    ),
    _Format(
        "amazon",
        {
            "order-id": "transaction_id",
            "order-item-id": "1",
            "purchase-date": "transaction_date",
            "sku": "product_id",
            "quantity-purchased": "quantity",
        },
        separator="\t",
    ),
    _Format(
        "excel-german",
        {name: name for name in ("transaction_id", "customer_id", "product_id", "quantity", "day", "status")},
        separator=";",
    ),
)


def compare_formats(work: Work, console: Console, *, repetitions: int) -> int:
    """Measure each format `repetitions` times, in turn, and show the best runs; returns TOO_SLOW or 0."""
    works = {"default": work, **{format_.source: _write(format_, work) for format_ in _FORMATS}}
    runs: dict[str, list[Measurement]] = {source: [] for source in works}
    for _ in range(repetitions):
        for source, written in works.items():
            runs[source].append(_measure(written, source))
    best = {source: min(measured, key=lambda run: run.seconds) for source, measured in runs.items()}
    own = best["default"]
    table = Table(title=f"{own.rows_read:,} rows in the format of each source; default = 1")
    for heading in ("source", "times", "seconds", "CPU seconds", "peak memory"):
        table.add_column(heading, justify="left" if heading == "source" else "right")
    for source, measured in best.items():
        figures = (measured.seconds / own.seconds, measured.seconds, measured.cpu_seconds)
        table.add_row(source, *(f"{figure:.2f}" for figure in figures), f"{measured.peak_bytes / 2**20:,.0f} MiB")
    console.print(table)
    slow = [source for source, measured in best.items() if measured.seconds > MOST * own.seconds]
    if slow:
        console.print(f"FAILED: {', '.join(slow)} took more than {MOST} times as long as default")
    return TOO_SLOW if slow else 0


def run(work: Work, out: Path) -> int:
    """Run the job's code with the source settings that the environment names."""
    return ours.run(work, out, read_source(os.environ[_SOURCE]))


def _measure(work: Work, source: str) -> Measurement:
    peer = Peer(source, "benchmarks.source_formats", environment={**BEFORE_POLARS, _SOURCE: source})
    with tempfile.TemporaryDirectory(prefix="bench-", dir=work.folder) as out:
        return measure(peer, work, Path(out))


def _write(format_: _Format, work: Work) -> Work:
    """The same sales in this format, and links to the dimensions; kept for the next run."""
    folder = work.folder / format_.source
    if not folder.exists():
        folder.mkdir()
        written = Work(folder)
        written.products.symlink_to(work.products)
        written.customers.symlink_to(work.customers)
        rows = pl.read_csv(work.transactions, infer_schema=False, quote_char=None, truncate_ragged_lines=True)
        rows = rows.with_columns(pl.col("transaction_date").str.replace(_ISO, "$3.$2.$1 $4").alias("day"))
        columns = [
            (pl.col(column) if column in rows.columns else pl.lit(column)).alias(heading)
            for heading, column in format_.columns.items()
        ]
        renamed = rows.select(columns).rename({"day": "transaction_date"}, strict=False)
        renamed.write_csv(written.transactions, separator=format_.separator, quote_style="never")
    return Work(folder)
