"""The state file and the lock by which other terminals find the local pipeline of `pipeline up`."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cli.refusals import Refused

ROOT = Path(__file__).parents[2]
LIBRARIES = ROOT / "build" / "cloud"
"""Unpacked wheels, kept for the next local pipeline."""
_STOPPED_WITHIN_SECONDS = 300.0
LOCAL_STACK = "local"
"""The name of the stack that `up` and `demo` deploy on this machine."""
STATE_FILE = LIBRARIES / "running.json"


@dataclass(frozen=True)
class LocalPipeline:
    """A local pipeline in another process."""

    pid: int
    outputs: Mapping[str, Any]
    """The outputs of its stack."""
    environment: Mapping[str, str]
    """The AWS_* and PG* variables with which any tool reaches it, with every right."""

    @property
    def url(self) -> str:
        return self.environment["AWS_ENDPOINT_URL"]

    @property
    def region(self) -> str:
        return self.environment["AWS_REGION"]


@contextmanager
def only_local_pipeline(path: Path | None = None) -> Iterator[None]:
    """Hold the lock of this checkout's local pipeline while the block runs; raises Refused when another one runs.

    The operating system releases the lock when the process ends, even after a crash.
    """
    path = path or STATE_FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    with _lock_file(path).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Refused("another local pipeline is running; stop it first with `pipeline down`") from None
        path.unlink(missing_ok=True)
        yield


@contextmanager
def announced(local: LocalPipeline, path: Path | None = None) -> Iterator[None]:
    """Write the state file, by which other terminals find the local pipeline while the block runs."""
    path = path or STATE_FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(f".{os.getpid()}")
    # The file has keys, although only of a local AWS; other users of this machine must not read them.
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(asdict(local), file, indent=2)
    unfinished.rename(path)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def find_local_pipeline(path: Path | None = None, *, or_else: str = "") -> LocalPipeline:
    """The local pipeline that runs; raises Refused when none runs, or it is not ready.

    `or_else` is what a person can do instead of starting one.
    """
    path = path or STATE_FILE
    if not _is_locked(path):
        raise Refused(f"no local pipeline is running; start one with `pipeline up` in another terminal{or_else}")
    try:
        return LocalPipeline(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        raise Refused(
            "the local pipeline is starting or stopping; wait until `pipeline up` says that it is running or has "
            "stopped, then try again"
        ) from None


def _lock_file(path: Path) -> Path:
    return path.with_suffix(".lock")


def _is_locked(path: Path) -> bool:
    try:
        with _lock_file(path).open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def stop(local: LocalPipeline, path: Path | None = None) -> bool:
    """Stop the local pipeline; False when it has not stopped within five minutes."""
    os.kill(local.pid, signal.SIGTERM)
    until = time.monotonic() + _STOPPED_WITHIN_SECONDS
    while time.monotonic() < until:
        if not _is_locked(path or STATE_FILE):
            return True
        time.sleep(0.1)
    return False
