"""Counts in commands and in the digest agree with their nouns. Each output names the next step."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cli.backfill.digest import digest_mail
from cli.drops.plans import Plan, plan_text
from cli.drops.status import DropStatus, Phase
from cli.loads.explanation import Explanation, HistoryRow
from cli.loads.loads import Load
from schemas.drops import Drop
from schemas.reports import RejectedFor, Report
from schemas.runs import FLOW_IN, RETRACT
from tests.disagreeing_counts import DISAGREES
from tests.lambdas.reports import failed, succeeded

DROP = Drop("shop-drops", "transactions/year=2023/month=01/day=02/till_2023-01-02.csv", "version")


def report_of(number: int, *, waiting: int = 0, **changes: Any) -> Report:
    counts = dict.fromkeys(("updated", "unchanged", "stale", "duplicate"), 0)
    reasons = {"unknown_product": RejectedFor(number, [])}
    counts = {"rows_read": 2 * number, "inserted": number, **counts, "rejected": number}
    return succeeded(
        DROP, event="load", counts=counts, rows_read=2 * number, reject_reasons=reasons, waiting=waiting, **changes
    )


def load_of(report: Report) -> Load:
    phase = Phase.FAILED if report.counts is None else Phase.ARCHIVED
    return Load(DropStatus(DROP, phase, report, attempt=1), ())


@pytest.mark.parametrize("number", [1, 2])
def test_counts_in_a_digest_agree_with_their_nouns(number: int) -> None:
    loads = [load_of(report_of(number))] * number
    for more in ([], [load_of(failed(DROP))], [load_of(failed(DROP))] * 2):
        mail = digest_mail([*loads, *more], name="5f0c0123456789ab", stack="prod")
        assert DISAGREES.findall(mail.subject) == DISAGREES.findall(mail.body) == []


def test_a_digest_asks_nobody_to_correct_rows_that_wait() -> None:
    mail = digest_mail([load_of(report_of(3, waiting=3))], name="5f0c0123456789ab", stack="prod")
    assert mail.subject.endswith(", 6 rows")
    assert "What you need to do: nothing." in mail.body
    assert "  of the rejected wait for a customer or product" in mail.body


@pytest.mark.parametrize("number", [1, 2])
def test_counts_in_a_plan_agree_with_their_nouns(number: int) -> None:
    report = report_of(number, waiting=number, removed=number, restored=number)
    assert DISAGREES.findall(plan_text(Plan(Path("till.csv"), DROP.key, report))) == []


def test_a_plan_shows_a_reason_that_this_command_does_not_know() -> None:
    report = replace(report_of(2), reject_reasons={"too_shiny": RejectedFor(2, [])})
    assert "2  too_shiny\n" in plan_text(Plan(Path("till.csv"), DROP.key, report)) + "\n"


def test_waiting_rows_that_came_are_not_shown_as_rejected_below_zero() -> None:
    counts = {"rows_read": 0, "inserted": 2, "updated": 0, "unchanged": 0, "stale": 1, "duplicate": 0, "rejected": -3}
    status = load_of(succeeded(DROP, event=FLOW_IN, counts=counts)).status
    assert (status.summary, status.rejected) == ("3 waiting rows: 2 inserted, 1 stale", 0)


def test_a_load_that_was_taken_back_says_so() -> None:
    counts = dict.fromkeys(("rows_read", "inserted", "updated", "unchanged", "stale", "duplicate", "rejected"), 0)
    status = load_of(succeeded(DROP, event=RETRACT, counts=counts, removed=1)).status
    assert status.summary == "taken back: 1 transaction removed"


@pytest.mark.parametrize("number", [1, 2])
def test_an_explanation_of_one_row_names_no_order(number: int) -> None:
    row = HistoryRow("s3://shop/a.csv", 2, "5f0c0123456789ab", "2023-01-02 10:00:00", "completed", 1, "9.99", "wins")
    text = str(Explanation("T1", [row] * number))
    assert DISAGREES.findall(text) == []
    assert ("the winner first" in text) is (number > 1)
