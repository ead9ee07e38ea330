"""Glue runs as forks of one process that has already imported the job: for tests with hundreds of runs.

Each run is still a process with its own environment, folder and log. Only Glue's own wrapper and the import of the
job are not repeated, which take most of a small run's time.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from local.runtime.glue_process import Ended, GlueProcesses

IMPORTED = ("jobs.main", "jobs.process_transactions", "jobs.load_dimensions", "jobs.page", "tests.local.forked_runs")


def fork_runs(patch: pytest.MonkeyPatch) -> None:
    """Let every local cloud of this process start its runs this way."""
    server = multiprocessing.get_context("forkserver")
    server.set_forkserver_preload([*IMPORTED])

    def wait_for(
        self: GlueProcesses,
        run_id: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        place: Path,
        minutes: int | None,
    ) -> Ended:
        # The command is interpreter, Glue's wrapper, script, and the arguments.
        given = (command[3:], dict(environment), place, self._log_path(run_id))
        process = server.Process(target=_run, args=given)
        process.start()
        process.join()
        assert process.exitcode is not None
        if process.exitcode == 0:
            return Ended("SUCCEEDED")
        return Ended("FAILED", f"Command failed with exit code {process.exitcode}")

    patch.setattr(GlueProcesses, "_wait_for", wait_for)


def _run(words: Sequence[str], environment: Mapping[str, str], place: Path, log: Path) -> None:
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(place)
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(output, stream)
    from jobs.main import main

    main(words)
