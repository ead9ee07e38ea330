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
    rejected = ("rejects", "the other rejects")
    for heading in ("file", "times, seconds", "times, CPU seconds", "seconds", "CPU seconds", "peak memory", *rejected):
        table.add_column(heading, justify="left" if heading == "file" else "right")
    for name, work in works.items():
        runs: dict[Path, list[Measurement]] = {other: [], ROOT: []}
        rejects: dict[Path, int] = {}
        try:
            for _ in range(repetitions):
                for checkout, measured in runs.items():
                    measurement, rejects[checkout] = _measure(work, checkout)
                    measured.append(measurement)
        except DiedError as reason:
            console.print(f"{name}: {reason}")
            return FAILED
        seconds = {checkout: min(run.seconds for run in measured) for checkout, measured in runs.items()}
        cpu = {checkout: min(run.cpu_seconds for run in measured) for checkout, measured in runs.items()}
        peak = max(run.peak_bytes for run in runs[ROOT])
        ratios = (f"{of[ROOT] / of[other]:.2f}" for of in (seconds, cpu))
        absolute = (f"{seconds[ROOT]:.2f}", f"{cpu[ROOT]:.2f}", f"{peak / 2**20:,.0f} MiB")
        table.add_row(name, *ratios, *absolute, f"{rejects[ROOT]:,}", f"{rejects[other]:,}")
    console.print(table)
    return 0


def _measure(work: Work, checkout: Path) -> tuple[Measurement, int]:
    """(the run, the rows that it rejected)."""
    with tempfile.TemporaryDirectory(prefix="bench-", dir=work.folder) as out:
        measurement = measure(OURS, work, Path(out), checkout=checkout)
        rejected = Path(out) / "rejected.csv"
        # The files of mock data have no line break in a value.
        return measurement, rejected.read_bytes().count(b"\n") - 1 if rejected.exists() else 0
