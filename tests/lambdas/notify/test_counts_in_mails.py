"""A count and its noun agree: `1 row`, `2 rows`."""

from __future__ import annotations

import re
from typing import Any

import pytest

from jobs.page import render_load
from lambdas.notify.outcome_mail import outcome_mail
from schemas.counted import counted
from schemas.reports import Error, RejectedFor, RejectSample, Report
from tests.disagreeing_counts import DISAGREES
from tests.lambdas.notify.test_mails import DROP, context
from tests.lambdas.reports import failed, succeeded


def of_rows(number: int, *, rejected: int = 0, waiting: int = 0, **changes: Any) -> Report:
    counts = dict.fromkeys(("updated", "unchanged", "stale", "duplicate"), 0)
    counts = {"rows_read": number, "inserted": number - rejected, **counts, "rejected": rejected}
    names = ("invalid_quantity", "invalid_status", "unknown_customer", "unknown_product", "missing_transaction_id")
    return succeeded(
        DROP,
        event="load",
        rows_read=number,
        counts=counts,
        waiting=waiting,
        reject_reasons={
            name: RejectedFor(rejected, [RejectSample(2, {})]) for name in names[: 4 if number == 1 else 5]
        },
        ignored_columns=["note"] * number,
        **changes,
    )


def flowed_in(number: int) -> Report:
    report = of_rows(number)
    return succeeded(DROP, event="flow_in", counts={**(report.counts or {}), "rows_read": 0, "rejected": -number})


def retracted(number: int) -> Report:
    counts = dict.fromkeys(of_rows(1).counts or {}, 0)
    return succeeded(DROP, event="retract", counts=counts, removed=number, restored=number)


def unknown(number: int) -> Report:
    reasons = {"unknown_product": RejectedFor(number, [])}
    return failed(DROP, rows_read=number, reject_reasons=reasons, error=Error("too many", False, "TooManyRejected"))


REPORTS = {
    "loaded": of_rows,
    "rejected": lambda number: of_rows(number, rejected=number),
    "waiting": lambda number: of_rows(number, rejected=number, waiting=number, stopped_waiting=number),
    "waiting rows loaded": flowed_in,
    "taken back": retracted,
    "not loaded": unknown,
}
SUBJECTS = {
    ("loaded", 1): "1 row",
    ("loaded", 2): "2 rows",
    ("rejected", 1): "1 of 1 row needs a look (100.0 %)",
    ("rejected", 2): "2 of 2 rows need a look (100.0 %)",
    ("waiting", 1): "1 of 1 row waits for a customer or product",
    ("waiting", 2): "2 of 2 rows wait for a customer or product",
    ("waiting rows loaded", 1): "1 waiting row loaded, +1,234.50",
    ("waiting rows loaded", 2): "2 waiting rows loaded, +1,234.50",
    ("taken back", 1): "1 transaction removed",
    ("taken back", 2): "2 transactions removed",
    ("not loaded", 1): "its only row is unknown",
    ("not loaded", 2): "all 2 rows are unknown",
}


@pytest.mark.parametrize(("kind", "number"), SUBJECTS)
def test_counts_in_a_mail_agree_with_their_nouns(kind: str, number: int) -> None:
    mail = outcome_mail(context(REPORTS[kind](number)))
    said = mail.subject if kind != "not loaded" else mail.body.partition(".\n")[0]
    assert said.endswith(SUBJECTS[kind, number])
    assert DISAGREES.findall(mail.body) == []


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("kind", REPORTS)
def test_counts_on_a_page_agree_with_their_nouns(kind: str, number: int) -> None:
    page = re.sub(r"<[^>]*>", "\n", render_load(REPORTS[kind](number)))
    assert DISAGREES.findall(page) == []


@pytest.mark.parametrize(("number", "text"), [(0, "0 rows"), (1, "1 row"), (2, "2 rows"), (1001, "1,001 rows")])
def test_a_count_and_its_noun(number: int, text: str) -> None:
    assert counted(number, "row") == text


@pytest.mark.parametrize("text", ["1 rows", "has 1 waiting rows in", "2 row", "1,002 x, 12 column"])
def test_a_count_that_disagrees_is_seen(text: str) -> None:
    assert DISAGREES.search(text)
