"""What is seen while drops move: a live table on a terminal, plain lines anywhere else."""

from __future__ import annotations

from dataclasses import replace
from types import TracebackType

from rich import box
from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from cli.drop_status import DropStatus, Stage, count_stages
from local.local_cloud import Mail

_COLOURS = {
    Stage.QUEUED: "dim",
    Stage.RUNNING: "yellow",
    Stage.LOADED: "cyan",
    Stage.ARCHIVED: "green",
    Stage.FAILED: "bold red",
}
_ROWS_SHOWN = 14


class Display:
    """Told again and again what was seen; a context manager."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, refresh_per_second=8, transient=False) if console.is_terminal else None
        self._stages: dict[str, Stage] = {}

    def __enter__(self) -> Display:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, seen: list[DropStatus], *, waiting: int, mails: int) -> None:
        """`waiting` messages stand in the queue; `mails` were sent so far."""
        if self._live is not None:
            self._live.update(_picture(seen, waiting=waiting, mails=mails))
            return
        for one in seen:
            before = self._stages.get(one.drop.load_id)
            if before is not one.stage:
                self._stages[one.drop.load_id] = one.stage
                if one.stage is Stage.ARCHIVED and before is not Stage.LOADED:
                    # It went by faster than anybody looked.
                    self._line(replace(one, stage=Stage.LOADED))
                self._line(one)

    def say(self, sentence: str, *, style: str = "") -> None:
        """A line that stays."""
        self._console.print(Text(sentence, style=style), soft_wrap=True)

    def _line(self, seen: DropStatus) -> None:
        story = "" if seen.stage is Stage.ARCHIVED else seen.summary
        self.say(f"{seen.stage.value:<9} {seen.file_name:<30} {story}".rstrip())


def _picture(seen: list[DropStatus], *, waiting: int, mails: int) -> Group:
    counts = count_stages(seen)
    head = Text("  ").join(Text(f"{stage.value} {number}", style=_COLOURS[stage]) for stage, number in counts.items())
    head.append(f"   messages in the queue {waiting}   mails {mails}", style="dim")
    settled = sum(number for stage, number in counts.items() if stage.is_settled)
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.add_column("drop", no_wrap=True)
    table.add_column("stage", no_wrap=True)
    table.add_column("what became of its rows", overflow="ellipsis", no_wrap=True)
    moving = [one for one in seen if one.stage is not Stage.QUEUED]
    for one in moving[-_ROWS_SHOWN:]:
        table.add_row(Text(one.file_name), Text(one.stage.value, style=_COLOURS[one.stage]), Text(one.summary))
    return Group(head, ProgressBar(total=max(1, len(seen)), completed=settled, width=60), table)


def show_mail(console: Console, mail: Mail) -> None:
    """A mail as its reader sees it."""
    text = Text(f"To: {mail.to}\nSubject: {mail.subject}\n\n{mail.body}".rstrip())
    if console.is_terminal:
        console.print(Panel(text, title="the last mail", border_style="cyan"))
    else:
        console.print(text, soft_wrap=True)


def show_totals(console: Console, summary: dict[str, object]) -> None:
    """The totals of a run, and what was rejected why."""
    table = Table(title="Totals", box=box.SIMPLE_HEAD, show_header=False, title_justify="left")
    table.add_column()
    table.add_column(justify="right")
    for name, value in summary.items():
        if isinstance(value, dict):
            continue
        table.add_row(name.replace("_", " "), f"{value:,}" if isinstance(value, int) else str(value))
    console.print(table)
    reasons = summary["reject_reasons"]
    if isinstance(reasons, dict) and reasons:
        rejected = Table(title="Rejected, by reason", box=box.SIMPLE_HEAD, show_header=False, title_justify="left")
        rejected.add_column()
        rejected.add_column(justify="right")
        for reason, rows in sorted(reasons.items(), key=lambda item: (-item[1], item[0])):
            rejected.add_row(reason, f"{rows:,}")
        console.print(rejected)
