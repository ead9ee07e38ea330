"""The demo, from generated files to the files it leaves behind."""

from __future__ import annotations

import io
import json
import re
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from rich.console import Console
from typer.testing import CliRunner

from cli.demo.demo import Disturbance, run_demo, shuffled
from cli.demo.folder import demo_folder
from cli.demo.results import Results
from cli.drops.status import DropStatus, Phase
from cli.main import app
from cli.screen.live import Display
from local.local_cloud import LocalCloud
from mock_data import MockData, MockDataArgs
from schemas.drops import Drop
from tests.local.local_clouds import PACE, build_wheel, transactions_key

pytestmark = pytest.mark.flow

ARGS = MockDataArgs(days=3, rows=200, products=20, customers=50, seed=11, faults=0.1)


@pytest.fixture
def start(tmp_path: Path) -> Callable[..., LocalCloud]:
    """Starts the demo's local cloud with its own account and wheel."""
    account = f"{uuid.uuid4().int % 10**12:012}"
    wheels = build_wheel(tmp_path / "dist")

    def start(root: Path, *, config: dict[str, str], **options: Any) -> LocalCloud:
        config = {**config, "dropBucketName": f"drop-{account}", "wheelDirectory": str(wheels)}
        options |= {"account": account, "pace": PACE, "python": Path(sys.executable), "libraries": tmp_path}
        return LocalCloud.start(root, config=config, **options)

    return start


def test_a_shuffled_demo_ends_with_the_expected_fact(tmp_path: Path, start: Callable[..., LocalCloud]) -> None:
    data, out, screen = tmp_path / "data", tmp_path / "out", io.StringIO()
    keys = list(MockData(ARGS).write(data))
    console = Console(file=screen, width=200)
    with demo_folder(out) as folder:
        results = run_demo(data, keys, folder, disturbance=Disturbance(shuffle=4), console=console, start=start)
    assert results.complaints == []

    expected = json.loads((data / "expected" / "summary.json").read_text())
    summary = json.loads((out / "summary.json").read_text())
    same = ("fact_rows", "fact_amount")
    assert {name: summary[name] for name in same} == {name: expected[name] for name in same}
    # One of the three files was dropped twice.
    assert (summary["loads"], summary["dimension_loads"], summary["failed"]) == (4, 2, 0)
    assert (summary["emails"], summary["archived"]) == (6, 6)
    assert summary["rows_read"] == sum(
        summary[count] for count in ("inserted", "updated", "unchanged", "stale", "duplicate", "rejected")
    )
    assert set(summary["reject_reasons"]) == set(expected["reject_reasons"])

    fact = pl.read_parquet(out / "fact_transactions.parquet")
    wanted = pl.read_parquet(data / "expected" / "fact_transactions.parquet").sort("transaction_id")
    columns = [name for name in wanted.columns if name in fact.columns]
    assert_frame_equal(fact.select(columns), wanted.select(columns))

    assert pl.read_parquet(out / "load_ledger.parquet")["rows_read"].sum() == summary["rows_read"]
    assert len(list((out / "emails").glob("*.txt"))) == 6
    assert len(list((out / "reports").rglob("*.json"))) == 6
    assert len(list((out / "rejected").rglob("*.csv"))) == 4
    assert sorted({entry["key"] for entry in json.loads((out / "archive.json").read_text())}) == sorted(keys)
    links = re.findall(r'href="(reports/html/[^"]+)"', (out / "index.html").read_text())
    assert len(set(links)) == 6
    assert [link for link in links if not (out / link).is_file()] == []
    shown = screen.getvalue()
    assert shown.splitlines()[-1] == str(out / "index.html")
    # The last mail is shown, and the last load may be that of the file which was dropped twice.
    assert re.search(r"The mail to read first\n  \[local\] [0-9]+ Mar( loaded|: nothing changed)", shown)
    assert shown.count("\nloaded    ") == shown.count("\narchived  ") == 6


def test_a_demo_whose_drop_fails_shows_it_and_is_not_good(tmp_path: Path, start: Callable[..., LocalCloud]) -> None:
    data, out, screen = tmp_path / "data", tmp_path / "out", io.StringIO()
    (data / "dimensions").mkdir(parents=True)
    header = "product_id,product_name,category,price,supplier_id\n"
    (data / "dimensions" / "dim_products.csv").write_text(f"{header}P1,A,B,cheap,S1\n")
    with demo_folder(out) as folder:
        results = run_demo(
            data, ["dimensions/dim_products.csv"], folder, console=Console(file=screen, width=200), start=start
        )
    (complaint,) = results.complaints
    assert complaint.startswith("dim_products.csv was not loaded: line 2: price 'cheap'")
    shown = screen.getvalue()
    assert f"FAILED: {complaint}" in shown
    assert "failed    dim_products.csv" in shown
    assert "  [local] dim_products.csv NOT loaded: " in shown
    assert (results.summary["failed"], results.summary["emails"], results.summary["archived"]) == (1, 1, 0)


@pytest.mark.parametrize(("complaints", "status"), [([], 0), (["a drop was not loaded"], 1)])
def test_a_demo_that_is_not_good_has_an_exit_status_that_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, complaints: list[str], status: int
) -> None:
    (tmp_path / "dimensions").mkdir()
    (tmp_path / "dimensions" / "dim_products.csv").touch()
    monkeypatch.setattr("cli.demo.demo.run_demo", lambda *_, **__: Results({}, complaints))
    ended = CliRunner().invoke(app, ["demo", "--data", str(tmp_path), "--out", str(tmp_path / "out")])
    assert ended.exit_code == status, ended.output


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (Path.exists, "is not a folder"),
        (Path.mkdir, "holds no file to drop"),
        (
            lambda data: ((data / "transactions").mkdir(parents=True), (data / "transactions/a.csv").touch()),
            "is outside the layout",
        ),
    ],
)
def test_a_folder_that_cannot_be_dropped_is_refused_at_once(
    tmp_path: Path, make: Callable[[Path], Any], sentence: str
) -> None:
    make(tmp_path / "data")
    refused = CliRunner().invoke(app, ["demo", "--data", str(tmp_path / "data"), "--out", str(tmp_path / "out")])
    assert refused.exit_code == 2
    assert sentence in refused.output


def test_shuffling_drops_every_file_and_about_a_third_of_them_twice() -> None:
    keys = [f"k{number}" for number in range(9)]
    order = shuffled(keys, 5)
    assert (len(order), set(order)) == (12, set(keys))
    assert order == shuffled(keys, 5) != shuffled(keys, 6)


def test_a_stage_that_went_by_unseen_is_shown_all_the_same() -> None:
    screen = io.StringIO()
    drop = Drop("drop", transactions_key(15), "v1")
    with Display(Console(file=screen, width=200)) as display:
        for phase in (Phase.RUNNING, Phase.ARCHIVED, Phase.ARCHIVED):
            display.show([DropStatus(drop, phase)], waiting=0, mails=0)
    assert [line.split()[0] for line in screen.getvalue().splitlines()] == ["running", "loaded", "archived"]
