"""Comparison of peers: their runs take turns, so that load on the machine affects all of them equally.

Only peers with equal results get ratios.
"""

from __future__ import annotations

import importlib.util
import shutil
import statistics
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.measure import DiedError, Measurement, Peer, measure
from benchmarks.output import Output, read_output
from benchmarks.work import Work
from jobs.main import BEFORE_POLARS

# Polars is imported before the job's code runs, so the variables of jobs.main are set from outside.
OURS = Peer("ours", "benchmarks.ours", environment=dict(BEFORE_POLARS))
BARE_SCAN = Peer("bare scan", "benchmarks.bare_scan", does_the_work=False)
DUCKDB = Peer("DuckDB", "benchmarks.duckdb_peer", needs="duckdb")
SMALL_DUCKDB = Peer("DuckDB in 600 MB", "benchmarks.duckdb_peer", "run_small", needs="duckdb")
PANDAS = Peer("pandas", "benchmarks.pandas_peer", needs="pandas")
PYSPARK = Peer("PySpark", "benchmarks.pyspark_peer", needs="pyspark")
# A peer that has taken this long is not repeated: its noise is relatively small.
_ENOUGH_SECONDS = 40.0

PEERS = (OURS, BARE_SCAN, DUCKDB, SMALL_DUCKDB, PANDAS, PYSPARK)


@dataclass
class Entry:
    """The runs and the output of one peer on one file."""

    peer: Peer
    runs: list[Measurement] = field(default_factory=list)
    output: Output | None = None
    problem: str = ""
    """The reason why its figures do not count; empty if they do."""

    @property
    def seconds(self) -> float:
        return min(run.seconds for run in self.runs)

    @property
    def median_seconds(self) -> float:
        return statistics.median(run.seconds for run in self.runs)

    @property
    def cpu_seconds(self) -> float:
        return min(run.cpu_seconds for run in self.runs)

    @property
    def peak_bytes(self) -> int:
        return max(run.peak_bytes for run in self.runs)


def why_absent(peer: Peer) -> str:
    """The reason why a peer cannot run on this machine; empty if it can."""
    if peer.needs and importlib.util.find_spec(peer.needs) is None:
        extra = "spark" if peer is PYSPARK else "bench"
        return f"{peer.needs} is not installed (requirements/{extra}.txt)"
    return "no Java on the PATH" if peer is PYSPARK and not shutil.which("java") else ""


def compare(
    work: Work, peers: Sequence[Peer], *, repetitions: int, on_run: Callable[[Peer], None] = lambda _: None
) -> list[Entry]:
    """Run each peer `repetitions` times, in turn; the others must equal the first peer's output."""
    entries = [Entry(peer, problem=why_absent(peer)) for peer in peers]
    for _ in range(repetitions):
        for entry in entries:
            on_run(entry.peer)
            if not entry.problem and sum(run.seconds for run in entry.runs) < _ENOUGH_SECONDS:
                _run(entry, work, reference=entries[0].output)
    return entries


def _run(entry: Entry, work: Work, *, reference: Output | None) -> None:
    with tempfile.TemporaryDirectory(prefix="out-", dir=work.folder.parent.parent) as out:
        try:
            run = measure(entry.peer, work, Path(out))
        except DiedError as reason:
            entry.problem = str(reason)
            return
        entry.runs.append(run)
        if entry.output is None and entry.peer.does_the_work:
            entry.output = read_output(Path(out), run.rows_read)
            if reference is not None and entry.output != reference:
                entry.problem = f"another result: {entry.output.difference(reference)}"
