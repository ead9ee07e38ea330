"""Which row the oracle lets win, pinned by examples worked out by hand and by laws."""

from __future__ import annotations

import itertools
import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.oracle.files import read_file
from tests.oracle.rows import Customer, Product, ValidatedFile, resolve_file, validate_file
from tests.oracle.text import Refused
from tests.oracle.warehouse import Counts, Drop, Warehouse
from tests.strategies.files import drop_lists, render
from tests.strategies.hostile_content import (
    HEADER,
    SOUND_CUSTOMERS,
    SOUND_DAY,
    SOUND_PRODUCTS,
)
from tests.strategies.rows import dim_customers, dim_products, transactions

DAY = SOUND_DAY
NOON = datetime(2023, 3, 16, 12)


def validated(content: bytes, *, products: Mapping[str, Product] = SOUND_PRODUCTS) -> ValidatedFile:
    return validate_file(read_file(content), products=products, customers=SOUND_CUSTOMERS, partition_day=DAY)


def drop_of(
    *rows: str,
    day: int = 15,
    name: str = "transactions",
    version_id: str = "v0",
    uploaded_at: datetime = NOON,
) -> Drop:
    return Drop(
        bucket="shop",
        key=f"transactions/year=2023/month=03/day={day:02}/{name}.csv",
        version_id=version_id,
        uploaded_at=uploaded_at,
        content="\n".join([HEADER, *rows]).encode(),
    )


DIMENSIONS = Drop(bucket="shop", key="dimensions/dim.csv", version_id="d0", uploaded_at=NOON)


def warehouse(**options: Any) -> Warehouse:
    made = Warehouse(**options)
    made.load_products(DIMENSIONS, list(SOUND_PRODUCTS.values()))
    made.load_customers(DIMENSIONS, list(SOUND_CUSTOMERS.values()))
    return made


def row(transaction_id: str = "T1", *, at: str = "2023-03-15", status: str = "completed", quantity: int = 1) -> str:
    return f"{transaction_id},C0,P0,{quantity},{at},{status}"


def test_inside_a_file_the_date_decides_then_the_status_then_the_line() -> None:
    rows = (
        row("T1", at="2023-03-14", status="refunded"),
        row("T1", at="2023-03-15", status="pending"),
        row("T2", status="shipped"),
        row("T2", status="Completed"),
        row("T3", quantity=2),
        row("T3", quantity=2),
        row("T4", at="2023-03-15T00:00:00.000001"),
        row("T4", at="2023-03-15T02:00+02:00", status="refunded"),
        row("t1"),
        row("T1", at="never"),
    )
    result = validated(drop_of(*rows).content)
    resolved = resolve_file(result.accepted)
    winners = {key: winner.row.source_line for key, winner in resolved.winners.items()}
    assert winners == {"T1": 3, "T2": 4, "T3": 7, "T4": 8, "t1": 10}
    assert [lost.row.source_line for lost in resolved.duplicates] == [2, 5, 6, 9]


def test_rows_of_one_event_that_are_different_sales_are_all_rejected() -> None:
    rows = (
        row("T1", quantity=1),
        row("T1", quantity=2),
        row("T1", quantity=1),
        row("T1", status="shipped", quantity=3),
        row("T2").replace("C0", "C9"),
        row("T2"),
        row("T3", quantity=0),
        row("T3"),
    )
    result = validated(drop_of(*rows).content)
    assert [(verdict.row.source_line, verdict.reasons) for verdict in result.rejected] == [
        (2, ("conflicting_rows",)),
        (3, ("conflicting_rows",)),
        (4, ("conflicting_rows",)),
        (6, ("unknown_customer", "conflicting_rows")),
        (7, ("conflicting_rows",)),
        (8, ("invalid_quantity",)),
    ]
    assert [verdict.row.source_line for verdict in result.accepted] == [5, 9]


