"""Dimensions are upserted by id, and the later upload wins. One bad row fails the whole file."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import permutations
from pathlib import Path

import pytest

import schemas.drops
from jobs.errors import DimensionRefused, FileRefused
from tests import oracle
from tests.loads.shop import CUSTOMERS, PRODUCTS, Shop, csv_bytes

HEADER = ",".join(PRODUCTS)
MONDAY = datetime(2023, 3, 13, 6, tzinfo=UTC)


def products_of(shop: Shop) -> dict[str, tuple[object, ...]]:
    rows = shop.sql(f"SELECT {', '.join(PRODUCTS)} FROM dim_products")
    assert len({row["product_id"] for row in rows}) == len(rows)
    return {row["product_id"]: tuple(row.values())[1:] for row in rows}


def drop(shop: Shop, *lines: str, uploaded_at: datetime = MONDAY, name: str = "dim_products.csv") -> oracle.Drop:
    content = "".join(f"{line}\n" for line in (HEADER, *lines)).encode()
    return shop.upload(f"dimensions/{name}", content, uploaded_at)


def test_the_sample_rows_of_the_contract_load(shop: Shop) -> None:
    samples = Path(schemas.drops.__file__).parent / "samples"
    for name in ("dim_products", "dim_customers"):
        content = (samples / f"{name}.csv").read_bytes()
        report = shop.run(shop.upload(f"dimensions/{name}.csv", content))
        assert report.outcome == "succeeded", report.error
    sold = ("Widget A", "Gadgets", Decimal("29.9900"), "S123")
    assert products_of(shop)["P12345"] == sold
    (row,) = shop.sql(f"SELECT {', '.join(CUSTOMERS)} FROM dim_customers WHERE customer_id = 'C12345'")
    assert tuple(row.values()) == ("C12345", "John", "Doe", "john.doe@example.com", "Gold")


def test_a_dimension_is_upserted_by_id_and_says_so(shop: Shop) -> None:
    first = shop.run(drop(shop, "P1,Widget,Gadgets,1.5,S1", "P2,,,2,"))
    lines = "P2,Gadget,,2,", "P3,,,3,", "P1,Widget,Gadgets,1.5,S1"
    second = shop.run(drop(shop, *lines, uploaded_at=MONDAY + timedelta(1)))
    assert products_of(shop) == {
        "P1": ("Widget", "Gadgets", Decimal("1.5000"), "S1"),
        "P2": ("Gadget", None, Decimal("2.0000"), None),
        "P3": (None, None, Decimal("3.0000"), None),
    }
    zero = dict.fromkeys(first.counts or {}, 0)
    assert first.counts == {**zero, "rows_read": 2, "inserted": 2}
    assert second.counts == {**zero, "rows_read": 3, "inserted": 1, "updated": 1, "unchanged": 1}
    assert (second.kind, second.partition_day, second.rejected_uri) == ("dim_products", None, None)
    assert shop.ledger() == {}, "the ledger has transactions only"
    assert shop.left_staged() == []


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_the_later_upload_wins_whichever_is_loaded_last(shop: Shop, order: tuple[int, ...]) -> None:
    uploads = (MONDAY, MONDAY, MONDAY + timedelta(minutes=1))
    drops = [drop(shop, f"P1,,,{at},", f"P{at + 5},,,{at},", uploaded_at=when) for at, when in enumerate(uploads)]
    reports = {at: shop.run(drops[at]) for at in order}
    assert products_of(shop)["P1"] == (None, None, Decimal(2), None)
    assert len(products_of(shop)) == 4
    if order[0] == 2:
        assert all((reports[at].counts or {})["stale"] == 1 for at in (0, 1))


def test_a_replay_of_a_dimension_changes_nothing(shop: Shop) -> None:
    once = drop(shop, "P1,Widget,Gadgets,1.5,S1")
    shop.run(once)
    before_it = products_of(shop)
    report = shop.run(once, attempt=2)
    assert report.counts is not None
    assert (report.counts["unchanged"], report.counts["rows_read"]) == (1, 1)
    assert products_of(shop) == before_it


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        (
            "P1,,,7,",
            "line 3: product_id 'P1' has rows that differ, and only one of them can be right "
            "(so it is on 1 more row, next on line 4)",
        ),
        ("P2,,,-7,", "line 4: price '-7' is not a decimal number from 0 up with at most 4 decimals"),
        ("P2,,,1e3,", "line 4: price '1e3' is not a decimal number from 0 up with at most 4 decimals"),
        (f"{'x' * 65},,,7,", f"line 4: product_id '{'x' * 65}' is longer than 64 bytes"),
        (",,,7,", "line 4: the row has no product_id"),
        ("P2,,7,", "line 4: the row cannot be read: 4 values under 5 headings"),
    ],
    ids=["duplicate id", "negative price", "price in words of a computer", "too long", "no id", "short row"],
)
def test_one_bad_row_fails_the_load_and_is_named_by_its_line(shop: Shop, line: str, fault: str) -> None:
    shop.run(drop(shop, "P1,,,1,"))
    before_it = products_of(shop)
    report = shop.run(drop(shop, "P9,,,9,", "P1,,,2,", line, uploaded_at=MONDAY + timedelta(1)))
    assert isinstance(shop.error, DimensionRefused)
    assert report.error is not None
    assert (
        report.error.sentence == f"dim_products.csv, {fault}; nothing was loaded, correct the file and upload it again"
    )
    assert report.counts is None
    assert products_of(shop) == before_it
    assert shop.left_staged() == []


def test_a_missing_column_is_named(shop: Shop) -> None:
    shop.run(shop.upload("dimensions/dim_customers_march.csv", b"customer_id,first_name,last_name,membership_level\n"))
    assert isinstance(shop.error, FileRefused)
    assert str(shop.error) == (
        "dim_customers_march.csv, line 1: the header lacks 'email'; its headings are 'customer_id', 'first_name', "
        "'last_name', 'membership_level'; wanted are customer_id, first_name, last_name, email, membership_level, "
        "in any order; fix the header, or name its headings under `customers` in the source's settings, "
        "and upload the file again"
    )


def test_a_packed_dimension_of_many_rows_loads(shop: Shop) -> None:
    many = [oracle.Customer(f"C{at}", "J", 'D "x", y', f"c{at}@example.com", "Gold") for at in range(3_000)]
    content = gzip.compress(csv_bytes(CUSTOMERS, many))
    report = shop.run(shop.upload("dimensions/dim_customers.csv.gz", content))
    assert report.counts is not None
    assert report.counts["inserted"] == 3_000
    assert shop.sql("SELECT COUNT(*) AS rows, COUNT(DISTINCT email) AS mails FROM dim_customers") == [
        {"rows": 3_000, "mails": 3_000}
    ]
