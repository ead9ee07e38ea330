"""Every kind of mail, as the reviewed text in docs/mails shows it.

To change a wording, change the text first: write it into docs/mails/NAME.txt and read it
as its recipient.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lambdas.notify.earlier_attempts import EarlierAttempts
from lambdas.notify.mail_context import MailContext
from lambdas.notify.outcome_mail import outcome_mail
from lambdas.runs import Run
from schemas.drops import Drop
from schemas.reports import (
    WAREHOUSE_INCOMPLETE,
    ClassAmount,
    EarlierFile,
    Error,
    RejectedFor,
    RejectSample,
    Report,
    ReusedId,
    ReusedIds,
)
from schemas.usual import LOW, USUAL, Comparison, Measure
from tests.lambdas.reports import failed, succeeded

MAILS = Path(__file__).parents[3] / "docs" / "mails"
DROP = Drop("shop-drops", "transactions/year=2023/month=03/day=21/transactions_2023-03-21.csv", "3sL4kqtJlcpXroDTDmJ")

NO_MAIL_BEFORE = EarlierAttempts(were_mailed=False, last_mail_was_failure=False, deferred={})
FAILURE_BEFORE = EarlierAttempts(were_mailed=True, last_mail_was_failure=True, deferred={})


def context(report: Report | None, *, state: str = "SUCCEEDED", message: str = "", **changes: Any) -> MailContext:
    attempt = changes.pop("attempt", 1)
    return MailContext(
        run=Run("process_transactions", "jr_5f0c", state, message, 60, DROP, attempt),
        drop=DROP,
        attempt=attempt,
        report=report,
        earlier=changes.pop("earlier", NO_MAIL_BEFORE),
        stack="prod",
        region="eu-west-1",
        work_bucket="shop-work",
        job_log_group="/aws-glue/python-jobs/output",
    )


def day(**changes: Any) -> Report:
    """A day of 8,655 rows of which 173 are rejected."""
    report = succeeded(
        DROP,
        counts={
            "rows_read": 8655,
            "inserted": 7610,
            "updated": 402,
            "unchanged": 318,
            "stale": 21,
            "duplicate": 131,
            "rejected": 173,
        },
        rows_read=8655,
        event="load",
        change="101240.50",
        sales_change="98310.00",
        day_sales="98310.00",
        statuses={
            "pending": ClassAmount(-120, "-3020.00"),
            "completed": ClassAmount(7400, "101330.50"),
            "refunded": ClassAmount(41, "2930.00"),
        },
        amount_classes={
            "Small": ClassAmount(5000, "40240.50"),
            "Medium": ClassAmount(1900, "45000.00"),
            "Large": ClassAmount(421, "16000.00"),
        },
        reject_reasons={
            "invalid_quantity": RejectedFor(
                90, [RejectSample(17, values={"transaction_id": "T17", "quantity": "1,5"})]
            ),
            "unknown_product": RejectedFor(60, [RejectSample(40, values={"product_id": "P-0099"})]),
            "malformed_row": RejectedFor(20, [RejectSample(77, fault="5 values for the 6 columns of the header")]),
            "invalid_status": RejectedFor(3, [RejectSample(90, values={"status": "lost"})]),
        },
        rejected_uri=f"s3://shop-work/rejected/year=2023/month=03/day=21/transactions_2023-03-21.{DROP.load_id}.csv",
    )
    return replace(report, **changes)


def clean_day(**changes: Any) -> Report:
    counts = {"rows_read": 8482, "inserted": 8012, "updated": 402, "unchanged": 48, "stale": 0, "duplicate": 20}
    report = day(counts={**counts, "rejected": 0}, rows_read=8482, reject_reasons={}, rejected_uri=None)
    return replace(report, **changes)


def refused(sentence: str, **changes: Any) -> Report:
    return failed(DROP, error=Error(sentence, False, "Refused"), **changes)


AS_USUAL = Comparison(
    rows=Measure(8482, 8510, USUAL),
    rejected_share=Measure(0, 0.013, USUAL),
    change=Measure(101240.5, 99800, USUAL),
    is_alarming=False,
)

NOTHING_CHANGED = clean_day(
    counts={
        "rows_read": 8482,
        "inserted": 0,
        "updated": 0,
        "unchanged": 8462,
        "stale": 0,
        "duplicate": 20,
        "rejected": 0,
    },
    change="0.00",
    sales_change="0.00",
    statuses={},
    amount_classes={},
)
DAY_BEFORE = EarlierFile(
    "transactions/year=2023/month=03/day=20/transactions_2023-03-20.csv", "2023-03-20T06:12:31+00:00"
)

CASES = {
    "an_ordinary_day": context(clean_day(comparison=AS_USUAL)),
    "a_day_with_news": context(day(ignored_columns=["email", "note"], waiting=60, comparison=AS_USUAL)),
    "an_id_is_reused": context(
        clean_day(reused_ids=ReusedIds(2, [ReusedId("R-0017", 2, 4310), ReusedId("R-0018", 3, 4311)], 1, ["R-0001"]))
    ),
    "a_day_that_is_not_as_usual": context(
        clean_day(
            counts={
                "rows_read": 4660,
                "inserted": 4190,
                "updated": 402,
                "unchanged": 48,
                "stale": 0,
                "duplicate": 20,
                "rejected": 0,
            },
            rows_read=4660,
            comparison=Comparison(
                rows=Measure(4660, 9300, LOW),
                rejected_share=Measure(0, 0.013, USUAL),
                change=Measure(101240.5, 204800, LOW),
                is_alarming=True,
            ),
        )
    ),
    "nothing_changed": context(NOTHING_CHANGED),
    "same_content": context(replace(NOTHING_CHANGED, same_content=DAY_BEFORE, day_sales="0.00")),
    "refused_for_rejects": context(
        refused(
            "5,200 of 8,655 rows were rejected, more than the share of 0.5 that is allowed",
            rows_read=8655,
            reject_reasons={
                "invalid_transaction_date": RejectedFor(
                    5200, [RejectSample(2, values={"transaction_date": "21.03.2023"})]
                ),
                "invalid_quantity": RejectedFor(30, [RejectSample(9, values={"quantity": ""})]),
            },
            rejected_uri=day().rejected_uri,
        ),
        state="FAILED",
        message="Command failed with exit code 1",
    ),
    "a_dimension_is_empty": context(
        refused(
            "8,655 of 8,655 rows were rejected, more than the share of 0.5 that is allowed",
            rows_read=8655,
            waiting=8655,
            reject_reasons={"unknown_product": RejectedFor(8655, [RejectSample(2, values={"product_id": "P-0001"})])},
            rejected_uri=day().rejected_uri,
        ),
        state="FAILED",
        message="Command failed with exit code 1",
    ),
    "the_file_is_refused": context(
        refused(
            "transactions_2023-03-21.csv, line 3: the byte 0xe9 is not UTF-8 (invalid continuation byte): "
            "save the file as UTF-8, or set `encoding: cp1252` in the source's settings"
        ),
        state="FAILED",
        message="Command failed with exit code 1",
    ),
    "the_warehouse_failed": context(
        failed(
            DROP,
            attempt=3,
            rows_read=8655,
            error=Error(
                "the connection to the warehouse was lost or could not be made: timed out", True, "WarehouseLost"
            ),
        ),
        state="FAILED",
        message="Command failed with exit code 1",
        attempt=3,
        earlier=replace(
            NO_MAIL_BEFORE, deferred={1: "the warehouse did not answer", 2: "the warehouse did not answer"}
        ),
    ),
    "the_warehouse_is_incomplete": context(
        failed(
            DROP,
            rows_read=8655,
            error=Error(
                'the warehouse is incomplete: relation "ledger_amounts" does not exist (42P01); run `pulumi up '
                "--refresh`, which adds what is missing",
                False,
                WAREHOUSE_INCOMPLETE,
            ),
        ),
        state="FAILED",
        message="Command failed with exit code 1",
    ),
    "died_without_a_report": context(
        None,
        state="FAILED",
        message="Command failed with exit code 10",
        attempt=3,
        earlier=replace(
            NO_MAIL_BEFORE,
            deferred={1: "the run ended as FAILED before it could report", 2: "the warehouse did not answer"},
        ),
    ),
    "settled_after_a_failure": context(clean_day(attempt=2), attempt=2, earlier=FAILURE_BEFORE),
    "orphans_flowed_in": context(
        clean_day(
            attempt=2,
            event="flow_in",
            rows_read=0,
            counts={
                "rows_read": 0,
                "inserted": 58,
                "updated": 0,
                "unchanged": 0,
                "stale": 2,
                "duplicate": 0,
                "rejected": -60,
            },
            change="812.30",
            sales_change="812.30",
            statuses={"completed": ClassAmount(58, "812.30")},
            amount_classes={"Small": ClassAmount(58, "812.30")},
        ),
        attempt=2,
    ),
    "retraction": context(
        clean_day(
            attempt=3,
            event="retract",
            rows_read=0,
            counts=dict.fromkeys(clean_day().counts or {}, 0),
            removed=8012,
            restored=402,
            change="-101240.50",
            sales_change="-98310.00",
            day_sales="0.00",
            statuses={"completed": ClassAmount(-7400, "-101240.50")},
            amount_classes={},
        ),
        attempt=3,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_mail_reads_as_reviewed(name: str) -> None:
    mail = outcome_mail(CASES[name])
    assert f"Subject: {mail.subject}\n\n{mail.body}" == (MAILS / f"{name}.txt").read_text(encoding="utf-8")


def test_every_reviewed_mail_is_one_that_is_sent() -> None:
    # Mails about a backfill: tests/cli/backfill/test_backfill_digest.py and test_digests.py.
    assert {path.stem for path in MAILS.glob("*.txt") if not path.stem.startswith("backfill_")} == set(CASES)


@pytest.mark.parametrize("name", CASES)
def test_a_mail_has_under_forty_lines(name: str) -> None:
    assert outcome_mail(CASES[name]).body.count("\n") < 40


@pytest.mark.parametrize("name", CASES)
def test_commands_name_the_stack(name: str) -> None:
    commands = [line for line in outcome_mail(CASES[name]).body.splitlines() if line.startswith("  pipeline ")]
    assert commands
    assert all(command.endswith(f" {DROP.load_id} --stack prod") for command in commands)


@pytest.mark.parametrize(
    ("uploaded_at", "is_to_come"),
    [("2013-03-21T06:00:00+00:00", True), ("2023-03-20T09:59:59Z", True), ("2023-03-20T10:00:00Z", False)],
)
def test_a_day_that_has_begun_nowhere_asks_whether_it_is_right(uploaded_at: str, is_to_come: bool) -> None:
    """A file of 2033 for 2023 would win over all corrections. In UTC+14 the 21st begins at 10:00 UTC on the 20th."""
    mail = outcome_mail(context(clean_day(uploaded_at=uploaded_at)))
    assert ("loaded, of a day to come: " in mail.subject) is is_to_come
    assert ("check the day in the file's key, 2023-03-21" in mail.body) is is_to_come
    assert (f"`pipeline retract {clean_day().load_id} --stack prod`" in mail.body) is is_to_come


def test_a_file_that_is_sent_twice_asks_for_nothing() -> None:
    """The sender repeated the upload of the same day, so no day is missing."""
    same = EarlierFile(DROP.key, "2023-03-22T08:12:00+02:00")
    mail = outcome_mail(context(replace(NOTHING_CHANGED, same_content=same)))
    assert mail.subject == "[prod] 21 Mar: nothing changed (same content as on 22 Mar 06:12)"
    assert "What you need to do: nothing." in mail.body


def test_rejected_rows_leave_the_earlier_file_in_the_subject() -> None:
    counts = {**(NOTHING_CHANGED.counts or {}), "unchanged": 8289, "rejected": 173}
    mail = outcome_mail(context(replace(NOTHING_CHANGED, counts=counts, same_content=DAY_BEFORE)))
    assert mail.subject == "[prod] 21 Mar: nothing changed (same content as on 20 Mar 06:12)"
    assert "  rejected\n" in mail.body


@pytest.mark.parametrize(
    ("counts", "reason"),
    [
        ({"unchanged": 5}, "the warehouse already had all of its rows"),
        ({"unchanged": 3, "stale": 2}, "the warehouse already had all of its rows or later ones"),
        ({"unchanged": 3, "rejected": 2}, "the warehouse already had all of its accepted rows"),
        ({"rejected": 5}, "none of its rows was accepted"),
        ({}, "it has no rows"),
    ],
)
def test_a_mail_says_why_nothing_changed(counts: dict[str, int], reason: str) -> None:
    whole = {**dict.fromkeys(NOTHING_CHANGED.counts or {}, 0), **counts, "rows_read": sum(counts.values())}
    body = outcome_mail(context(replace(NOTHING_CHANGED, counts=whole))).body
    assert f"is loaded and changed nothing: {reason}." in body


def test_an_amount_class_that_did_not_change_is_left_out() -> None:
    classes = {"Small": ClassAmount(2, "0.00"), "Medium": ClassAmount(0, "0.00"), "Large": ClassAmount(1, "1200.00")}
    body = outcome_mail(context(clean_day(amount_classes=classes))).body
    assert "  by amount class: Small 0.00, Large +1,200.00\n" in body


@pytest.mark.parametrize(
    ("sentence", "shown"),
    [
        ("transactions_2023-03-21.csv is empty: it has no header", "it is empty: it has no header"),
        ("transactions_2023-03-21.csv, line 3: the byte is wrong", "line 3: the byte is wrong"),
        ("the disk is full: transactions_2023-03-21.csv takes", "the disk is full: transactions_2023-03-21.csv takes"),
    ],
)
def test_a_failure_does_not_repeat_the_name_of_its_file(sentence: str, shown: str) -> None:
    mail = outcome_mail(context(refused(sentence), state="FAILED"))
    assert mail.subject == f"[prod] 21 Mar NOT loaded: {shown}"[:99]
    assert f"transactions_2023-03-21.csv of 21 Mar 2023 is NOT loaded: {shown}." in mail.body


def test_ignored_columns_are_never_shown() -> None:
    sample = RejectSample(17, values={"quantity": "x"})
    report = day(ignored_columns=["ann@example.com"], reject_reasons={"invalid_quantity": RejectedFor(1, [sample])})
    assert "ann@example" not in outcome_mail(context(report)).body


def test_rejected_rows_of_a_large_load_are_a_folder() -> None:
    folder = f"rejected/year=2023/month=03/day=21/transactions_2023-03-21.{DROP.load_id}/"
    body = outcome_mail(context(day(rejected_uri=f"s3://shop-work/{folder}"))).body
    list_of_files = "https://eu-west-1.console.aws.amazon.com/s3/buckets/shop-work?region=eu-west-1&prefix="
    assert f"  rejected {list_of_files}{folder.replace('=', '%3D')}" in body.splitlines()
    assert "correct the 173 rejected rows in the files of rejected rows and upload those files." in body
