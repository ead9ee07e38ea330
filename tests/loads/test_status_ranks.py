"""Stored ranks follow the order of statuses. A deployment with another order renumbers the rows already loaded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from schemas.sources import DEFAULT
from schemas.warehouse import ddl
from tests import oracle
from tests.loads.shop import Shop
from tests.strategies.hostile_content import SOUND_CUSTOMERS, SOUND_PRODUCTS

WITH_PACKED = ("pending", "processing", "completed", "packed", "shipped", "delivered", "cancelled", "refunded")
COMPLETED_LAST = ("pending", "processing", "shipped", "delivered", "completed", "cancelled", "refunded")
BEFORE_1970 = "UPDATE {} SET event_precedence = event_precedence - {} WHERE transaction_id = 'T6'"


def deploy(shop: Shop, status_ranks: Sequence[str]) -> None:
    """The statements that `pulumi up` sends for a stack with these ranks, run twice."""
    for statement in 2 * ddl.create_tables(status_ranks=status_ranks):
        shop.sql(statement)


def stored_ranks(shop: Shop, table: str) -> dict[str, tuple[int, int]]:
    """status -> (the time in its precedence, its rank), for the rows of a table."""
    rows = shop.sql(f"SELECT * FROM {table}")
    return {row["status"]: divmod(row["event_precedence"], 16) for row in rows}


def test_a_status_in_the_middle_renumbers_the_rows_above_it(shop: Shop) -> None:
    shop.load_dimension_rows(SOUND_PRODUCTS, SOUND_CUSTOMERS)
    shop.load(*(f"T{rank},C0,P0,1,2023-03-15,{status}" for rank, status in enumerate(oracle.STATUSES)))
    for table in ("fact_transactions", "transaction_history"):
        # An event of 1961: its number is negative.
        shop.sql(BEFORE_1970.format(table, 16 * 1_950_000_000_000_000))
    before = stored_ranks(shop, "fact_transactions")
    assert [rank for _, rank in before.values()].count(6) == 1
    deploy(shop, WITH_PACKED)
    for table in ("fact_transactions", "transaction_history"):
        after = {status: (time, WITH_PACKED.index(status)) for status, (time, _) in before.items()}
        assert stored_ranks(shop, table) == after
    deploy(shop, oracle.STATUSES)
    assert stored_ranks(shop, "fact_transactions") == stored_ranks(shop, "transaction_history") == before


def test_rows_of_an_earlier_order_lose_and_win_by_todays_order(shop: Shop) -> None:
    shop.load_dimension_rows(SOUND_PRODUCTS, SOUND_CUSTOMERS)
    shop.load("T1,C0,P0,1,2023-03-15,completed", "T2,C0,P0,1,2023-03-15,shipped")
    deploy(shop, COMPLETED_LAST)
    with_new_order = replace(shop, source=replace(DEFAULT, status_ranks=COMPLETED_LAST))
    report = with_new_order.load("T1,C0,P0,1,2023-03-15,delivered", "T2,C0,P0,1,2023-03-15,delivered", name="later.csv")
    assert report.counts is not None
    assert (report.counts["stale"], report.counts["updated"]) == (1, 1)
    assert {key: row["status"] for key, row in shop.fact().items()} == {"T1": "completed", "T2": "delivered"}


def test_a_status_that_is_not_declared_any_more_keeps_its_number(shop: Shop) -> None:
    shop.load_dimension_rows(SOUND_PRODUCTS, SOUND_CUSTOMERS)
    shop.load("T1,C0,P0,1,2023-03-15,shipped")
    before = stored_ranks(shop, "fact_transactions")
    deploy(shop, [status for status in oracle.STATUSES if status != "shipped"])
    assert stored_ranks(shop, "fact_transactions") == before
