"""The pictures of the README: the page of a load, and the end of a demo. `make pictures` draws them again."""

from __future__ import annotations

import html
import sys
from dataclasses import replace
from pathlib import Path

from playwright.sync_api import Browser

from jobs.page import render_load
from schemas.reports import RejectedFor, RejectSample
from tests.browser.chromium import chromium
from tests.cli.screens import Screen, run_in_terminal
from tests.jobs.test_page import PAST, REPORT

ROOT = Path(__file__).parents[2]
PICTURES = ROOT / "docs" / "pictures"
REASONS = {
    "unknown_customer": RejectedFor(160, [RejectSample(17, {"customer_id": "C-0099"})]),
    "invalid_quantity": RejectedFor(11, [RejectSample(40, {"quantity": "1,5"})]),
}


def main() -> None:
    """Write both."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    folder = ROOT / "build" / "pictures"
    folder.mkdir(parents=True, exist_ok=True)
    report, terminal = folder / "report.html", folder / "terminal.html"
    report.write_text(render_load(replace(REPORT, reject_reasons=REASONS), past=PAST), encoding="utf-8")
    command = [sys.executable, "-m", "cli.main", "demo", "--days", "3", "--rows", "2000"]
    screen = run_in_terminal([*command, "--out", "build/pictures/demo"], columns=80, lines=60)
    if screen.exit_status != 0:
        sys.exit(f"The demo did not end well:\n{screen.text}")
    terminal.write_text(_as_page(screen), encoding="utf-8")
    with chromium() as browser:
        _draw(browser, report, PICTURES / "report.png", width=960, height=860)
        _draw(browser, terminal, PICTURES / "demo.png", width=760, height=None)


def _draw(browser: Browser, page: Path, picture: Path, *, width: int, height: int | None) -> None:
    """All of the page, or its top."""
    opened = browser.new_page(viewport={"width": width, "height": height or 100})
    opened.goto(page.as_uri())
    opened.screenshot(path=picture, full_page=height is None)


_TERMINAL = """<!doctype html><html lang="en"><body style="margin: 0"><pre style="margin: 0; padding: 16px;
background: #14181f; color: #e7ebf2; font: 14px/1.35 'DejaVu Sans Mono', monospace">$ make demo
{lines}</pre></body></html>
"""


def _as_page(screen: Screen) -> str:
    """The output from the counts of the files on: earlier lines name folders of the machine."""
    first = next(number for number, line in enumerate(screen.lines) if line.endswith(" archived"))
    return _TERMINAL.format(lines=html.escape("\n".join(screen.lines[first:]).rstrip()))


if __name__ == "__main__":
    main()
