"""The texts of one load: in a list on a terminal, and on the page of `show`."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cli.drops.plans import Plan, plan_text
from cli.drops.status import DropStatus, Phase
from cli.loads.as_json import load_line
from cli.loads.details import details_text
from cli.loads.loads import Attempt, Load
from schemas.drops import Drop
from schemas.reports import Error, Report
from schemas.runs import RETRACT
from tests.lambdas.reports import failed, succeeded

DROP = Drop("shop-drops", "transactions/year=2023/month=01/day=02/till_2023-01-02.csv", "version")
FAULT = "line 2: the byte 0xff is not UTF-8; save the file as UTF-8, and upload the file again"
PIPELINE: Any = SimpleNamespace(stack_option=" --stack prod", output=lambda name: name)


def load_of(report: Report) -> Load:
    phase = Phase.FAILED if report.error else Phase.ARCHIVED
    attempt = Attempt(1, 1, DROP, "job", "jr_1", "FAILED" if report.error else "SUCCEEDED", "", report)
    return Load(DropStatus(DROP, phase, report, attempt=1), (attempt,))


REFUSED = load_of(failed(DROP, error=Error(f"till_2023-01-02.csv, {FAULT}", False, "FileRefused")))


def test_a_line_that_does_not_fit_a_terminal_takes_two() -> None:
    place, sentence = load_line(REFUSED, 80).splitlines()
    assert place.endswith(f"failed    {DROP.load_id}  till_2023-01-02.csv")
    assert (len(sentence), sentence.strip()[:20], sentence[-1]) == (80, FAULT[:20], "…")
    assert load_line(REFUSED, 300) == load_line(REFUSED) == f"{place}  {FAULT}"


def test_the_page_of_a_failed_load_has_its_sentence_once() -> None:
    text = details_text(REFUSED, PIPELINE)
    assert text.splitlines()[0] == f"till_2023-01-02.csv is not loaded: {FAULT}"
    assert text.count(FAULT) == 1


def test_a_load_that_was_taken_back_has_no_table_of_zeros() -> None:
    counts = dict.fromkeys(("rows_read", "inserted", "updated", "unchanged", "stale", "duplicate", "rejected"), 0)
    text = details_text(load_of(succeeded(DROP, event=RETRACT, counts=counts, removed=40)), PIPELINE)
    assert text.startswith("till_2023-01-02.csv is archived: taken back: 40 transactions removed\n")
    assert "rows_read" not in text


@pytest.mark.parametrize(("rows", "title"), [(0, ""), (7, ": 7 rows")])
def test_a_plan_of_a_refused_file_names_it_once(rows: int, title: str) -> None:
    error = Error(f"till_2023-01-02.csv, {FAULT}", False, "FileRefused")
    lines = plan_text(
        Plan(Path("till_2023-01-02.csv"), DROP.key, failed(DROP, error=error, rows_read=rows))
    ).splitlines()
    assert lines[:2] == [f"till_2023-01-02.csv as {DROP.key}{title}", f"  would not be loaded: {FAULT}"]
