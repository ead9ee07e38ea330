"""The comparison of visible cores: a process believes what it is told, and the job starts two threads all the same."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from unittest import mock

from rich.console import Console

import benchmarks.cores
from benchmarks.cores import CANNOT_RUN, NEEDS_MORE, compare_cores, visible_cores
from benchmarks.data import DataArgs, make_work
from benchmarks.work import Work
from jobs.main import BEFORE_POLARS

_COUNT = "import os, polars; print(os.cpu_count(), len(os.sched_getaffinity(0)), polars.thread_pool_size())"


def counted(environment: Mapping[str, str]) -> list[int]:
    """The cores that Python sees, in two ways, and the threads that Polars starts."""
    own = {name: value for name, value in os.environ.items() if name != "POLARS_MAX_THREADS"}
    run = subprocess.run(
        [sys.executable, "-c", _COUNT], env={**own, **environment}, stdout=subprocess.PIPE, text=True, check=True
    )
    return [int(number) for number in run.stdout.split()]


def test_the_job_starts_two_threads_however_many_cores_it_sees(tmp_path: Path) -> None:
    if shutil.which("cc") is None:
        assert counted(BEFORE_POLARS)[-1] == 2
        return
    eight = visible_cores(8, tmp_path)
    assert counted(eight) == [8, 8, 8]
    assert counted({**eight, **BEFORE_POLARS}) == [8, 8, 2]


def test_both_are_shown_and_more_memory_is_a_failure(tmp_path: Path) -> None:
    work = make_work(DataArgs(rows=1_000, products=50, customers=100), tmp_path)
    with mock.patch.object(benchmarks.cores, "MOST", 3.0):
        code, shown = compared(work)
    if shutil.which("cc") is None:
        assert (code, "no cc" in shown) == (CANNOT_RUN, True)
        return
    assert (code, "FAILED" in shown) == (0, False)
    assert [line.split()[1] for line in shown.splitlines() if "MiB" in line] == ["2", "8"]
    with mock.patch.object(benchmarks.cores, "MOST", 0.1):
        code, shown = compared(work)
    assert (code, "FAILED" in shown) == (NEEDS_MORE, True)


def compared(work: Work) -> tuple[int, str]:
    shown = io.StringIO()
    code = compare_cores(work, Console(width=120, file=shown), repetitions=1)
    return code, shown.getvalue()
