"""The memory of the same work where two cores are visible, and where eight are."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.compare import OURS
from benchmarks.measure import Measurement, measure
from benchmarks.work import Work

MOST = 1.1
"""The largest allowed ratio of the two peaks: two runs of the same code differ by a twentieth."""
NEEDS_MORE = 1
CANNOT_RUN = 2

_FEW, _MANY = 2, 8
_VISIBLE = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

int sched_getaffinity(pid_t process, size_t size, cpu_set_t *cores) {
    memset(cores, 0, size);
    for (int core = 0; core < CORES; core++) CPU_SET_S(core, size, cores);
    return 0;
}

long sysconf(int name) {
    static long (*real)(int);
    if (!real) real = dlsym(RTLD_NEXT, "sysconf");
    return name == _SC_NPROCESSORS_ONLN || name == _SC_NPROCESSORS_CONF ? CORES : real(name);
}
"""
"""Loaded before libc, it answers a process that asks how many cores there are."""


def compare_cores(work: Work, console: Console, *, repetitions: int) -> int:
    """Measure both, in turn, and show the largest peaks; returns NEEDS_MORE, CANNOT_RUN or 0."""
    if shutil.which("cc") is None:
        console.print("--cores needs a C compiler and there is no cc; install one, on Debian: apt install gcc")
        return CANNOT_RUN
    runs: dict[int, list[Measurement]] = {_FEW: [], _MANY: []}
    with tempfile.TemporaryDirectory() as folder:
        seen = {cores: visible_cores(cores, Path(folder)) for cores in runs}
        for _ in range(repetitions):
            for cores, measured in runs.items():
                measured.append(_measure(work, seen[cores]))
    peaks = {cores: max(run.peak_bytes for run in measured) for cores, measured in runs.items()}
    table = Table(title=f"{runs[_FEW][0].rows_read:,} rows")
    for heading in ("visible cores", "seconds", "CPU seconds", "peak memory"):
        table.add_column(heading, justify="right")
    for cores, measured in runs.items():
        seconds, cpu_seconds = min(run.seconds for run in measured), min(run.cpu_seconds for run in measured)
        table.add_row(str(cores), f"{seconds:.2f}", f"{cpu_seconds:.2f}", f"{peaks[cores] / 2**20:,.0f} MiB")
    console.print(table)
    if peaks[_MANY] <= MOST * peaks[_FEW]:
        return 0
    console.print(f"FAILED: with {_MANY} cores it took more than {MOST} times the memory of {_FEW}")
    return NEEDS_MORE


def visible_cores(cores: int, folder: Path) -> Mapping[str, str]:
    """The variables with which a process sees this many cores; the library for it is compiled into the folder."""
    library = folder / f"{cores}-cores.so"
    command = ["cc", "-shared", "-fPIC", f"-DCORES={cores}", "-x", "c", "-", "-o", str(library), "-ldl"]
    subprocess.run(command, input=_VISIBLE, text=True, check=True)
    return {"LD_PRELOAD": str(library)}


def _measure(work: Work, environment: Mapping[str, str]) -> Measurement:
    peer = replace(OURS, environment={**OURS.environment, **environment})
    with tempfile.TemporaryDirectory(prefix="bench-", dir=work.folder) as out:
        return measure(peer, work, Path(out))
