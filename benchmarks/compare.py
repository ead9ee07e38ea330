"""Peers side by side: repeated in turn, so that a busy minute hits all of them, and ratios only between equals."""

from __future__ import annotations

import importlib.util
import shutil
import statistics
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.measure import DiedError, Measurement, Peer, measure
from benchmarks.outcome import Outcome, read_outcome
from benchmarks.work import Work
from jobs.main import BEFORE_POLARS

# Polars is loaded by then, so what jobs.main sets for the job comes from outside here.
OURS = Peer("ours", "benchmarks.ours", environment=dict(BEFORE_POLARS))
BARE_SCAN = Peer("bare scan", "benchmarks.bare_scan", does_the_work=False)
DUCKDB = Peer("DuckDB", "benchmarks.duckdb_peer", needs="duckdb")
SMALL_DUCKDB = Peer("DuckDB in 600 MB", "benchmarks.duckdb_peer", "run_small", needs="duckdb")
PANDAS = Peer("pandas", "benchmarks.pandas_peer", needs="pandas")
PYSPARK = Peer("PySpark", "benchmarks.pyspark_peer", needs="pyspark")
# A peer that has taken so long is not repeated: noise is small against it, and patience ends.
_ENOUGH_SECONDS = 40.0

PEERS = (OURS, BARE_SCAN, DUCKDB, SMALL_DUCKDB, PANDAS, PYSPARK)


@dataclass
class Entry:
    """What is known of one peer on one file."""

    peer: Peer
    runs: list[Measurement] = field(default_factory=list)
    outcome: Outcome | None = None
    problem: str = ""
    """Why its figures do not count; empty if they do."""

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
    """Why a peer cannot take part here; empty if it can."""
    if peer.needs and importlib.util.find_spec(peer.needs) is None:
        extra = "bench_spark" if peer is PYSPARK else "bench"
        return f"{peer.needs} is not installed (requirements/{extra}.txt)"
    return "no Java on the PATH" if peer is PYSPARK and not shutil.which("java") else ""


def compare(
    work: Work, peers: Sequence[Peer], *, repetitions: int, on_run: Callable[[Peer], None] = lambda _: None
) -> list[Entry]:
    """Run each peer so many times, in turn; the first peer's result is what the others must equal."""
    entries = [Entry(peer, problem=why_absent(peer)) for peer in peers]
    for _ in range(repetitions):
        for entry in entries:
            on_run(entry.peer)
            if not entry.problem and sum(run.seconds for run in entry.runs) < _ENOUGH_SECONDS:
                _run(entry, work, reference=entries[0].outcome)
    return entries


def _run(entry: Entry, work: Work, *, reference: Outcome | None) -> None:
    with tempfile.TemporaryDirectory(prefix="out-", dir=work.folder.parent.parent) as out:
        try:
            run = measure(entry.peer, work, Path(out))
        except DiedError as reason:
            entry.problem = str(reason)
            return
        entry.runs.append(run)
        if entry.outcome is None and entry.peer.does_the_work:
            entry.outcome = read_outcome(Path(out), run.rows_read)
            if reference is not None and entry.outcome != reference:
                entry.problem = f"another result: {entry.outcome.difference(reference)}"
