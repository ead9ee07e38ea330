"""The real commands draw on a terminal of 80 columns and 24 lines, and tests read the screen."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import cli.pipelines.local
from tests.cli.screens import Screen, run_in_terminal
from tests.cli.terminals import ROOT, Terminal, terminal
from tests.local.local_clouds import build_wheel, put, started, transactions, transactions_key

pytestmark = pytest.mark.flow

LONG = "a_very_long_name_of_a_till_in_a_shop_that_is_far_away_and_closed_on_mondays_2023-03-16.csv"
STAGES = r"(queued|running|loaded|archived|failed) "
GOOD = "T{day},C12345,P12345,3,2023-03-{day},Completed"

# The commands as a user types them, with the test's own wheel, buckets and state file.
_DEMO = """
import functools, sys, uuid
from pathlib import Path
import cli.demo.demo
from cli.main import app
from local.local_cloud import LocalCloud
folder, account = Path(sys.argv[1]), f"{uuid.uuid4().int % 10**12:012}"
def start(root, *, config, **how):
    config = {**config, "dropBucketName": f"drop-{account}", "wheelDirectory": str(folder / "dist")}
    how |= {"account": account, "pace": 100.0, "python": Path(sys.executable), "libraries": folder}
    return LocalCloud.start(root, config=config, **how)
