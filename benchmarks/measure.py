"""One measurement: runs a peer in a process of its own, and measures seconds, CPU seconds and memory."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from benchmarks.memory_group import MemoryGroup, memory_group
from benchmarks.work import Work

ROOT = Path(__file__).parent.parent

_SAMPLE_SECONDS = 0.01
_ERROR_CHARACTERS = 400


@dataclass(frozen=True)
class Peer:
    """A function `run(work, out) -> rows read` in a module."""

    name: str
    module: str
    function: str = "run"
    needs: str = ""
    """The module that must be installed for it, or empty."""
    environment: Mapping[str, str] = field(default_factory=dict, hash=False)
    """The variables that must be set before its libraries are imported."""
    does_the_work: bool = True
    """False for the bare scan, which is a limit and not a peer."""


@dataclass(frozen=True)
class Measurement:
    seconds: float
    """The seconds of the work alone, without starting the interpreter and importing libraries."""
    cpu_seconds: float
    rows_read: int
    peak_bytes: int
    """The peak of the memory that the kernel cannot reclaim, imports included."""
    charged_bytes: int | None
    """The peak of the group's memory with file pages; None without a group."""


class DiedError(Exception):
    """A measured process failed; the message gives the reason."""


def measure(peer: Peer, work: Work, out: Path, *, limit_bytes: int | None = None, checkout: Path = ROOT) -> Measurement:
    """Run a peer of a checkout once with an empty output folder; raises DiedError if it fails or exceeds the limit."""
    argv = [sys.executable, "-m", "benchmarks.measure", peer.module, peer.function, str(work.folder), str(out)]
    environment = {**os.environ, **peer.environment}
    finished = run_watched(argv, limit_bytes=limit_bytes, environment=environment, folder=checkout)
    result = json.loads(finished.stdout.splitlines()[-1])
    return Measurement(**result, peak_bytes=finished.peak_bytes, charged_bytes=finished.charged_bytes)


@dataclass(frozen=True)
class Finished:
    stdout: str
    peak_bytes: int
    charged_bytes: int | None


def run_watched(
    argv: Sequence[str],
    *,
    limit_bytes: int | None = None,
    environment: dict[str, str] | None = None,
    folder: Path = ROOT,
) -> Finished:
    """Run a command in a folder and watch its memory.

    Where no memory group can be made, the process is killed once a sample exceeds the limit.
    """
    with (
        memory_group(limit_bytes) as group,
        tempfile.TemporaryFile("w+") as stdout,
        tempfile.TemporaryFile("w+") as stderr,
    ):
        process = subprocess.Popen(
            group.command(argv) if group else list(argv), stdout=stdout, stderr=stderr, env=environment, cwd=folder
        )
        try:
            peak = _watch(process, group, limit_bytes)
        finally:
            process.kill()
            process.wait()
        charged, kills = (group.peak_bytes(), group.kills()) if group else (None, 0)
        stdout.seek(0)
        stderr.seek(0)
        output, errors = stdout.read(), stderr.read()
    limit = f"a limit of {(limit_bytes or 0) / 2**20:,.0f} MiB"
    if kills or (limit_bytes is not None and not group and peak > limit_bytes):
        raise DiedError(f"needs more memory than {limit}")
    if process.returncode:
        raise DiedError(f"exit status {process.returncode}: {errors.strip()[-_ERROR_CHARACTERS:]}")
    return Finished(output, peak, charged)


def _watch(process: subprocess.Popen[bytes], group: MemoryGroup | None, limit_bytes: int | None) -> int:
    """Wait for the end of the process; returns the peak of its anonymous memory."""
    peak = 0
    while process.poll() is None:
        held = group.anonymous_bytes() if group else _anonymous_bytes(process.pid)
        peak = max(peak, held)
        if not group and limit_bytes is not None and peak > limit_bytes:
            process.kill()
        time.sleep(_SAMPLE_SECONDS)
    return peak


def _anonymous_bytes(pid: int) -> int:
    held = 0
    for process in _tree(pid):
        try:
            memory = process.memory_info()
        except psutil.Error:
            continue
        held += memory.rss - getattr(memory, "shared", 0)
    return held


def _cpu_seconds() -> float:
    """The CPU seconds of this process and its children, one of which does Spark's work."""
    total = 0.0
    for process in _tree(psutil.Process().pid):
        times = process.cpu_times()
        total += times.user + times.system
    return total


def _tree(pid: int) -> list[psutil.Process]:
    try:
        top = psutil.Process(pid)
        return [top, *top.children(recursive=True)]
    except psutil.Error:
        return []


def _measured(module: str, function: str, folder: str, out: str) -> dict[str, Any]:
    run = getattr(importlib.import_module(module), function)
    cpu, begun = _cpu_seconds(), time.perf_counter()
    rows_read = run(Work(Path(folder)), Path(out))
    return {
        "seconds": time.perf_counter() - begun,
        "cpu_seconds": _cpu_seconds() - cpu,
        "rows_read": rows_read,
    }


if __name__ == "__main__":
    print(json.dumps(_measured(*sys.argv[1:])))
