"""The Chromium of this machine, headless, and a shop whose loads it looks at."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, sync_playwright

from mock_data import MockData, MockDataArgs
from schemas.warehouse.tables import LEDGER_AMOUNTS, LOAD_LEDGER
from tests.cli.terminals import terminal
from tests.faults.model import rows_of
from tests.local.local_clouds import put, started, transactions_key

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


def find_chromium() -> str:
    """CHROMIUM, or the first of its usual names on the PATH; without one the run ends with one sentence."""
    path = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, _NAMES)), None)
    if path is None:
        pytest.exit("No Chromium is on the PATH; install one (`apt install chromium`) or set CHROMIUM to its path.", 1)
    return path


@contextmanager
def chromium() -> Iterator[Browser]:
    """A headless browser."""
    with sync_playwright() as playwright:
        # Without a sandbox, for root of a container may not make one; the pages are ours.
        yield playwright.chromium.launch(executable_path=find_chromium(), args=["--no-sandbox"])


@dataclass(frozen=True)
class Shop:
    """The folder that a local pipeline left behind."""

    index: Path
    """The page of all loads; the pages of each load are below its folder."""
    loads: list[dict[str, Any]]
    """The loads, as `pipeline loads --json` lists them."""
    ledger: list[dict[str, Any]]
    amounts: list[dict[str, Any]]

    def page(self, load_id: str) -> Path:
        """Of a load's first attempt."""
        return self.index.parent / "reports" / "html" / load_id / "1.html"


def run_shop(folder: Path) -> Shop:
    """Load four days, take the third back, and be refused the file of a fifth; then the pipeline is stopped."""
    data = folder / "data"
    list(MockData(MockDataArgs(days=4, rows=400, products=30, customers=80, seed=5, faults=0.1)).write(data))
    with started(folder) as cloud, terminal(cloud, folder / "running.json") as opened:
        dropped = opened.run("drop", str(data), "--wait")
        assert dropped.exit_code == 3, dropped.output
        opened.json("retract", "2023-03-17", "--yes")
        put(cloud, transactions_key(20), "transaction_id\nT1\n".encode("utf-16"))
        cloud.wait_until_idle()
        index = Path(opened.json("open", "--out", str(folder / "pages"), "--no-browser")["page"])
        ledger, amounts = rows_of(cloud, LOAD_LEDGER), rows_of(cloud, LEDGER_AMOUNTS)
        return Shop(index, opened.json("loads")["loads"], ledger, amounts)
