"""This code against that of another checkout: the same files in turns, so that a busy minute hits both."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.compare import OURS
from benchmarks.measure import ROOT, DiedError, Measurement, measure
from benchmarks.work import Work

FAILED = 1


def compare_checkouts(works: Mapping[str, Work], other: Path, console: Console, *, repetitions: int) -> int:
    """Measure both on each file `repetitions` times and show the best runs; returns FAILED if the other cannot run."""
    table = Table(title=f"this checkout, {other} = 1")
    for heading in ("file", "times, seconds", "times, CPU seconds", "seconds", "CPU seconds", "peak memory"):
        table.add_column(heading, justify="left" if heading == "file" else "right")
    for name, work in works.items():
        runs: dict[Path, list[Measurement]] = {other: [], ROOT: []}
        try:
            for _ in range(repetitions):
                for checkout, measured in runs.items():
                    measured.append(_measure(work, checkout))
        except DiedError as reason:
            console.print(f"{name}: {reason}")
            return FAILED
        seconds = {checkout: min(run.seconds for run in measured) for checkout, measured in runs.items()}
        cpu = {checkout: min(run.cpu_seconds for run in measured) for checkout, measured in runs.items()}
        peak = max(run.peak_bytes for run in runs[ROOT])
        ratios = (f"{of[ROOT] / of[other]:.2f}" for of in (seconds, cpu))
        table.add_row(name, *ratios, f"{seconds[ROOT]:.2f}", f"{cpu[ROOT]:.2f}", f"{peak / 2**20:,.0f} MiB")
    console.print(table)
    return 0


def _measure(work: Work, checkout: Path) -> Measurement:
    with tempfile.TemporaryDirectory(prefix="bench-", dir=work.folder) as out:
        return measure(OURS, work, Path(out), checkout=checkout)
