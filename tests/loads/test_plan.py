"""A plan predicts exactly what the load then does, and changes nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from moto.s3.models import s3_backends

from schemas.reports import Report
from schemas.warehouse.tables import COUNTS
from tests import oracle
from tests.loads.shop import ACCOUNT, FIRST_UPLOAD, PRODUCTS, Shop, csv_bytes, key_of
from tests.strategies.files import render
from tests.strategies.hostile_content import HEADER, SOUND_DAY, SOUND_PRODUCTS
from tests.strategies.rows import (
    PARTITION_DAYS,
    Transaction,
    dim_customers,
    dim_products,
    transactions,
)

TABLES = (
    "fact_transactions",
    "transaction_history",
    "load_ledger",
    "ledger_amounts",
    "waiting_rows",
    "dim_products",
    "dim_customers",
)
NOON = datetime(2023, 3, 16, 12, tzinfo=UTC)
UPLOADS = 10
"""Uploads to one table: so many pairs of a table and a file are tried."""
Upload = tuple[date, str, Sequence[Transaction], datetime]


def empty_buckets(shop: Shop) -> None:
    """Delete every object, so that the comparison before and after each plan stays small."""
    for bucket in (shop.drop_bucket, shop.work_bucket):
        s3_backends[ACCOUNT]["aws"].buckets[bucket].keys.clear()


def everything(shop: Shop) -> object:
    """Everything that a plan could change: all rows of all tables, all versions of all objects in both buckets."""
    rows = {table: sorted(map(repr, shop.sql(f"SELECT * FROM {table}"))) for table in TABLES}
    # Read from moto's own memory: two listings over HTTP take as long as the load.
    stored = [
        (bucket, key, str(getattr(version, "etag", "deleted")))
        for bucket in (shop.drop_bucket, shop.work_bucket)
        for key, versions in s3_backends[ACCOUNT]["aws"].buckets[bucket].keys.lists()
        for version in versions
    ]
    return rows, sorted(stored)


def plan(shop: Shop, key: str, content: bytes, uploaded_at: datetime) -> Report:
    """The job's plan for a file that is not dropped; nothing is changed."""
    before = everything(shop)
    report = shop.plan(key, content, uploaded_at)
    assert everything(shop) == before
    return report


