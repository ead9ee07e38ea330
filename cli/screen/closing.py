"""The end of a demo, on one screen of 80 columns and 24 lines: verdict, totals, the mail to read, the page to open."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from itertools import zip_longest
from pathlib import Path

from rich.console import Console
from rich.text import Text

from local.local_cloud import Mail
from schemas.counted import agreeing
from schemas.counts import COUNTS

_COMPLAINTS, _REASONS = 5, 2
_BESIDE_THE_ROWS = (
    "loads",
    "dimension_loads",
    "failed",
    "fact_rows",
    "fact_amount",
    "emails",
    "archived",
    "large_loads",
    "seconds",
)


def show_verdict(console: Console, complaints: list[str], summary: dict[str, object], *, is_expected: bool) -> None:
    """The verdict on the run, in the first lines."""
    if complaints:
        for complaint in complaints[:_COMPLAINTS]:
            console.print(f"FAILED: {complaint}", style="bold red", markup=False, soft_wrap=not console.is_terminal)
        if len(complaints) > _COMPLAINTS:
            console.print(f"and {len(complaints) - _COMPLAINTS:,} more", style="bold red")
        return
    files = int(str(summary["loads"])) + int(str(summary["dimension_loads"]))
    subject = agreeing(files, "The file is", f"All {files:,} files are")
    console.print(f"{subject} loaded, mailed and archived.", style="bold green")
    if is_expected:
        console.print("All rows match the expected results (expected/).", style="green")


def show_totals(console: Console, summary: Mapping[str, object]) -> None:
    """The counts of rows beside the other counts, and the most frequent reject reasons."""
    cells = [[_cell(name, summary[name]) for name in names if name in summary] for names in (COUNTS, _BESIDE_THE_ROWS)]
    lines = ["".join(pair).rstrip() for pair in zip_longest(*cells, fillvalue=" " * len(cells[-1][0]))]
    reasons = summary["reject_reasons"]
    if isinstance(reasons, dict) and reasons:
        ordered = sorted(reasons.items(), key=lambda item: (-item[1], item[0]))
        parts = [f"{reason} {rows:,}" for reason, rows in ordered[:_REASONS]]
        others = len(ordered) - _REASONS
        lines += [f"  rejected for {', '.join(parts)}" + (f" and {others:,} more" if others > 0 else "")]
    console.print("\n".join(["", *lines, ""]), markup=False, highlight=False)


def show_mail(console: Console, mail: Mail) -> None:
    """A whole mail."""
    text = [f"To: {mail.to}", f"Subject: {mail.subject}", "", *mail.body.rstrip().splitlines()]
    console.print(Text("\n".join(text)), soft_wrap=not console.is_terminal)


def show_mail_in_short(console: Console, mail: Mail) -> None:
    """The subject and the first sentences of a mail."""
    beginning = mail.body.strip().split("\n\n", 1)[0].splitlines()
    console.print("The mail to read first", markup=False, highlight=False)
    for line in (mail.subject, *beginning[:2]):
        console.print(Text(f"  {line}"), no_wrap=True, overflow="ellipsis", soft_wrap=not console.is_terminal)


def show_places(console: Console, out: Path, *, has_rejected: bool) -> None:
    """The paths of the results, and the page to open."""
    rejected = ["rejected/"] if has_rejected else []
    beside = ["emails/", "reports/", *rejected, "fact_transactions.parquet", "summary.json"]
    # The path comes last, because a reader looks at the last line.
    lines = ["", f"Beside it: {', '.join(beside)}", "Open this in a browser:", f"{out / 'index.html'}"]
    console.print("\n".join(lines), markup=False, highlight=False, soft_wrap=True)


def _cell(name: str, value: object) -> str:
    return f"  {name.replace('_', ' '):<18}{_number(name, value):>16}  "


def _number(name: str, value: object) -> str:
    if name.endswith("amount"):
        return f"{Decimal(str(value)):,.2f}"
    return f"{value:,}" if isinstance(value, int) else str(value)