cli.demo.demo.run_demo = functools.partial(cli.demo.demo.run_demo, start=start)
app(["demo", *sys.argv[2:]], prog_name="pipeline")
"""
_BESIDE = """
import sys
from pathlib import Path
import cli.pipelines.local
from cli.main import app
cli.pipelines.local.STATE_FILE = Path(sys.argv[1])
app(sys.argv[2:], prog_name="pipeline")
"""


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terminal]:
    """A load that is archived, and a failed one with a long name."""
    folder = tmp_path_factory.mktemp("screens")
    with started(folder, {"sampleDimensions": "true"}) as cloud:
        cloud.wait_until_idle()
        put(cloud, transactions_key(15), transactions(GOOD.format(day=15)))
        put(cloud, transactions_key(16, LONG), b"")
        cloud.wait_until_idle()
        with terminal(cloud, folder / "running.json") as opened:
            yield opened


def typed(*words: str, **how: object) -> Screen:
    command = [sys.executable, "-c", _BESIDE, str(cli.pipelines.local.STATE_FILE), *words]
    return run_in_terminal(command, environment={"PYTHONPATH": str(ROOT)}, **how)  # type: ignore[arg-type]


def demo(folder: Path, *words: str) -> Screen:
    build_wheel(folder / "dist")
    command = [sys.executable, "-c", _DEMO, str(folder), *words, "--out", str(folder / "out")]
    return run_in_terminal(command, environment={"PYTHONPATH": str(ROOT)})


def test_a_demo_is_seen_from_its_counts_to_its_verdict(tmp_path: Path) -> None:
    shown = demo(tmp_path, "--days", "2", "--rows", "100")
    assert shown.exit_status == 0, shown.text
    assert any(re.search(r"deploying: [1-9][0-9]* resources", line) for picture in shown.seen for line in picture)
    moving = [picture for picture in shown.seen if any(re.match(r"[0-3] of 4 files done ", line) for line in picture)]
    assert moving
    for picture in moving:
        place = next(number for number, line in enumerate(picture) if " files done " in line)
        files = [line for line in picture[place + 1 :] if line]
        assert all(re.match(STAGES, line) for line in files), picture
    # The last picture shows the whole verdict, and the file to open.
    lines = [line for line in shown.lines if line]
    verdict = lines.index("All 4 files are loaded, mailed and archived.")
    assert lines[verdict + 1] == "All rows match the expected results (expected/)."
    assert "The mail to read first" in lines
    assert "index.html" in "".join(lines[-2:])


def test_a_failed_demo_ends_with_what_failed(tmp_path: Path) -> None:
    (tmp_path / "data" / "dimensions").mkdir(parents=True)
    header = "product_id,product_name,category,price,supplier_id\n"
    (tmp_path / "data" / "dimensions" / "dim_products.csv").write_text(f"{header}P1,A,B,cheap,S1\n")
    shown = demo(tmp_path, "--data", str(tmp_path / "data"))
    assert shown.exit_status == 1
    lines = [line for line in shown.lines if line]
    assert any(line.startswith("FAILED: dim_products.csv was not loaded:") for line in lines), shown.text
    assert any(line.startswith("  [local] dim_products.csv NOT loaded: ") for line in lines)


def test_the_status_names_a_failed_file_on_a_small_screen(shop: Terminal) -> None:
    shown = typed("status")
    assert shown.exit_status == 3
    lines = [line for line in shown.lines if line]
    assert lines[0] == "The local pipeline"
    assert "failed 1" in lines[1]
    assert LONG in shown.text.replace("\n", "")
    assert "see `pipeline show " in shown.text


def test_a_watched_status_follows_what_happens_until_ctrl_c(shop: Terminal) -> None:
    dropped = False

    def is_loaded(picture: list[str]) -> bool:
        nonlocal dropped
        if not dropped and any("Latest days" in line for line in picture):
            dropped = True
            put(shop.cloud, transactions_key(18), transactions(GOOD.format(day=18)))
        return any("2023-03-18" in line and " 1 row, " in line for line in picture)

    shown = typed("status", "--watch", stop_when=is_loaded)
    assert shown.exit_status == 130
    assert dropped
    before = next(picture for picture in shown.seen if any("Latest days" in line for line in picture))
    assert not any("2023-03-18" in line for line in before)
    assert shown.lines[0] == "The local pipeline"
    assert [line for line in shown.lines if line][-1].endswith("Stopped.")


def test_ctrl_c_at_the_prompt_ends_in_one_line(shop: Terminal) -> None:
    shown = typed("sql", stop_when=lambda picture: "sql ->" in picture)
    assert shown.exit_status == 130
    assert [line for line in shown.lines if line] == ["sql ->", "Stopped."]


def test_ctrl_c_cancels_the_statement_in_the_warehouse(shop: Terminal) -> None:
    blocker = shop.cloud.connect()
    blocker.autocommit = False
    blocker.cursor().execute("LOCK dim_products")
    statement = "SELECT COUNT(*) AS waiting FROM dim_products"
    command = [sys.executable, "-c", _BESIDE, str(cli.pipelines.local.STATE_FILE), "sql", statement]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    while (statement, "STARTED") not in statements(shop):
        assert process.poll() is None
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    printed, said = process.communicate()
    assert (process.returncode, printed) == (130, b"")
    assert said.decode().splitlines() == ["The statement was cancelled in the warehouse.", "Stopped."]
    until = time.monotonic() + 60
    while (statement, "STARTED") in statements(shop) and time.monotonic() < until:
        time.sleep(0.1)
    assert (statement, "ABORTED") in statements(shop)
    blocker.close()


def statements(shop: Terminal) -> list[tuple[str, str]]:
    """Text and status of every statement of the Data API."""
    listed = shop.cloud.client("redshift-data").list_statements()["Statements"]
    return [(each["QueryString"], each["Status"]) for each in listed]


def test_a_followed_log_ends_with_its_load(shop: Terminal) -> None:
    drop = put(shop.cloud, transactions_key(19), transactions(GOOD.format(day=19)))
    while not any(load["load_id"] == drop.load_id and load["attempt"] for load in shop.json("loads")["loads"]):
        time.sleep(0.1)
    shown = typed("logs", drop.load_id, "--follow", columns=200, lines=100)
    assert shown.exit_status == 0
    lines = [line for line in shown.lines if f"load {drop.load_id} attempt 1: " in line]
    assert lines[0].endswith(": fetch")
    assert ": succeeded: 1 rows_read, 1 inserted" in lines[-1]
    assert len(lines) == len(set(lines))