def changed_most(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """Id, amount before and amount after of the ten transactions whose amount changed most."""

    def amount(fact: Mapping[str, Any], key: str) -> Decimal | None:
        return fact[key]["total_amount"] if key in fact else None

    def size(change: tuple[str, Decimal | None, Decimal | None]) -> Decimal:
        return abs((change[2] or Decimal(0)) - (change[1] or Decimal(0)))

    changes = [(key, amount(before, key), amount(after, key)) for key in sorted({*before, *after})]
    return sorted((change for change in changes if size(change)), key=lambda change: (-size(change), change[0]))[:10]


def compare(shop: Shop, key: str, content: bytes, uploaded_at: datetime) -> None:
    """Plan a file, then load it: both have the same result."""
    planned = plan(shop, key, content, uploaded_at)
    before = shop.fact()
    loaded = shop.run(shop.upload(key, content, uploaded_at))
    assert planned.counts == loaded.counts
    assert planned.reject_reasons == loaded.reject_reasons
    assert planned.rejected_uri is None
    if loaded.error is not None:
        assert planned.error is not None
        assert (planned.error.type, planned.error.is_transient) == (loaded.error.type, loaded.error.is_transient)
        assert loaded.error.sentence.startswith(planned.error.sentence)
        return
    entry = shop.ledger()[loaded.load_id]
    assert planned.counts == {name: entry[name] for name in COUNTS}
    assert (planned.removed, planned.restored) == (entry["removed"], entry["restored"])
    assert (planned.change, planned.waiting) == (loaded.change, loaded.waiting)
    assert (planned.amount_classes, planned.statuses) == (loaded.amount_classes, loaded.statuses)
    actual = [
        (
            change.transaction_id,
            None if change.old_amount is None else Decimal(change.old_amount),
            None if change.new_amount is None else Decimal(change.new_amount),
        )
        for change in planned.largest_changes
    ]
    assert actual == changed_most(before, shop.fact())
    assert loaded.largest_changes == []


@st.composite
def some_uploads(draw: st.DrawFn) -> list[Upload]:
    """Uploads in any order, all at different times: a planned file has no load_id yet to break a tie."""
    minutes = draw(st.permutations(range(UPLOADS)))
    uploads = []
    for minute in minutes:
        day = draw(st.sampled_from(PARTITION_DAYS))
        sound, any_row = transactions(partition_day=day, faults=False), transactions(partition_day=day)
        rows = draw(st.lists(st.one_of(sound, sound, sound, any_row), min_size=1, max_size=8))
        uploads.append((day, draw(st.sampled_from(("a.csv", "b.csv"))), rows, NOON + timedelta(minutes=minute)))
    return uploads


# 1,000 pairs in all. Each hundred starts with a new database, so that it stays small.
@pytest.mark.parametrize("pairs", [10, *[pytest.param(100, marks=pytest.mark.slow)] * 10])
def test_a_plan_is_what_the_ledger_says_after_the_load(shop: Shop, pairs: int) -> None:
    # Not shrunk: a pair takes half a second, and any pair is small.
    @settings(settings.default, max_examples=pairs // UPLOADS, phases=(Phase.reuse, Phase.generate))
    @given(dim_products(), dim_customers(), some_uploads(), st.sampled_from(("add", "replace")))
    def check(
        products: Mapping[str, oracle.Product],
        customers: Mapping[str, oracle.Customer],
        uploads: Sequence[Upload],
        same_key: str,
    ) -> None:
        shop.clean(dimensions=True)
        empty_buckets(shop)
        shop.same_key = same_key
        shop.load_dimension_rows(products, customers)
        for day, name, rows, uploaded_at in uploads:
            compare(shop, key_of(day, name), render(rows).content, uploaded_at)
            compared.append(name)

    compared: list[str] = []
    check()
    assert len(compared) >= pairs


def test_a_file_that_would_be_refused_is_said_to_be(sound_shop: Shop) -> None:
    compare(sound_shop, key_of(SOUND_DAY, "empty.csv"), b"", NOON)
    content = b"transaction_id,customer_id,product_id,quantity,transaction_date,status\nT1,C0,P0,x,2023-03-15,sold\n"
    refused = plan(sound_shop, key_of(SOUND_DAY, "day.csv"), content, NOON)
    assert refused.error is not None
    assert "max_reject_ratio allows 50.0%, so nothing was loaded" in refused.error.sentence
    assert list(refused.reject_reasons) == ["invalid_quantity", "invalid_status"]


def test_a_plan_of_rows_that_wait_leaves_none_waiting(sound_shop: Shop) -> None:
    lines = "T1,NOBODY,P0,1,2023-03-15,pending\nT2,NOBODY,P0,1,2023-03-15,pending\n"
    compare(sound_shop, key_of(SOUND_DAY, "day.csv"), f"{HEADER}\n{lines}".encode(), NOON)


def test_a_plan_of_a_dimension_loads_nothing(shop: Shop) -> None:
    shop.load_dimension_rows(SOUND_PRODUCTS, {})
    first, *_ = SOUND_PRODUCTS.values()
    changed = [oracle.Product(first.product_id, "New name", first.category, first.price, first.supplier_id)]
    changed.append(oracle.Product("P99", "New", "New", Decimal(5), "S"))
    content = csv_bytes(PRODUCTS, changed)
    planned = plan(shop, "dimensions/dim_products.csv", content, FIRST_UPLOAD + timedelta(1))
    assert planned.counts is not None
    assert planned.counts | {"rows_read": 2, "inserted": 1, "updated": 1} == planned.counts
