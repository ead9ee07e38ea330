"""The live screen fits a terminal of 80 columns and 24 lines, whatever the files' names and contents."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from cli.drops.status import DropStatus, Phase
from cli.screen.closing import show_mail_in_short, show_totals, show_verdict
from cli.screen.live import screen
from local.local_cloud import Mail
from schemas.drops import Drop
from schemas.reports import FAILED, SUCCEEDED, Error, Report
from tests.local.local_clouds import transactions_key

COUNTS = {"rows_read": 123_456, "inserted": 100_000, "updated": 10_000, "unchanged": 0, "stale": 0, "duplicate": 456}


def status(phase: Phase, number: int, *, name: str = "", sentence: str = "") -> DropStatus:
    drop = Drop("drop", transactions_key(number % 28 + 1, name or f"transactions_{number:05}.csv"), f"v{number}")
    outcome = FAILED if phase is Phase.FAILED else SUCCEEDED
    error = Error(sentence, False, "DropError") if sentence else None
    counts = None if phase is Phase.FAILED else {**COUNTS, "rejected": 13_000}
    report = Report(drop.load_id, 1, "transactions", outcome, *vars(drop).values(), "", "", counts=counts, error=error)
    return DropStatus(drop, phase, None if phase in (Phase.QUEUED, Phase.RUNNING) else report, attempt=1)


def drawn(statuses: list[DropStatus], width: int = 80, height: int = 24) -> list[str]:
    console = Console(file=io.StringIO(), width=width, height=height, color_system=None)
    with console.capture() as capture:
        console.print(screen(statuses, total=40, waiting=3, mails=2, width=width, height=height))
    return [line.rstrip() for line in capture.get().splitlines()]


@pytest.mark.parametrize(("width", "height"), [(80, 24), (60, 15), (200, 60)])
def test_the_screen_fits_the_terminal(width: int, height: int) -> None:
    long = "a_very_long_name_of_a_till_in_a_shop_that_is_far_away_2023-03-15.csv"
    statuses = [
        *(status(Phase.ARCHIVED, number) for number in range(30)),
        status(Phase.FAILED, 31, name=long, sentence="line 3 is not UTF-8; " * 30),
        status(Phase.RUNNING, 32, name=long),
        *(status(Phase.QUEUED, number) for number in range(33, 40)),
    ]
    lines = drawn(statuses, width, height)
    assert max(map(len, lines)) < width
    assert len(lines) < height
    assert lines[0].split() == ["7", "queued", "1", "running", "30", "archived", "1", "failed"]
    assert lines[2].startswith("31 of 40 files done")


def test_a_failed_file_comes_first_with_its_sentence_below_it() -> None:
    sentence = "transactions.csv, line 1: the byte 0xff is not UTF-8; save the file as UTF-8 and drop it again"
    lines = drawn([status(Phase.ARCHIVED, 1), status(Phase.FAILED, 2, sentence=sentence)])
    assert lines[3].split() == ["failed", "transactions_00002.csv"]
    assert " ".join(" ".join(lines[4:6]).split()) == sentence
    assert lines[6].split()[:2] == ["archived", "transactions_00001.csv"]
    assert lines[6].endswith("123,456 rows, 100,000 inserted, 13,000 …")


def test_a_long_name_keeps_its_end_and_never_pushes_the_status_away() -> None:
    (line,) = drawn([status(Phase.RUNNING, 1, name=f"{'x' * 90}_2023-03-15.csv")])[3:]
    assert line.startswith("running   …x")
    assert line.endswith("_2023-03-15.csv")


def test_the_verdict_comes_first_and_money_is_grouped() -> None:
    summary: dict[str, object] = {"loads": 7, "dimension_loads": 2, "fact_amount": "1234567.80", "reject_reasons": {}}
    summary["rows_read"] = 12_345
    console = Console(file=io.StringIO(), width=80)
    with console.capture() as capture:
        show_verdict(console, [], summary, is_expected=True)
        show_totals(console, summary)
    lines = capture.get().splitlines()
    assert lines[:2] == [
        "All 9 files are loaded, mailed and archived.",
        "All rows match the expected results (expected/).",
    ]
    assert ["rows", "read", "12,345", "loads", "7"] in [line.split() for line in lines]
    assert ["fact", "amount", "1,234,567.80"] in [line.split() for line in lines]
    with console.capture() as capture:
        show_verdict(console, ["a.csv was not loaded"], summary, is_expected=True)
    assert capture.get() == "FAILED: a.csv was not loaded\n"


def test_a_mail_is_shown_in_three_lines() -> None:
    console = Console(file=io.StringIO(), width=80)
    body = "a.csv is loaded.\nWhat you need to do: nothing.\nMore.\n\nRows\n  1 new\n"
    with console.capture() as capture:
        show_mail_in_short(console, Mail("a@example.com", "[prod] a.csv loaded", body))
    assert capture.get().splitlines()[1:] == [
        "  [prod] a.csv loaded",
        "  a.csv is loaded.",
        "  What you need to do: nothing.",
    ]
