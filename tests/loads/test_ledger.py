"""The ledger and the report of a commit: rows, money, and earlier commits."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from jobs.errors import TerminalError
from schemas.reports import ClassAmount, EarlierFile, Report
from schemas.runs import LOAD, RETRACT
from tests import oracle
from tests.loads.shop import CUSTOMERS, Shop, csv_bytes, key_of
from tests.loads.shop import PRODUCTS as PRODUCT_COLUMNS
from tests.strategies.hostile_content import SOUND_CUSTOMERS

PRODUCTS = {
    "A": oracle.Product("A", "Pen", "Office", Decimal("10"), "S"),
    "B": oracle.Product("B", "Desk", "Office", Decimal("500"), "S"),
}


@pytest.fixture
def office(shop: Shop) -> Shop:
    shop.load_dimension_rows(PRODUCTS, SOUND_CUSTOMERS)
    return shop


def test_the_change_is_what_the_fact_gained_not_what_was_sent(office: Shop) -> None:
    """Three days' mails once added up to more than the table held."""
    office.load("T1,C0,A,2,2023-03-14,pending", "T2,C0,B,1,2023-03-14,pending", day=date(2023, 3, 14))
    later = office.load("T1,C0,A,3,2023-03-15,shipped", "T2,C0,B,9,2023-03-13,pending", "T3,C0,B,1,2023-03-15,refunded")
    assert (later.change, later.sales_change) == ("510.00", "10.00")
    assert later.amount_classes == {
        "Small": ClassAmount(0, "10.00"),
        "Medium": ClassAmount(1, "500.00"),
        "Large": ClassAmount(0, "0.00"),
    }
    assert later.statuses == {
        "pending": ClassAmount(-1, "-20.00"),
        "shipped": ClassAmount(1, "30.00"),
        "refunded": ClassAmount(1, "500.00"),
    }
    assert later.day_sales == "30.00", "the sales of 15 March, without the refunded one"
    assert not later.changed_nothing


def test_a_drop_that_changes_nothing_says_so(office: Shop) -> None:
    office.load("T1,C0,A,2,2023-03-15,pending", name="a.csv")
    again = office.load("T1,C0,A,2,2023-03-15,pending", name="b.csv")
    assert again.changed_nothing
    assert (again.change, again.statuses) == ("0.00", {})


def test_a_dead_load_that_met_a_late_dimension_is_booked_right(office: Shop) -> None:
    """The second attempt accepts a row that the first rejected. The ledger has both, each with its own counts."""
    drop = office.drop("T1,C0,A,1,2023-03-15,pending", "T2,C9,A,1,2023-03-15,pending")
    office.run(drop, 1)
    office.s3.delete_object(Bucket=office.work_bucket, Key=f"reports/{drop.load_id}/1.json")
    customer = oracle.Customer("C9", "J", "D", "", "Gold")
    office.run(office.upload("dimensions/dim_customers.csv", csv_bytes(CUSTOMERS, [customer])))
    report = office.run(drop, 2)
    assert report.counts == counts(rows_read=2, inserted=1, unchanged=1)
    assert report.reject_reasons == {}
    assert report.first_commit == counts(rows_read=2, inserted=1, rejected=1)
    assert (report.first_change, report.change) == ("10.00", "10.00")
    assert [(entry["event"], entry["inserted"]) for entry in office.ledger_entries()] == [("load", 1), ("replay", 1)]
    assert office.waiting() == []
    office.assert_books_balance()


def test_a_replay_that_says_less_gives_back_what_it_had_replaced(office: Shop) -> None:
    """A price that no amount can hold rejects a row that was loaded before."""
    office.load("T1,C0,A,1,2023-03-14,pending", "T2,C0,A,1,2023-03-14,pending", day=date(2023, 3, 14))
    drop = office.drop(
        "T1,C0,B,2147483647,2023-03-15,shipped", "T3,C0,B,2147483647,2023-03-15,shipped", "T4,C0,A,1,2023-03-15,shipped"
    )
    office.run(drop)
    office.max_reject_ratio = "1"
    office.sql("UPDATE dim_products SET price = 99999999999999 WHERE product_id = 'B'")
    report = office.run(drop, 2)
    assert (report.removed, report.restored) == (1, 1)
    assert {key: row["product_id"] for key, row in office.fact().items()} == {"T1": "A", "T2": "A", "T4": "A"}
    office.assert_books_balance()


def test_a_load_taken_back_leaves_the_fact_as_if_it_had_never_been(office: Shop) -> None:
    office.load("T1,C0,A,1,2023-03-14,pending", day=date(2023, 3, 14))
    before = office.comparable_fact()
    drop = office.drop("T1,C0,A,5,2023-03-15,shipped", "T2,C0,B,1,2023-03-15,pending")
    office.run(drop)
    report = office.run(drop, 2, RETRACT)
    assert office.comparable_fact() == before
    assert (report.event, report.removed, report.restored, report.change) == ("retract", 1, 1, "-540.00")
    assert report.counts == counts()
    again = office.run(drop, 3, RETRACT)
    assert again.changed_nothing, "a load is taken back only once"
    office.run(drop, 4, LOAD)
    assert sorted(office.fact()) == ["T1", "T2"]
    office.assert_books_balance()


