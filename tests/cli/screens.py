"""A terminal of a given size, with every screen that a command draws on it."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyte

_CHUNK = 65536
_MOST_SILENT_SECONDS = 300.0
"""A command that draws nothing for this long hangs."""


@dataclass(frozen=True)
class Screen:
    """The current screen, and every different screen before it."""

    lines: list[str]
    """From top to bottom, without trailing spaces and without lines that were scrolled away."""
    exit_status: int
    seen: list[list[str]] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "\n".join(self.lines)


def run_in_terminal(
    command: Sequence[str],
    *,
    columns: int = 80,
    lines: int = 24,
    environment: Mapping[str, str] | None = None,
    stop_when: Callable[[list[str]], bool] = lambda _: False,
) -> Screen:
    """Run a command on a terminal to its end. When a picture satisfies `stop_when`, Ctrl-C is typed."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
    variables = {**os.environ, "TERM": "xterm-256color", "COLUMNS": str(columns), "LINES": str(lines)}
    process = subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, env={**variables, **(environment or {})}, process_group=0
    )
    os.close(theirs)
    drawn = pyte.Screen(columns, lines)
    stream = pyte.ByteStream(drawn)
    seen: list[list[str]] = []
    is_stopped = False
    while chunk := _read(ours, process):
        stream.feed(chunk)
        picture = [line.rstrip() for line in drawn.display]
        if not seen or seen[-1] != picture:
            seen.append(picture)
        if not is_stopped and stop_when(picture):
            is_stopped = True
            os.killpg(process.pid, signal.SIGINT)
    os.close(ours)
    return Screen(seen[-1] if seen else [], process.wait(), seen)


def _read(terminal: Any, process: subprocess.Popen[bytes]) -> bytes:
    """The output since the last read; empty at the end."""
    if not select.select([terminal], [], [], _MOST_SILENT_SECONDS)[0]:
        process.kill()
        raise AssertionError(f"the command has drawn nothing for {_MOST_SILENT_SECONDS:.0f} seconds")
    try:
        return os.read(terminal, _CHUNK)
    except OSError:
        # Linux raises this when the other side is closed.
        return b""
