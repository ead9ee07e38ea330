"""Enrichment and money on the real engine."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

from tests import oracle
from tests.loads.shop import CUSTOMERS, PRODUCTS, Shop, csv_bytes
from tests.strategies.hostile_content import SOUND_CUSTOMERS, SOUND_PRODUCTS

SALE = "T1,C0,P0,3,2023-03-15,pending"


def reprice(shop: Shop, price: str, uploaded_at: datetime) -> None:
    product = replace(SOUND_PRODUCTS["P0"], price=Decimal(price))
    content = csv_bytes(PRODUCTS, [product])
    report = shop.run(shop.upload("dimensions/dim_products.csv", content, uploaded_at))
    assert report.outcome == "succeeded", report.error


def test_a_duplicate_dimension_key_is_refused_instead_of_fanning_out(shop: Shop) -> None:
    shop.load_dimension_rows(SOUND_PRODUCTS, SOUND_CUSTOMERS)
    shop.sql("INSERT INTO dim_products SELECT * FROM dim_products WHERE product_id = 'P0'")
    report = shop.run(shop.drop(SALE))
    assert report.error is not None
    assert report.error.sentence == (
        "dim_products has product_id 'P0' more than once (1 such id), so a join would multiply transactions; "
        "delete all rows but one of each id and replay the load"
    )
    assert (shop.fact(), shop.ledger(), shop.left_staged()) == ({}, {}, [])


def test_orphans_are_replayed_once_their_dimension_row_is_there(shop: Shop) -> None:
    shop.load_dimension_rows({}, {})
    shop.max_reject_ratio = "1"
    drop = shop.drop(SALE, "T2,,P0,1,2023-03-15,pending", "T3,C0,,1,2023-03-15,pending")
    report = shop.run(drop)
    assert [line[-2] for line in shop.rejected(report)[1]] == [
        "unknown_customer;unknown_product",
        "missing_customer_id;unknown_product",
        "missing_product_id;unknown_customer",
    ]
    shop.load_dimension_rows(SOUND_PRODUCTS, SOUND_CUSTOMERS)
    report = shop.run(drop, attempt=2)
    assert report.counts is not None
    assert (report.counts["inserted"], report.counts["rejected"]) == (1, 2)
    assert sorted(shop.fact()) == ["T1"]


def test_001_is_not_1(shop: Shop) -> None:
    products = {name: oracle.Product(name, name, "", Decimal(1), "") for name in ("1", "p0")}
    shop.load_dimension_rows(products, SOUND_CUSTOMERS)
    report = shop.load(*(f"{name},C0,{name},1,2023-03-15,pending" for name in ("1", "p0", "001", "P0")))
    assert sorted(shop.fact()) == ["1", "p0"]
    assert report.reject_reasons["unknown_product"].rows == 2


def test_a_price_in_the_file_is_none_of_ours(shop: Shop) -> None:
    shop.load_dimension_rows(SOUND_PRODUCTS, SOUND_CUSTOMERS)
    content = f"price,unit_price,total_amount,{','.join(oracle.SOURCE_COLUMNS)}\n9,9,27,{SALE}\n"
    report = shop.run(shop.upload(shop.drop(SALE).key, content.encode()))
    assert report.ignored_columns == ["price", "unit_price", "total_amount"]
    (row,) = shop.fact().values()
    assert (row["unit_price"], row["total_amount"]) == (Decimal("0.1000"), Decimal("0.30"))


def test_a_load_has_the_price_of_its_time_and_a_replay_a_new_one(shop: Shop) -> None:
    """An unchanged price leaves the row unchanged. A new price updates the row and its updated_at."""
    shop.load_dimension_rows(SOUND_PRODUCTS, SOUND_CUSTOMERS)
    drop = shop.drop(SALE, "T2,C0,P12345,1,2023-03-15,pending")
    seen = []
    for load, price in enumerate(("0.1", "0.1", "0.2"), start=1):
        reprice(shop, price, datetime(2023, 2, load, tzinfo=UTC))
        report = shop.run(drop, attempt=load)
        assert report.counts is not None
        shop.stamp(load)
        amounts = {key: row["total_amount"] for key, row in shop.fact().items()}
        seen.append(([report.counts[name] for name in ("inserted", "updated", "unchanged")], amounts, shop.stamps()))
    other = Decimal("29.99")
    assert seen == [
        ([2, 0, 0], {"T1": Decimal("0.30"), "T2": other}, {"T1": (1, 1), "T2": (1, 1)}),
        ([0, 0, 2], {"T1": Decimal("0.30"), "T2": other}, {"T1": (2, 1), "T2": (2, 1)}),
        ([0, 1, 1], {"T1": Decimal("0.60"), "T2": other}, {"T1": (3, 3), "T2": (3, 1)}),
    ]
    assert len(shop.ledger()) == 1


def test_a_replay_does_not_reprice_what_a_later_drop_has_said(shop: Shop) -> None:
    shop.load_dimension_rows(SOUND_PRODUCTS, SOUND_CUSTOMERS)
    older = shop.drop(SALE)
    shop.run(older)
    shop.load(SALE.replace("pending", "shipped"), name="later.csv")
    reprice(shop, "5", datetime(2023, 2, 1, tzinfo=UTC))
    report = shop.run(older, attempt=2)
    assert report.counts is not None
    assert report.counts["stale"] == 1
    assert [row["total_amount"] for row in shop.fact().values()] == [Decimal("0.30")]


def test_membership_is_as_of_the_load_without_name_or_e_mail(shop: Shop) -> None:
    shop.load_dimension_rows(SOUND_PRODUCTS, SOUND_CUSTOMERS)
    drop = shop.drop(SALE)
    shop.run(drop)
    promoted = replace(SOUND_CUSTOMERS["C0"], membership_level="Platinum")
    shop.run(shop.upload("dimensions/dim_customers.csv", csv_bytes(CUSTOMERS, [promoted])))
    assert [row["membership_level"] for row in shop.fact().values()] == ["Silver"]
    shop.run(drop, attempt=2)
    (row,) = shop.fact().values()
    assert row["membership_level"] == "Platinum"
    assert not {"Jane", "Doe", "jane.doe@example.com"} & set(map(str, row.values()))


def test_half_a_cent_goes_up(shop: Shop) -> None:
    prices = {"A": "1.005", "B": "0.1", "C": "2.675", "D": "0.0049"}
    products = {name: oracle.Product(name, name, "", Decimal(price), "") for name, price in prices.items()}
    shop.load_dimension_rows(products, SOUND_CUSTOMERS)
    shop.load(
        *(f"{name},C0,{name},{quantity},2023-03-15,pending" for name, quantity in zip("ABCD", "1311", strict=True))
    )
    assert {key: str(row["total_amount"]) for key, row in shop.fact().items()} == {
        "A": "1.01",
        "B": "0.30",
        "C": "2.68",
        "D": "0.00",
    }
