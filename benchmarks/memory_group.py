"""A memory cgroup for one process tree, which measures its memory and limits it.

Only cgroup v1 is supported, where root may create a group anywhere. On other machines there
is no group, and memory is read from the processes themselves.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

_MOUNT = Path("/sys/fs/cgroup/memory")
_SECONDS_TO_EMPTY = 5.0


@dataclass(frozen=True)
class MemoryGroup:
    path: Path

    def command(self, argv: Sequence[str]) -> list[str]:
        """The command that runs argv inside the group from the start."""
        return ["sh", "-c", 'echo $$ > "$0" && exec "$@"', str(self.path / "cgroup.procs"), *argv]

    def anonymous_bytes(self) -> int:
        """The memory that the kernel cannot reclaim now, so without file pages."""
        for line in (self.path / "memory.stat").read_text().splitlines():
            name, _, value = line.partition(" ")
            if name == "total_rss":
                return int(value)
        raise RuntimeError(f"{self.path}/memory.stat has no total_rss; is this a cgroup of version 1?")

    def peak_bytes(self) -> int:
        """The peak of all memory, file pages included; the kernel reclaims these before a limit is exceeded."""
        return int((self.path / "memory.max_usage_in_bytes").read_text())

    def kills(self) -> int:
        """The number of processes that the kernel killed at the limit."""
        counters = [line.split() for line in (self.path / "memory.oom_control").read_text().splitlines()]
        return sum(int(value) for name, value in counters if name == "oom_kill")


@contextlib.contextmanager
def memory_group(limit_bytes: int | None = None) -> Iterator[MemoryGroup | None]:
    """A new group while the block runs; None where this user cannot create one."""
    group = _make(limit_bytes)
    try:
        yield group
    finally:
        if group:
            _remove(group.path)


def _make(limit_bytes: int | None) -> MemoryGroup | None:
    try:
        path = Path(tempfile.mkdtemp(prefix="bench-", dir=_own_group()))
    except OSError:
        return None
    try:
        if limit_bytes is not None:
            (path / "memory.limit_in_bytes").write_text(str(limit_bytes))
        if not os.access(path / "cgroup.procs", os.W_OK):
            raise PermissionError(path)
    except OSError:
        path.rmdir()
        return None
    return MemoryGroup(path)


def _own_group() -> Path:
    """The group of this process, so that its own limits still apply to the new group."""
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if "memory" in controllers.split(","):
            own = _MOUNT / path.lstrip("/")
            # In a container the path may be the host's, which is not visible here.
            return own if own.is_dir() else _MOUNT
    raise FileNotFoundError(_MOUNT)


def _remove(path: Path) -> None:
    """Remove a group; a process that has ended may take a moment to leave it."""
    deadline = time.monotonic() + _SECONDS_TO_EMPTY
    while True:
        try:
            return path.rmdir()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
