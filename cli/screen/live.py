"""The progress of drops: a live screen on a terminal, plain lines elsewhere.

The screen fits 80 columns and 24 lines, and grows with the terminal. Each line begins with the
phase in a fixed width, so that no file name can push it off the screen.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import TracebackType

from rich.console import Console, Group
from rich.live import Live
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

from cli.drops.status import DropStatus, Phase, count_phases
from schemas.counted import counted

_COLOURS = {
    Phase.QUEUED: "dim",
    Phase.RUNNING: "yellow",
    Phase.LOADED: "cyan",
    Phase.ARCHIVED: "green",
    Phase.FAILED: "bold red",
}
_PHASE_WIDTH = 9
_NAME_WIDTH = 28
_SENTENCE_LINES = 3
_LINES_AROUND = 4
"""The lines of the counts and the bar, the cursor's line and one spare line."""


class Display:
    """Shows the status of drops, updated by each call of `show`; a context manager."""

    def __init__(self, console: Console, *, has_screen: bool = True) -> None:
        self._console = console
        is_drawn = has_screen and console.is_terminal
        self._live = Live(console=console, refresh_per_second=8, transient=False) if is_drawn else None
        self._phases: dict[str, Phase] = {}
        self.total = 0
        """The expected number of files, or 0 where it is unknown."""

    def __enter__(self) -> Display:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, statuses: list[DropStatus], *, waiting: int, mails: int) -> None:
        """Show these statuses, the number of messages in the queue and the number of mails so far."""
        if self._live is not None:
            width, height = self._console.size
            self._live.update(
                screen(statuses, total=self.total, waiting=waiting, mails=mails, width=width, height=height)
            )
            return
        for status in statuses:
            before = self._phases.get(status.drop.load_id)
            if before is not status.phase:
                self._phases[status.drop.load_id] = status.phase
                if status.phase is Phase.ARCHIVED and before is not Phase.LOADED:
                    # The drop passed this phase between two calls.
                    self._line(replace(status, phase=Phase.LOADED))
                self._line(status)

    @contextmanager
    def deploying(self) -> Iterator[Callable[[int], None]]:
        """A counter on a terminal during the deployment; yields a function to call with the number of resources."""
        if not self._console.is_terminal:
            yield lambda _: None
            return
        columns = (SpinnerColumn(), TextColumn("deploying: {task.description}"), TimeElapsedColumn())
        with Progress(*columns, console=self._console, transient=True) as progress:
            task = progress.add_task(counted(0, "resource"), total=None)
            yield lambda number: progress.update(task, description=counted(number, "resource"))

    def say(self, sentence: str, *, style: str = "") -> None:
        """A line that stays."""
        self._console.print(Text(sentence, style=style), soft_wrap=not self._console.is_terminal)

    def _line(self, status: DropStatus) -> None:
        summary = "" if status.phase is Phase.ARCHIVED else status.summary
        self.say(f"{status.phase.value:<{_PHASE_WIDTH}} {status.file_name:<30} {summary}".rstrip())


def screen(statuses: list[DropStatus], *, total: int, waiting: int, mails: int, width: int, height: int) -> Group:
    """One screen that fits the terminal: the count of each phase, a bar of the settled files, and the files.

    `total` is the expected number of files.
    """
    counts = count_phases(statuses)
    head = Text("  ").join(
        Text(f"{number} {phase.value}", style=_COLOURS[phase]) for phase, number in counts.items() if number
    )
    settled = sum(status.is_settled for status in statuses)
    total = max(total, len(statuses))
    foot = Text(
        f"{settled} of {counted(total, 'file')} done   {counted(waiting, 'message')} waiting   "
        f"{counted(mails, 'mail')} sent",
        style="dim",
    )
    lines = _files(statuses, width=width - 1, room=height - _LINES_AROUND)
    return Group(_cut(head, width - 1), _bar(settled, total, width - 1), _cut(foot, width - 1), *lines)


def _bar(settled: int, total: int, width: int) -> Text:
    done = width * settled // max(1, total)
    return Text("━" * done, style="green").append("─" * (width - done), style="dim")


def _files(statuses: list[DropStatus], *, width: int, room: int) -> list[Text]:
    """The failed files first, then those that run or are loaded, then the archived ones, the latest first."""
    order = (Phase.FAILED, Phase.RUNNING, Phase.LOADED, Phase.ARCHIVED)
    lines: list[Text] = []
    for phase in order:
        for status in reversed([status for status in statuses if status.phase is phase]):
            shown = _file_lines(status, width)
            if len(lines) + len(shown) > room:
                return lines
            lines += shown
    return lines


def _file_lines(status: DropStatus, width: int) -> list[Text]:
    name = status.file_name
    if len(name) > _NAME_WIDTH:
        # The day is at the end of a name.
        name = f"…{name[-_NAME_WIDTH + 1 :]}"
    line = Text(f"{status.phase.value:<{_PHASE_WIDTH}}", style=_COLOURS[status.phase])
    line.append(f" {name:<{_NAME_WIDTH}}", style="default")
    if status.phase is not Phase.FAILED:
        line.append(f" {_in_short(status)}", style="default")
        return [_cut(line, width)]
    sentence = textwrap.wrap(status.summary, width - 2, max_lines=_SENTENCE_LINES, placeholder=" …")
    return [_cut(line, width), *(Text(f"  {part}", style="red") for part in sentence)]


def _in_short(status: DropStatus) -> str:
    counts = status.report.counts if status.report else None
    if counts is None:
        return ""
    return f"{counted(counts['rows_read'], 'row')}, {counts['inserted']:,} inserted, {counts['rejected']:,} rejected"


def _cut(line: Text, width: int) -> Text:
    line.truncate(width, overflow="ellipsis")
    line.no_wrap = True
    return line
