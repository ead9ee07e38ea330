"""The cost of quotes: the same sales without quotes, with "Doe, John" in every row, and with all values quoted."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Literal

import polars as pl
from rich.console import Console
from rich.table import Table

from benchmarks.compare import OURS
from benchmarks.measure import Measurement, measure
from benchmarks.work import Work

MOST = 2.0
"""The largest allowed ratio to the file without quotes."""
TOO_SLOW = 1

_PLAIN = "no quote"
_STYLES: dict[str, tuple[str, Literal["never", "necessary", "always"]]] = {
    _PLAIN: ("John Doe", "never"),
    "a quoted comma in every row": ("Doe, John", "necessary"),
    "all values quoted": ("Doe, John", "always"),
}
"""Name -> the value of the extra column, and Polars' quote style."""


def compare_quotes(work: Work, console: Console, *, repetitions: int) -> int:
    """Measure each style `repetitions` times, in turn, and show the best runs; returns TOO_SLOW or 0."""
    works = {style: _write(style, work) for style in _STYLES}
    runs: dict[str, list[Measurement]] = {style: [] for style in works}
    for _ in range(repetitions):
        for style, written in works.items():
            runs[style].append(_measure(written))
    best = {style: min(measured, key=lambda run: run.cpu_seconds) for style, measured in runs.items()}
    plain = best[_PLAIN]
    table = Table(title=f"{plain.rows_read:,} rows; no quote = 1")
    for heading in ("quotes", "times", "CPU seconds", "peak memory"):
        table.add_column(heading, justify="left" if heading == "quotes" else "right")
    for style, measured in best.items():
        times = f"{measured.cpu_seconds / plain.cpu_seconds:.2f}"
        table.add_row(style, times, f"{measured.cpu_seconds:.2f}", f"{measured.peak_bytes / 2**20:,.0f} MiB")
    console.print(table)
    slow = [style for style, measured in best.items() if measured.cpu_seconds > MOST * plain.cpu_seconds]
    if slow:
        console.print(f"FAILED: {', '.join(slow)} took more than {MOST} times as long as {_PLAIN}")
    return TOO_SLOW if slow else 0


def _measure(work: Work) -> Measurement:
    with tempfile.TemporaryDirectory(prefix="bench-", dir=work.folder) as out:
        return measure(OURS, work, Path(out))


def _write(style: str, work: Work) -> Work:
    """The same sales with one more column, and links to the dimensions; kept for the next run."""
    folder = work.folder / style.replace(" ", "-")
    if not folder.exists():
        folder.mkdir()
        written = Work(folder)
        written.products.symlink_to(work.products)
        written.customers.symlink_to(work.customers)
        name, quote_style = _STYLES[style]
        rows = pl.read_csv(work.transactions, infer_schema=False, quote_char=None, truncate_ragged_lines=True)
        rows.with_columns(pl.lit(name).alias("name")).write_csv(written.transactions, quote_style=quote_style)
    return Work(folder)
