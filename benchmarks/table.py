"""The results as tables for a terminal."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from benchmarks import prices
from benchmarks.compare import OURS
from benchmarks.results import Growth, Line, Results
from benchmarks.work import SMALL_MEMORY

_FIGURES = (
    "best s",
    "median s",
    "CPU s",
    "rows/s",
    "peak MiB",
    "time / ours",
    "CPU / ours",
    "DPU",
    "$ per 1M rows",
)


def show(results: Results, console: Console) -> None:
    console.print(_compared(results.compared))
    for line in results.compared:
        if line.problem:
            console.print(f"[red]{line.peer}, {line.rows:,} rows: {line.problem}[/red]")
    if results.growth:
        console.print(_growth(results.growth))
        for curve in results.growth:
            for label, lines in curve.points.items():
                for line in (line for line in lines if line.problem):
                    console.print(f"[red]{line.peer}, {label} {curve.name}: {line.problem}[/red]")
    memory = (
        "anonymous memory in the cgroup of the process, sampled; the kernel cannot reclaim it"
        if results.memory_is_of_a_cgroup
        else "anonymous memory of the process and its children, sampled: no memory cgroup can be made here"
    )
    for note in (
        "Seconds are of the work alone, best and median of the repetitions, which take turns. "
        "They do not include interpreter, imports and Spark's start.",
        f"Memory: {memory}.",
        f"$: a model, not a bill. CPU seconds by the worker's vCPUs, but no less than the seconds here, at "
        f"${prices.PRICES.glue_dpu_hour} per DPU-hour ({prices.PRICES.as_of}), at least "
        f"{prices.BILLED_SECONDS_AT_LEAST} s a run, on the smallest worker that has the memory "
        f"({prices.WORKERS[0].dpu:g} DPU: 1 GiB, {prices.WORKERS[1].dpu:g} DPU: 16 GiB).",
        "Each peer must read, stage and reject the same rows for the same reasons, with equal values; otherwise it "
        "has no figures. The bare scan only reads text and writes it as Parquet.",
        "The work is easier for the peers, because the files have no such cases: no quotes, no blank lines, only LF "
        "as line end, at most one surplus field in a malformed row, ids in UTF-8 without NUL. Their rejected files "
        f"are not made safe for spreadsheets. 'DuckDB in 600 MB' has memory_limit = {SMALL_MEMORY}.",
    ):
        console.print(f"[dim]{note}[/dim]")


def _compared(lines: list[Line]) -> Table:
    table = Table(title="From a CSV to Parquet for COPY: the same work, the same result", title_justify="left")
    table.add_column("rows", justify="right")
    table.add_column("")
    for heading in _FIGURES:
        table.add_column(heading, justify="right")
    previous = None
    for line in lines:
        if previous is not None and previous != line.rows:
            table.add_section()
        rows = f"{line.rows:,}" if previous != line.rows else ""
        previous = line.rows
        name = f"[bold]{line.peer}[/bold]" if line.peer == OURS.name else line.peer
        table.add_row(rows, name, *(["[red]none[/red]"] if line.problem else _figures(line)))
    return table


def _figures(line: Line) -> list[str]:
    return [
        f"{line.seconds:.2f}",
        f"{line.median_seconds:.2f}",
        f"{line.cpu_seconds:.2f}",
        f"{line.rows_per_second:,.0f}",
        f"{(line.peak_bytes or 0) / 2**20:,.0f}",
        "" if line.times_ours is None else f"{line.times_ours:.2f}",
        "" if line.cpu_times_ours is None else f"{line.cpu_times_ours:.2f}",
        "none" if line.worker_dpu is None else f"{line.worker_dpu:g}",
        "" if line.dollars_per_million_rows is None else f"{line.dollars_per_million_rows:.5f}",
    ]


def _growth(growth: list[Growth]) -> Table:
    rows = next(line.rows for curve in growth for lines in curve.points.values() for line in lines)
    table = Table(title=f"How the cost grows, at {rows:,} rows", title_justify="left")
    table.add_column("varied")
    table.add_column("", justify="right")
    peers = list(dict.fromkeys(line.peer for curve in growth for lines in curve.points.values() for line in lines))
    for peer in peers:
        for heading in ("s", "CPU s", "MiB"):
            table.add_column(f"{peer} {heading}", justify="right")
    for curve in growth:
        for position, (label, lines) in enumerate(curve.points.items()):
            cells = [cell for line in lines for cell in _growth_cells(line)]
            table.add_row("" if position else curve.name, label, *cells)
        table.add_section()
    return table


def _growth_cells(line: Line) -> list[str]:
    if line.problem:
        return ["[red]none[/red]", "", ""]
    return [f"{line.seconds:.2f}", f"{line.cpu_seconds:.2f}", f"{(line.peak_bytes or 0) / 2**20:,.0f}"]