def test_only_the_newest_upload_of_a_key_counts_in_any_order(office: Shop) -> None:
    office.same_key = "replace"
    noon = datetime(2023, 3, 16, 12, tzinfo=UTC)
    # The older upload has the row whose date would win.
    older = office.drop("T1,C0,A,1,2023-03-15,shipped", "T2,C0,A,1,2023-03-15,pending", uploaded_at=noon)
    newer = office.drop("T1,C0,B,1,2023-03-14,pending", uploaded_at=noon + timedelta(hours=1))
    other = office.drop("T1,C0,A,9,2023-03-13,pending", name="other.csv", uploaded_at=noon)
    for order in ([older, newer, other], [newer, other, older], [other, older, newer]):
        office.clean()
        reports = {drop.load_id: office.run(drop) for drop in order}
        for drop in order:
            office.s3.delete_object(Bucket=office.work_bucket, Key=f"reports/{drop.load_id}/1.json")
        assert {key: row["load_id"] for key, row in office.fact().items()} == {"T1": newer.load_id}
        office.assert_books_balance()
    assert (reports[newer.load_id].removed, reports[newer.load_id].restored) == (1, 1)
    office.run(newer, 2, RETRACT)
    assert {key: row["load_id"] for key, row in office.fact().items()} == {"T1": older.load_id, "T2": older.load_id}
    office.assert_books_balance()


def test_nothing_is_taken_back_that_was_never_loaded(office: Shop) -> None:
    report = office.run(office.drop("T1,C0,A,1,2023-03-15,pending"), 1, RETRACT)
    assert report.changed_nothing
    assert office.ledger_entries() == []


def test_without_a_history_a_load_cannot_be_taken_back(office: Shop) -> None:
    office.keep_history = "false"
    drop = office.drop("T1,C0,A,1,2023-03-15,pending")
    office.run(drop)
    office.run(drop, 2, RETRACT)
    assert isinstance(office.error, TerminalError)
    assert "can be taken back only where keepHistory is true" in str(office.error)
    assert office.history() == []
    assert sorted(office.fact()) == ["T1"]
    office.assert_books_balance()


def counts(**given: int) -> dict[str, int]:
    names = ("rows_read", "inserted", "updated", "unchanged", "stale", "duplicate", "rejected")
    return {name: given.get(name, 0) for name in names}


def test_a_report_of_a_newer_version_is_read_without_what_is_unknown(office: Shop) -> None:
    report = office.load("T1,C0,A,1,2023-03-15,pending")
    text = report.to_json().replace('"event"', '"weather": "fine", "event"', 1)
    assert Report.from_json(text) == report


def test_a_load_that_changes_nothing_names_the_file_with_its_content(office: Shop) -> None:
    rows = ("T1,C0,A,3,2023-03-20,shipped", "T2,C0,B,1,2023-03-20,pending")
    days = date(2023, 3, 20), date(2023, 3, 21), date(2023, 3, 22)
    uploads = [datetime(2023, 3, 20 + day, 6, 12, tzinfo=UTC) for day in range(3)]
    assert office.load(*rows, day=days[0], uploaded_at=uploads[0]).same_content is None
    other_order = office.load(*rows[::-1], day=days[0], name="other.csv", uploaded_at=uploads[0])
    assert (other_order.changed_nothing, other_order.same_content) == (True, None)

    again = office.drop(*rows, day=days[1], uploaded_at=uploads[1])
    assert office.run(again).same_content == EarlierFile(key_of(days[0], "day.csv"), "2023-03-20T06:12:00+00:00")
    assert office.run(again, 2).same_content is None, "a replay has the content of its own file"
    third = office.load(*rows, day=days[2], uploaded_at=uploads[2])
    assert third.same_content == EarlierFile(again.key, "2023-03-21T06:12:00+00:00")


def test_files_without_rows_are_not_called_the_same(office: Shop) -> None:
    assert [office.load(day=date(2023, 3, day)).same_content for day in (19, 20)] == [None, None]


def test_a_file_whose_content_changes_something_names_no_other(office: Shop) -> None:
    """The price has changed since the file was loaded first."""
    rows = ("T1,C0,A,3,2023-03-20,shipped",)
    office.load(*rows, day=date(2023, 3, 20))
    dearer = {**PRODUCTS, "A": oracle.Product("A", "Pen", "Office", Decimal("11"), "S")}
    office.run(office.upload("dimensions/dim_products.csv", csv_bytes(PRODUCT_COLUMNS, dearer.values())))
    again = office.load(*rows, day=date(2023, 3, 21))
    assert (again.changed_nothing, again.same_content) == (False, None)
