"""`python -m benchmarks`: one command, one table."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from benchmarks.against import compare_checkouts
from benchmarks.compare import DUCKDB, OURS, PEERS, Entry, compare
from benchmarks.cores import compare_cores
from benchmarks.data import DataArgs, make_work
from benchmarks.growth import Series, series
from benchmarks.measure import Peer
from benchmarks.memory_group import memory_group
from benchmarks.one_gib import run_in_one_gib
from benchmarks.picture import draw
from benchmarks.quotes import compare_quotes
from benchmarks.results import Growth, Line, Results, lines
from benchmarks.source_formats import compare_formats
from benchmarks.table import show

ALL_ROWS = (100_000, 1_000_000, 10_000_000)
QUICK_ROWS = (100_000,)
SOURCES_ROWS = (1_000_000,)
GROWTH_ROWS = 1_000_000
CUSTOMERS_PER_ROW = 0.1

# The number of runs of each peer, by the largest number of rows.
_REPETITIONS = {100_000: 5, 1_000_000: 3}
_REPETITIONS_OF_MORE = 2

PROBLEM_FOUND = 1


def main(
    rows: Annotated[
        list[int] | None, typer.Option(help="Rows of a file to compare with; may be given several times.")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="100,000 rows, no series: under a minute.")] = False,
    growth: Annotated[bool, typer.Option(help="Also show how the cost grows.")] = True,
    one_gib: Annotated[
        bool, typer.Option("--one-gib", help="Instead: the whole job inside 1 GiB of memory, against a warehouse.")
    ] = False,
    customers: Annotated[int | None, typer.Option(help="With --one-gib: rows of dim_customers.")] = None,
    disk: Annotated[Path | None, typer.Option(help="With --one-gib: the folder that is the job's disk.")] = None,
    sources: Annotated[
        bool, typer.Option("--sources", help="Instead: the same sales in the format of each source, default = 1.")
    ] = False,
    quotes: Annotated[
        bool, typer.Option("--quotes", help="Instead: the same sales without and with quotes in every row.")
    ] = False,
    cores: Annotated[
        bool, typer.Option("--cores", help="Instead: the memory where two cores are visible, and where eight are.")
    ] = False,
    against: Annotated[
        Path | None, typer.Option(help="Instead: this code and that of another checkout, in turns.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for bench.json, bench.png and the data.")] = Path("build"),
) -> None:
    """Our transform against the bare scan, DuckDB, pandas and PySpark: equal results, seconds, memory, dollars."""
    console = Console()
    out = out.resolve()
    cache = out / "bench-data"
    cache.mkdir(parents=True, exist_ok=True)
    if one_gib:
        data = _data(max(rows or ALL_ROWS))
        work = make_work(replace(data, customers=customers or data.customers), cache)
        raise typer.Exit(run_in_one_gib(work, console, disk))
    data = _data(max(rows or SOURCES_ROWS))
    repetitions = _repetitions(data.rows)
    if sources:
        raise typer.Exit(compare_formats(make_work(data, cache), console, repetitions=repetitions))
    if quotes:
        raise typer.Exit(compare_quotes(make_work(data, cache), console, repetitions=repetitions))
    if cores:
        raise typer.Exit(compare_cores(make_work(data, cache), console, repetitions=repetitions))
    if against:
        works = {name: make_work(varied, cache) for name, varied in _varied(data).items()}
        raise typer.Exit(compare_checkouts(works, against.resolve(), console, repetitions=repetitions))
    sizes = rows or (QUICK_ROWS if quick else ALL_ROWS)
    varied = series(GROWTH_ROWS) if growth and not quick and not rows else ()
    raise typer.Exit(_compare_peers(sizes, varied, console, out))


def _compare_peers(sizes: Sequence[int], varied: tuple[Series, ...], console: Console, out: Path) -> int:
    """Show, write and draw the figures of all peers; returns PROBLEM_FOUND where a peer has another result, or 0."""
    results = _measure(sizes, varied, out / "bench-data")
    show(results, console)
    results.write(out / "bench.json")
    draw(results, out / "bench.png")
    console.print(f"Written: {out / 'bench.json'} and {out / 'bench.png'}")
    grown = [line for curve in results.growth for lines_of_point in curve.points.values() for line in lines_of_point]
    is_other = any(line.problem.startswith("another result") for line in [*results.compared, *grown])
    return PROBLEM_FOUND if is_other else 0


def _measure(sizes: Sequence[int], varied: tuple[Series, ...], cache: Path) -> Results:
    """Measure all files, the smallest first, with a progress bar that names the running peer."""
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total}"))
    with Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True), transient=True) as progress:
        total = sum(_repetitions(size) * len(PEERS) for size in sizes)
        task = progress.add_task("", total=total + sum(2 * 2 * len(curve.points) for curve in varied))
        compared: list[Line] = []
        for size in sizes:
            entries = _compare(progress, task, _data(size), cache, PEERS, _repetitions(size))
            compared += lines(entries, size)
        grown = [
            Growth(
                curve.name,
                {
                    label: lines(_compare(progress, task, data, cache, (OURS, DUCKDB), 2), data.rows)
                    for label, data in curve.points
                },
            )
            for curve in varied
        ]
    with memory_group() as group:
        return Results(compared, grown, memory_is_of_a_cgroup=group is not None)


def _compare(
    progress: Progress, task: TaskID, data: DataArgs, cache: Path, peers: tuple[Peer, ...], repetitions: int
) -> list[Entry]:
    progress.update(task, description=f"{data.rows:,} rows: generating")
    work = make_work(data, cache)
    return compare(work, peers, repetitions=repetitions, on_run=_advancing(progress, task, data.rows))


def _advancing(progress: Progress, task: TaskID, rows: int) -> Callable[[Peer], None]:
    def advance(peer: Peer) -> None:
        progress.update(task, advance=1, description=f"{rows:,} rows: {peer.name}")

    return advance


def _varied(data: DataArgs) -> dict[str, DataArgs]:
    return {
        "2 % with faults, 4 % of the ids again": data,
        "no id again": replace(data, faults=0, duplicates=0),
        "10 % of the ids again": replace(data, faults=0, duplicates=0.1),
        "half of the ids again": replace(data, faults=0, duplicates=0.5),
        "half with faults": replace(data, faults=0.5),
    }


def _data(rows: int) -> DataArgs:
    return DataArgs(rows, customers=max(int(rows * CUSTOMERS_PER_ROW), 1))


def _repetitions(rows: int) -> int:
    return next((times for most, times in _REPETITIONS.items() if rows <= most), _REPETITIONS_OF_MORE)


if __name__ == "__main__":
    os.environ.setdefault("COLUMNS", "140")
    typer.run(main)