SOONER = datetime(2023, 3, 1)
LATER = [
    (drop_of(row(at="2023-03-14", status="refunded")), drop_of(row(at="2023-03-15", status="pending"), name="b")),
    (drop_of(row(status="completed"), uploaded_at=NOON), drop_of(row(status="shipped"), uploaded_at=SOONER)),
    (drop_of(row(at="2023-03-13"), day=14), drop_of(row(at="2023-03-13"), day=15, uploaded_at=SOONER)),
    (drop_of(row(quantity=9), uploaded_at=SOONER), drop_of(row(quantity=1), version_id="v1")),
]
"""Pairs of an earlier and a later drop; each is decided one step further down the order."""


@pytest.mark.parametrize(("earlier", "later"), LATER)
@pytest.mark.parametrize("arrival", [(0, 1), (1, 0), (0, 1, 0), (1, 0, 1)])
def test_the_later_row_wins_in_any_order_of_arrival(earlier: Drop, later: Drop, arrival: tuple[int, ...]) -> None:
    made = warehouse()
    for at in arrival:
        made.load((earlier, later)[at])
    assert {key: fact_row.load_id for key, fact_row in made.fact.items()} == {"T1": later.load_id}


def test_an_equal_upload_is_decided_by_load_id_then_by_line() -> None:
    first_drop, other = drop_of(row(quantity=1), version_id="v0"), drop_of(row(quantity=2), version_id="v1")
    winner = max(first_drop, other, key=lambda drop: drop.load_id)
    for arrival in ((first_drop, other), (other, first_drop)):
        made = warehouse()
        for drop in arrival:
            made.load(drop)
        assert made.fact["T1"].load_id == winner.load_id


def test_a_load_id_is_the_start_of_the_hash_of_bucket_key_and_version() -> None:
    """By `printf %s 'shop/transactions/year=2023/month=03/day=15/transactions.csv@v0' | sha256sum`."""
    drop = drop_of()
    assert (drop.load_id, drop.uri) == (
        "994b60571cb6b55c",
        "s3://shop/transactions/year=2023/month=03/day=15/transactions.csv",
    )


def test_a_file_with_one_older_and_one_newer_row_leaves_one_row() -> None:
    made = warehouse()
    made.load(drop_of(row(at="2023-03-14"), day=14))
    counts = made.load(drop_of(row(at="2023-03-13"), row(at="2023-03-15", quantity=3), day=15))
    assert counts == Counts(rows_read=2, updated=1, duplicate=1)
    assert made.fact["T1"].business["transaction_date"] == datetime(2023, 3, 15)
    assert (len(made.fact), made.fact["T1"].source_line) == (1, 3)


def test_every_row_of_a_load_ends_in_one_count() -> None:
    made = warehouse()
    made.load(drop_of(row("T1"), row("T2"), row("T3", at="2023-03-15T10:00"), day=15, name="first"))
    second = drop_of(
        row("T1", status="refunded"),
        row("T2", at="2023-03-15T00:00Z"),
        row("T3"),
        row("T4"),
        row("T4", status="pending"),
        row("T5", quantity=0),
        name="second",
        uploaded_at=datetime(2023, 3, 16, 13),
    )
    counts = made.load(second)
    assert counts == Counts(rows_read=6, inserted=1, updated=1, unchanged=1, stale=1, duplicate=1, rejected=1)
    assert counts.balanced
    assert {
        key: (fact_row.source_line, fact_row.last_changed_by, fact_row.last_loaded_by)
        for key, fact_row in made.fact.items()
    } == {
        "T1": (2, 2, 2),
        "T2": (3, 1, 2),  # lineage moves, updated_at does not (10)
        "T3": (4, 1, 1),
        "T4": (5, 2, 2),
    }


def test_a_replay_changes_nothing_unless_a_price_was_fixed() -> None:
    made = warehouse()
    drop = drop_of(row("T1", quantity=3), row("T2"), row("T2"))
    first = made.load(drop)
    before = made.columns()
    assert made.load(drop) == Counts(rows_read=3, unchanged=2, duplicate=1)
    assert made.columns() == before
    assert {fact_row.last_changed_by for fact_row in made.fact.values()} == {1}

    fixed = replace(DIMENSIONS, version_id="d1", uploaded_at=datetime(2023, 3, 17))
    made.load_products(fixed, [replace(SOUND_PRODUCTS["P0"], price=Decimal("0.2"))])
    assert made.columns() == before, "a dimension reaches the fact by a load alone"
    assert made.load(drop) == Counts(rows_read=3, updated=2, duplicate=1)
    assert made.fact["T1"].business["total_amount"] == Decimal("0.60")
    assert {fact_row.last_changed_by for fact_row in made.fact.values()} == {3}
    assert [(entry.counts, entry.committed_by) for entry in made.ledger.values()] == [(first, 1)]


