"""A process is watched and held to its limit, whether or not this user can make a memory cgroup."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.measure import DiedError, run_watched

MEBIBYTE = 2**20
HOLD = "import time; held = bytearray(b'x') * ({mebibytes} * 2**20); time.sleep(2); print(len(held))"


@pytest.fixture(params=["as this user may", "without a group"], autouse=True)
def group(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "without a group":

        @contextlib.contextmanager
        def no_group(_: int | None) -> Iterator[None]:
            yield None

        monkeypatch.setattr("benchmarks.measure.memory_group", no_group)


def hold(mebibytes: int) -> list[str]:
    return [sys.executable, "-c", HOLD.format(mebibytes=mebibytes)]


def test_what_a_process_holds_is_found() -> None:
    finished = run_watched(hold(200), limit_bytes=400 * MEBIBYTE)
    assert finished.stdout.strip() == str(200 * MEBIBYTE)
    assert 200 * MEBIBYTE <= finished.peak_bytes < 300 * MEBIBYTE


def test_a_process_beyond_its_limit_is_ended_and_said_to_be() -> None:
    with pytest.raises(DiedError, match="needs more memory than a limit of 100 MiB"):
        run_watched(hold(200), limit_bytes=100 * MEBIBYTE)


def test_a_failed_process_is_reported_with_its_output() -> None:
    with pytest.raises(DiedError, match=r"exit status 3: .*no more"):
        run_watched([sys.executable, "-c", "import sys; print('no more', file=sys.stderr); sys.exit(3)"])


def test_what_is_started_by_the_process_counts(tmp_path: Path) -> None:
    child = tmp_path / "child.py"
    child.write_text(HOLD.format(mebibytes=200))
    parent = [sys.executable, "-c", f"import subprocess; subprocess.run([{sys.executable!r}, {str(child)!r}])"]
    assert run_watched(parent).peak_bytes >= 200 * MEBIBYTE
