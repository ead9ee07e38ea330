"""Two checkouts are measured, each with its own code."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks.against import FAILED, compare_checkouts
from benchmarks.data import DataArgs, make_work
from benchmarks.measure import ROOT
from benchmarks.work import Work


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Work:
    return make_work(DataArgs(1000, products=50, customers=50), tmp_path_factory.mktemp("data"))


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for package in ("benchmarks", "jobs", "mock_data", "schemas"):
        shutil.copytree(ROOT / package, tmp_path / package)
    return tmp_path


def test_both_checkouts_are_measured(work: Work, checkout: Path) -> None:
    said = io.StringIO()
    assert compare_checkouts({"a day": work}, checkout, Console(file=said, width=140), repetitions=1) == 0
    (line,) = (line for line in said.getvalue().splitlines() if "a day" in line)
    assert line.count(".") == 4, "two ratios, seconds and CPU seconds"


def test_the_other_checkout_runs_its_own_code(work: Work, checkout: Path) -> None:
    (checkout / "jobs" / "buckets.py").write_text("raise SystemExit('the other code')")
    said = io.StringIO()
    assert compare_checkouts({"a day": work}, checkout, Console(file=said, width=140), repetitions=1) == FAILED
    assert "a day: exit status 1" in said.getvalue()
    assert "the other code" in said.getvalue()
