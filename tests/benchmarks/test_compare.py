"""The peers do the same work: equal results, or no figures."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks.compare import OURS, PEERS, Entry, compare, why_absent
from benchmarks.data import DataArgs, make_work
from benchmarks.measure import Measurement, Peer
from benchmarks.results import Growth, Results, lines
from benchmarks.table import show
from benchmarks.work import PARTITION_DAY, Work
from mock_data import MockData, MockDataArgs

pytestmark = pytest.mark.flow

DATA = DataArgs(rows=5_000, products=50, customers=500)
DIFFERENCES = {
    "a_cent_too_much": "amount is",
    "another_winner": "staged_digest is",
    "a_row_twice": "staged is",
    "a_reason_less": "reject_reasons is",
    "a_row_not_read": "rows_read is",
    "breaks_down": "no such luck",
}
"""Peers of wrong.py, and what is said of each."""


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Work:
    return make_work(DATA, tmp_path_factory.mktemp("bench") / "bench-data")


@pytest.fixture(scope="module")
def compared(work: Work) -> dict[str, Entry]:
    """Ours and every peer of wrong.py, run once and compared."""
    peers = [Peer(name, "tests.benchmarks.wrong", name) for name in (*DIFFERENCES, "in_another_order")]
    return {entry.peer.name: entry for entry in compare(work, [OURS, *peers], repetitions=1)}


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, int]:
    """The generator's facts about the same rows."""
    folder = tmp_path_factory.mktemp("expected")
    args = MockDataArgs(start=PARTITION_DAY, days=1, rows=DATA.rows, products=DATA.products, customers=DATA.customers)
    for _ in MockData(args).write(folder):
        pass
    return json.loads((folder / "expected" / "summary.json").read_text())


def test_every_installed_peer_gives_what_the_generator_expects(work: Work, expected: dict[str, int]) -> None:
    installed = [peer for peer in PEERS if peer.does_the_work and not why_absent(peer)]
    for entry in compare(work, installed, repetitions=1):
        assert entry.problem == "", entry.peer.name
        output = entry.output
        assert output is not None
        assert output.rows_read == expected["rows_read"] == DATA.rows
        assert output.staged == expected["inserted"]
        assert output.rejected == expected["rejected"]
        assert output.reject_reasons == dict(sorted(expected["reject_reasons"].items()))


@pytest.mark.parametrize(("function", "named"), DIFFERENCES.items())
def test_a_peer_with_another_result_has_no_figures(compared: dict[str, Entry], function: str, named: str) -> None:
    ours, wrong = lines([compared["ours"], compared[function]], DATA.rows)
    assert named in wrong.problem
    assert (wrong.seconds, wrong.times_ours, wrong.dollars_per_million_rows) == (None, None, None)
    assert ours.problem == ""
    assert (ours.times_ours, ours.cpu_times_ours) == (1, 1)


def test_the_order_of_staged_rows_is_free(compared: dict[str, Entry]) -> None:
    assert [compared[name].problem for name in ("ours", "in_another_order")] == ["", ""]


def test_without_a_result_of_ours_there_is_no_ratio(compared: dict[str, Entry]) -> None:
    ours = replace(compared["ours"], problem="needs more memory than there is")
    _, other = lines([ours, compared["in_another_order"]], DATA.rows)
    assert other.seconds is not None
    assert other.times_ours is None


def test_a_peer_that_is_not_installed_is_named_in_the_table(work: Work, tmp_path: Path) -> None:
    absent = Peer("Absent", "benchmarks.absent", needs="no_such_package")
    table_lines = lines(compare(work, [OURS, absent], repetitions=1), DATA.rows)
    results = Results(table_lines, [Growth("customers", {"1,000": table_lines[:1]})], memory_is_of_a_cgroup=False)
    shown = io.StringIO()
    show(results, Console(width=200, file=shown))
    text = shown.getvalue()
    assert "no_such_package is not installed" in text
    assert "no memory cgroup can be made here" in text
    results.write(tmp_path / "bench.json")
    written = json.loads((tmp_path / "bench.json").read_text())
    assert [line["peer"] for line in written["compared"]] == ["ours", "Absent"]
    assert written["prices"]["dollars_per_dpu_hour"] > 0


def test_memory_decides_on_the_worker_and_a_minute_is_billed_at_least(work: Work) -> None:
    (ours,) = compare(work, [OURS], repetitions=1)
    ours.runs = [Measurement(seconds=1, cpu_seconds=2, rows_read=5_000, peak_bytes=2**29, charged_bytes=None)]
    (small,) = lines([ours], 1_000_000)
    assert small.worker_dpu == 0.0625
    assert small.dollars_per_million_rows == pytest.approx(60 * 0.0625 * 0.44 / 3600)
    ours.runs = [Measurement(seconds=400, cpu_seconds=800, rows_read=5_000, peak_bytes=2**30, charged_bytes=None)]
    (large,) = lines([ours], 10_000_000)
    assert large.worker_dpu == 1
    assert large.dollars_per_million_rows == pytest.approx(400 * 0.44 / 3600 / 10)


def test_shares_of_duplicates_and_rejects_are_those_asked_for(tmp_path: Path) -> None:
    cache = tmp_path / "bench-data"
    half = make_work(DataArgs(rows=4_000, products=50, customers=100, faults=0.0, duplicates=0.5), cache)
    none = make_work(DataArgs(rows=4_000, products=50, customers=100, faults=0.0, duplicates=0.0), cache)
    rejects = make_work(DataArgs(rows=4_000, products=50, customers=100, faults=0.5), cache)
    outputs = [compare(made, [OURS], repetitions=1)[0].output for made in (half, none, rejects)]
    staged_of_half, staged_of_none, _ = (output.staged for output in outputs if output)
    # Sales that share an id are part of the orders' histories, not of the faults.
    *_, rejected = (output.rejected - output.reject_reasons.get("conflicting_rows", 0) for output in outputs if output)
    assert 1_900 < staged_of_half < 2_100
    assert staged_of_none == 4_000
    assert rejected == 2_000


def test_the_cache_keeps_a_file_and_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = tmp_path / "bench-data"
    first = make_work(DataArgs(rows=100, products=5, customers=5), cache)
    made_at = first.transactions.stat().st_mtime_ns
    assert make_work(DataArgs(rows=100, products=5, customers=5), cache).transactions.stat().st_mtime_ns == made_at
    monkeypatch.setattr("benchmarks.data._MOST_BYTES", 1)
    second = make_work(DataArgs(rows=200, products=5, customers=5), cache)
    assert second.transactions.exists()
    assert not first.folder.exists()
