"""Rows that lack only a dimension row are reported as rejected, and loaded automatically when it arrives."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from jobs import process_transactions
from jobs.attempt import Attempt
from jobs.load.staging import StagedRows
from jobs.s3 import Fetched
from schemas.runs import FLOW_IN, RETRACT
from tests import oracle
from tests.loads.shop import CUSTOMERS, PRODUCTS, Shop, csv_bytes
from tests.loads.test_ledger import counts
from tests.strategies.hostile_content import SOUND_CUSTOMERS, SOUND_PRODUCTS

LINES = (
    "T1,C0,P0,1,2023-03-15,pending",
    "T2,C9,P0,1,2023-03-15,pending",
    "T3,C9,P9,1,2023-03-15,pending",
    "T4,C9,P0,1,2023-03-15,nonsense",
)


def arrive(shop: Shop, *, customer: str | None = None, product: str | None = None) -> list[str]:
    """A dimension row arrives; the load_ids of the drops that waited for it."""
    if customer:
        row = oracle.Customer(customer, "J", "D", "", "Gold")
        drop = shop.upload("dimensions/dim_customers.csv", csv_bytes(CUSTOMERS, [row]))
    else:
        template = next(iter(SOUND_PRODUCTS.values()))
        values = [product, "Widget", "Gadgets", template.price, "S"]
        drop = shop.upload("dimensions/dim_products.csv", csv_bytes(PRODUCTS, [oracle.Product(*values)]))  # type: ignore[arg-type]
    report = shop.run(drop)
    assert report.outcome == "succeeded", report.error
    return [awaited.load_id for awaited in report.awaited_by]


def opened(shop: Shop) -> Shop:
    shop.load_dimension_rows(SOUND_PRODUCTS, SOUND_CUSTOMERS)
    shop.max_reject_ratio = "1"
    return shop


def test_a_row_waits_only_if_nothing_else_is_wrong_with_it(shop: Shop) -> None:
    report = opened(shop).load(*LINES)
    assert (report.waiting, report.counts) == (2, counts(rows_read=4, inserted=1, rejected=3))
    assert [(row["source_line"], row["customer_id"], row["product_id"]) for row in shop.waiting()] == [
        (3, "C9", None),
        (4, "C9", "P9"),
    ]


def test_waiting_rows_flow_in_once_when_all_they_lack_is_there(shop: Shop) -> None:
    drop = opened(shop).drop(*LINES)
    shop.run(drop)
    assert arrive(shop, product="P7") == []
    assert arrive(shop, customer="C9") == [drop.load_id]
    first = shop.run(drop, 2, FLOW_IN)
    assert (first.event, first.waiting, first.counts) == ("flow_in", 1, counts(inserted=1, rejected=-1))
    assert sorted(shop.fact()) == ["T1", "T2"]
    assert sorted(first.reject_reasons) == ["invalid_status", "unknown_product"]
    assert [line[-3] for line in shop.rejected(first)[1]] == ["4", "5"], "the line that is still rejected"
    assert arrive(shop, product="P9") == [drop.load_id]
    second = shop.run(drop, 3, FLOW_IN)
    assert (second.waiting, second.counts) == (0, counts(inserted=1, rejected=-1))
    assert shop.waiting() == []
    assert arrive(shop, product="P9") == [], "no row waits any more"
    again = shop.run(drop, 4, FLOW_IN)
    assert again.changed_nothing
    assert len(shop.ledger_entries()) == 3
    shop.assert_books_balance()


def test_a_row_that_lacks_two_things_waits_for_both(shop: Shop) -> None:
    drop = opened(shop).drop(LINES[2])
    shop.run(drop)
    assert arrive(shop, customer="C9") == []
    assert arrive(shop, product="P9") == [drop.load_id]


def test_a_waiting_row_keeps_its_own_precedence(shop: Shop) -> None:
    older = opened(shop).drop("T1,C9,P0,1,2023-03-14,pending", day=date(2023, 3, 14))
    shop.run(older)
    newer = shop.load("T1,C0,P0,2,2023-03-15,pending")
    assert arrive(shop, customer="C9") == [older.load_id]
    report = shop.run(older, 2, FLOW_IN)
    assert report.counts == counts(stale=1, rejected=-1)
    assert shop.fact()["T1"]["load_id"] == newer.load_id
    shop.assert_books_balance()


def test_after_its_days_a_row_waits_no_more(shop: Shop) -> None:
    drop = opened(shop).drop(*LINES)
    shop.run(drop)
    shop.sql("UPDATE waiting_rows SET since = '2023-01-01'")
    assert arrive(shop, customer="C9") == []
    assert shop.load("T9,C0,P0,1,2023-03-15,pending").stopped_waiting == 2
    assert shop.waiting() == []
    assert shop.run(drop, 2, FLOW_IN).changed_nothing


def test_a_dimension_arriving_while_the_drop_is_read_is_not_missed(shop: Shop) -> None:
    """The load looks the customer up before it arrives, and records the waiting row after it has arrived."""
    drop = opened(shop).drop(*LINES)
    load = shop.stage(drop)
    assert arrive(shop, customer="C9") == []
    with shop.session() as session:
        committed = load(session)
    shop.clean_stage()
    assert [awaited.load_id for awaited in committed.awaited_by] == [drop.load_id]
    shop.run(drop, 2, FLOW_IN)
    assert sorted(shop.fact()) == ["T1", "T2"]
    shop.assert_books_balance()


REFUSED = LINES[:2] + LINES[3:]
"""Two of three rows are rejected, and one of the two waits."""


def test_a_refused_drop_is_awaited_and_then_loaded_as_a_whole(shop: Shop) -> None:
    opened(shop).max_reject_ratio = "0.5"
    drop = shop.drop(*REFUSED)
    refused = shop.run(drop)
    assert (refused.outcome, refused.waiting) == ("failed", 1)
    assert arrive(shop, customer="C8") == []
    assert arrive(shop, customer="C9") == [drop.load_id]
    report = shop.run(drop, 2, FLOW_IN)
    assert (report.event, report.waiting, report.counts) == ("load", 0, counts(rows_read=3, inserted=2, rejected=1))
    assert sorted(shop.fact()) == ["T1", "T2"]
    assert arrive(shop, customer="C9") == [], "no row waits any more"
    assert [entry["event"] for entry in shop.ledger_entries()] == ["load"]
    shop.assert_books_balance()


def test_a_drop_that_no_dimension_can_heal_waits_for_none(shop: Shop) -> None:
    opened(shop).max_reject_ratio = "0.2"
    drop = shop.drop(*REFUSED)
    assert shop.run(drop).waiting == 0
    assert arrive(shop, customer="C9") == []


def test_a_drop_that_stays_refused_waits_for_what_it_still_lacks(shop: Shop) -> None:
    opened(shop).max_reject_ratio = "0.2"
    drop = shop.drop(*LINES[:3])
    assert shop.run(drop).waiting == 2
    assert arrive(shop, customer="C9") == [drop.load_id]
    again = shop.run(drop, 2, FLOW_IN)
    assert (again.outcome, again.waiting) == ("failed", 1)
    assert arrive(shop, customer="C9") == []
    assert arrive(shop, product="P9") == [drop.load_id]
    assert shop.run(drop, 3, FLOW_IN).counts == counts(rows_read=3, inserted=3)


def test_a_refused_drop_does_not_wait_for_a_useless_dimension(shop: Shop) -> None:
    opened(shop).max_reject_ratio = "0.5"
    drop = shop.drop(*REFUSED)
    assert shop.run(drop).waiting == 1
    shop.max_reject_ratio = "0.2"
    assert shop.run(drop, 2).waiting == 0
    assert arrive(shop, customer="C9") == []


def test_a_loaded_drop_that_a_replay_refuses_waits_as_before(shop: Shop) -> None:
    drop = opened(shop).drop(*REFUSED)
    assert shop.run(drop).waiting == 1
    shop.max_reject_ratio = "0.5"
    refused = shop.run(drop, 2)
    assert (refused.outcome, refused.waiting) == ("failed", 0)
    assert arrive(shop, customer="C9") == [drop.load_id]
    assert shop.run(drop, 3, FLOW_IN).counts == counts(inserted=1, rejected=-1)
    shop.assert_books_balance()


def test_a_refused_drop_that_is_taken_back_waits_no_more(shop: Shop) -> None:
    opened(shop).max_reject_ratio = "0.5"
    drop = shop.drop(*REFUSED)
    shop.run(drop)
    assert shop.run(drop, 2, RETRACT).changed_nothing
    assert arrive(shop, customer="C9") == []


def test_a_dimension_arriving_while_a_drop_is_refused_retries_it(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    opened(shop).max_reject_ratio = "0.5"
    drop, other = shop.drop(*REFUSED), replace(shop)
    waits = process_transactions._waits_for_dimensions

    def overtaken(attempt: Attempt, staged: StagedRows) -> bool:
        arrive(other, customer="C9")
        return waits(attempt, staged)

    monkeypatch.setattr(process_transactions, "_waits_for_dimensions", overtaken)
    report = shop.run(drop)
    assert report.error is not None
    assert report.error.is_transient
    assert shop.run(drop, 2).counts == counts(rows_read=3, inserted=2, rejected=1)
    shop.assert_books_balance()


def test_a_file_of_rejected_rows_is_emptied_when_none_is_left(shop: Shop) -> None:
    drop = opened(shop).drop(*LINES[:2])
    first = shop.run(drop)
    arrive(shop, customer="C9")
    assert shop.run(drop, 2, FLOW_IN).rejected_uri is None
    bucket, _, key = (first.rejected_uri or "").removeprefix("s3://").partition("/")
    assert shop.s3.get_object(Bucket=bucket, Key=key)["Body"].read() == b""


def test_rows_loaded_by_another_attempt_are_not_booked_twice(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that was presumed dead is still running."""
    drop = opened(shop).drop(*LINES[:2])
    shop.run(drop)
    arrive(shop, customer="C9")
    fetch, other = Attempt.fetch, replace(shop)

    def overtaken(attempt: Attempt, **how: bool) -> Fetched:
        if attempt.arguments.attempt == 2:
            assert other.run(drop, 3, FLOW_IN).outcome == "succeeded"
        return fetch(attempt, **how)

    monkeypatch.setattr(Attempt, "fetch", overtaken)
    report = shop.run(drop, 2, FLOW_IN)
    assert report.error is not None
    assert report.error.is_transient
    assert "another attempt has loaded waiting rows" in report.error.sentence
    assert [entry["event"] for entry in shop.ledger_entries()] == ["load", "flow_in"]
    shop.assert_books_balance()
