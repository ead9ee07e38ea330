"""The figures of a benchmark, from which the table, the picture and bench.json are made."""

from __future__ import annotations

import json
import os
import platform
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from benchmarks import prices
from benchmarks.compare import OURS, Entry


@dataclass(frozen=True)
class Line:
    """The figures of one peer on one file; None where there is a problem."""

    peer: str
    rows: int
    problem: str
    seconds: float | None = None
    median_seconds: float | None = None
    cpu_seconds: float | None = None
    rows_per_second: float | None = None
    peak_bytes: int | None = None
    charged_bytes: int | None = None
    times_ours: float | None = None
    """The ratio of its best seconds to ours, on the same file in the same run."""
    cpu_times_ours: float | None = None
    """The same ratio of CPU seconds, which depend less on other load of the machine."""
    worker_dpu: float | None = None
    """The DPU of the smallest Glue worker with enough memory."""
    dollars_per_million_rows: float | None = None
    repetitions: int = 0


def lines(entries: list[Entry], rows: int) -> list[Line]:
    """The figures of each entry; ratios only if our own run succeeded."""
    ours = next((entry for entry in entries if entry.peer == OURS and entry.runs and not entry.problem), None)
    return [_line(entry, rows, ours) for entry in entries]


def _line(entry: Entry, rows: int, ours: Entry | None) -> Line:
    if entry.problem:
        return Line(entry.peer.name, rows, entry.problem)
    worker = prices.worker_for(entry.peak_bytes)
    cost = worker and prices.dollars(cpu_seconds=entry.cpu_seconds, seconds=entry.seconds, worker=worker)
    charged = [run.charged_bytes for run in entry.runs if run.charged_bytes is not None]
    return Line(
        peer=entry.peer.name,
        rows=rows,
        problem="",
        seconds=entry.seconds,
        median_seconds=entry.median_seconds,
        cpu_seconds=entry.cpu_seconds,
        rows_per_second=rows / entry.seconds,
        peak_bytes=entry.peak_bytes,
        charged_bytes=max(charged, default=None),
        times_ours=entry.seconds / ours.seconds if ours else None,
        cpu_times_ours=entry.cpu_seconds / ours.cpu_seconds if ours else None,
        worker_dpu=worker.dpu if worker else None,
        dollars_per_million_rows=cost * 1e6 / rows if cost else None,
        repetitions=len(entry.runs),
    )


@dataclass(frozen=True)
class Growth:
    """The figures of one series: label of each point -> the lines of its peers."""

    name: str
    points: dict[str, list[Line]]


@dataclass(frozen=True)
class Results:
    compared: list[Line]
    growth: list[Growth]
    memory_is_of_a_cgroup: bool

    def write(self, path: Path) -> None:
        path.write_text(json.dumps({**asdict(self), **_surroundings()}, indent=2) + "\n")


def _surroundings() -> dict[str, Any]:
    return {
        "machine": {"cores": os.cpu_count(), "processor": platform.machine(), "system": platform.platform()},
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in ("polars", "duckdb", "pandas", "pyarrow", "pyspark")},
        "prices": {
            "of": prices.PRICES.as_of,
            "dollars_per_dpu_hour": prices.PRICES.glue_dpu_hour,
            "billed_seconds_at_least": prices.BILLED_SECONDS_AT_LEAST,
            "workers": [asdict(worker) for worker in prices.WORKERS],
        },
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
