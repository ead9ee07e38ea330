"""The end of a demo: the verdict first, then the totals, the last mail in short, and what to open."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

from rich.console import Console
from rich.text import Text

from local.local_cloud import Mail
from schemas.counted import agreeing, counted

_MAIL_LINES = 12


def show_verdict(console: Console, complaints: list[str], summary: dict[str, object], *, is_expected: bool) -> None:
    """What the run comes to, in the first lines."""
    if complaints:
        for complaint in complaints:
            console.print(f"FAILED: {complaint}", style="bold red", markup=False, soft_wrap=not console.is_terminal)
        return
    files = int(str(summary["loads"])) + int(str(summary["dimension_loads"]))
    subject = agreeing(files, "The file is", f"All {files:,} files are")
    console.print(f"{subject} loaded, mailed and archived.", style="bold green")
    if is_expected:
        console.print("All rows match the expected results (expected/).", style="green")


def show_totals(console: Console, summary: dict[str, object]) -> None:
    """The totals of a run, and how many rows were rejected for which reason."""
    lines = [
        f"  {name.replace('_', ' '):<28}{_number(name, value):>14}"
        for name, value in summary.items()
        if not isinstance(value, dict)
    ]
    reasons = summary["reject_reasons"]
    if isinstance(reasons, dict) and reasons:
        lines += ["", "Rejected, by reason"]
        ordered = sorted(reasons.items(), key=lambda item: (-item[1], item[0]))
        lines += [f"  {reason:<28}{rows:>14,}" for reason, rows in ordered]
    console.print("\n".join(["", "Totals", *lines, ""]), markup=False, highlight=False)


def show_mail(console: Console, mail: Mail, *, lines: int | None = _MAIL_LINES) -> None:
    """A mail as its reader sees it, cut after so many lines of its body; None shows all of it."""
    body = mail.body.rstrip().splitlines()
    shown = body if lines is None else body[:lines]
    text = [f"To: {mail.to}", f"Subject: {mail.subject}", "", *shown]
    if len(shown) < len(body):
        text.append(f"… {counted(len(body) - len(shown), 'more line')}")
    console.print(Text("\n".join(text)), soft_wrap=not console.is_terminal)


def show_places(console: Console, out: Path, *, has_rejected: bool) -> None:
    """What to open."""
    places = [(out / "emails", "the mails"), (out / "reports", "a report per load, as JSON")]
    places += [(out / "rejected", "the rejected rows, with reasons")] if has_rejected else []
    places += [(out / "fact_transactions.parquet", "the table"), (out / "summary.json", "the totals")]
    # Last, because the last line is what is seen.
    places.append((out / "index.html", "all loads as pages, for a browser"))
    lines = [f"  {place!s:<44} {meaning}" for place, meaning in places]
    console.print("\n".join(["", "To open:", *lines]), markup=False, highlight=False, soft_wrap=True)


def _number(name: str, value: object) -> str:
    if name.endswith("amount"):
        return f"{Decimal(str(value)):,.2f}"
    return f"{value:,}" if isinstance(value, int) else str(value)