def test_a_replay_after_a_price_fix_leaves_newer_rows_alone() -> None:
    made = warehouse()
    older, newer = drop_of(row(at="2023-03-14"), day=14), drop_of(row(at="2023-03-15"), day=15)
    made.load(older)
    made.load(newer)
    made.load_products(replace(DIMENSIONS, version_id="d1"), [replace(SOUND_PRODUCTS["P0"], price=Decimal(7))])
    before = made.columns()
    assert made.load(older) == Counts(rows_read=1, stale=1)
    assert made.columns() == before


def test_the_later_upload_of_a_dimension_wins_whichever_comes_first() -> None:
    old, new = DIMENSIONS, replace(DIMENSIONS, version_id="d1", uploaded_at=datetime(2023, 3, 17))
    cheap, dear = (replace(SOUND_PRODUCTS["P0"], price=Decimal(price)) for price in (1, 2))
    gold, silver = (replace(SOUND_CUSTOMERS["C0"], membership_level=level) for level in ("Gold", "Silver"))
    for arrival in ((0, 1), (1, 0)):
        made = warehouse()
        for at in arrival:
            made.load_products((old, new)[at], [(cheap, dear)[at]])
            made.load_customers((old, new)[at], [(gold, silver)[at]])
        assert (made.products["P0"], made.customers["C0"]) == (dear, silver)
        assert made.products["P12345"] == SOUND_PRODUCTS["P12345"]


def test_an_orphan_is_rejected_until_its_dimension_row_is_there() -> None:
    made = warehouse(max_reject_ratio="1")
    drop = drop_of(row("T1"), row("T2").replace("P0", "P9"))
    assert made.load(drop) == Counts(rows_read=2, inserted=1, rejected=1)
    made.load_products(DIMENSIONS, [replace(SOUND_PRODUCTS["P0"], product_id="P9")])
    assert made.load(drop) == Counts(rows_read=2, inserted=1, unchanged=1)


def test_more_than_the_ratio_rejected_loads_nothing() -> None:
    half = drop_of(row("T1"), row("T2", quantity=0))
    more = drop_of(row("T1", status="refunded"), row("T2", quantity=0), row("T3", quantity=0), name="more")
    made = warehouse()
    assert made.load(half) == Counts(rows_read=2, inserted=1, rejected=1)
    before = made.columns()
    with pytest.raises(Refused) as refused:
        made.load(more)
    assert refused.value.kind == "too_many_rejected"
    assert (made.columns(), list(made.ledger)) == (before, [half.load_id])
    assert warehouse(max_reject_ratio="0.7").load(more) == Counts(rows_read=3, inserted=1, rejected=2)
    with pytest.raises(Refused):
        warehouse(max_reject_ratio="0").load(half)


def test_a_header_alone_is_an_empty_load_and_a_broken_file_none() -> None:
    made = warehouse(max_reject_ratio="0")
    made.load(drop_of(row("T1")))
    before = made.columns()
    empty = drop_of(name="empty")
    assert made.load(empty) == Counts()
    assert empty.load_id in made.ledger
    broken = replace(drop_of(name="broken"), content=b"")
    with pytest.raises(Refused):
        made.load(broken)
    assert made.columns() == before
    assert broken.load_id not in made.ledger


def test_ids_match_exactly_and_no_other_transaction_changes() -> None:
    made = warehouse()
    made.load(drop_of(row("T1"), row("t1"), row("T9"), row("01"), row("1")))
    assert made.load(drop_of(row(" T1\u00a0", status="shipped"), name="b")) == Counts(rows_read=1, updated=1)
    assert sorted(made.fact) == ["01", "1", "T1", "T9", "t1"]
    assert {key for key, fact_row in made.fact.items() if fact_row.last_changed_by == 2} == {"T1"}


def test_refunded_is_final_for_its_date_only() -> None:
    made = warehouse()
    made.load(drop_of(row(at="2023-03-14", status="refunded"), day=14))
    assert made.load(drop_of(row(at="2023-03-14", status="pending"), day=15)).stale == 1
    assert made.load(drop_of(row(at="2023-03-15", status="pending"), day=15)).updated == 1


def loaded(sequence: Sequence[Drop], products: Mapping[str, Product], customers: Mapping[str, Customer]) -> Warehouse:
    made = Warehouse()
    made.load_products(DIMENSIONS, list(products.values()))
    made.load_customers(DIMENSIONS, list(customers.values()))
    for drop in sequence:
        before, committed = made.columns(), set(made.ledger)
        try:
            counts = made.load(drop)
        except Refused:
            assert (made.columns(), set(made.ledger)) == (before, committed)
            continue
        assert counts.balanced
        assert len(made.fact) == len(before) + counts.inserted
        assert set(made.ledger) == committed | {drop.load_id}
    return made


@given(drop_lists(max_size=3), dim_products(), dim_customers(), st.randoms(use_true_random=False))
def test_any_order_and_any_repetition_give_one_table(
    dropped: list[Drop],
    products: Mapping[str, Product],
    customers: Mapping[str, Customer],
    chance: random.Random,
) -> None:
    expected = loaded(dropped, products, customers)
    for order in itertools.permutations(dropped):
        repeated = [*order, *chance.choices(order, k=2)]
        for sequence in (order, repeated):
            actual = loaded(sequence, products, customers)
            assert actual.columns() == expected.columns()
            assert set(actual.ledger) == set(expected.ledger)


@given(drop_lists(max_size=3), dim_products(), dim_customers())
def test_the_fact_is_the_maximum_of_all_that_was_ever_accepted(
    dropped: list[Drop], products: Mapping[str, Product], customers: Mapping[str, Customer]
) -> None:
    made = loaded(dropped, products, customers)
    seen: dict[str, list[Any]] = {}
    for entry in made.ledger.values():
        for accepted in made.validate(entry.drop).accepted:
            order = (
                accepted.business["transaction_date"],
                accepted.status_rank,
                entry.drop.partition_day,
                entry.drop.uploaded_at,
                entry.drop.load_id,
                accepted.row.source_line,
            )
            seen.setdefault(accepted.transaction_id, []).append((order, accepted.business))
    highest = {key: max(candidates, key=lambda pair: pair[0]) for key, candidates in seen.items()}
    assert {key: (fact_row.precedence, fact_row.business) for key, fact_row in made.fact.items()} == highest


@given(st.lists(transactions(), max_size=8), st.integers(0, 8), dim_products(), dim_customers())
def test_splitting_a_file_gives_the_same_business_rows(
    rows: list[dict[str, str]], place: int, products: Mapping[str, Product], customers: Mapping[str, Customer]
) -> None:
    def business(*parts: list[dict[str, str]]) -> dict[str, Any]:
        made = Warehouse(max_reject_ratio="1")
        made.load_products(DIMENSIONS, list(products.values()))
        made.load_customers(DIMENSIONS, list(customers.values()))
        for at, part in enumerate(parts):
            minute = datetime(2023, 3, 16, 12, at)
            made.load(replace(drop_of(name=str(at), uploaded_at=minute), content=render(part).content))
        return {key: fact_row.business for key, fact_row in made.fact.items()}

    # Rows that contradict each other are rejected only where they are in one file.
    file = read_file(render(rows).content)
    rejected = validate_file(file, products=products, customers=customers, partition_day=DAY).rejected
    contradicted = {
        refused.row.values["transaction_id"] for refused in rejected if "conflicting_rows" in refused.reasons
    }
    whole, split = (
        {key: values for key, values in fact.items() if key not in contradicted}
        for fact in (business(rows), business(rows[:place], rows[place:]))
    )
    assert whole == split
