"""The strategies reach every case that they exist for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from datetime import date, datetime
from random import Random

import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st
from hypothesis.errors import NoSuchExample

from tests.oracle.rows import REJECT_REASONS, Customer, Product
from tests.oracle.text import Refused
from tests.oracle.warehouse import Counts, Drop, Warehouse
from tests.strategies.files import drop_lists, drops, s3_keys, stray_keys, write
from tests.strategies.hostile_content import HEADER, SOUND_LINE
from tests.strategies.rows import PARTITION_DAYS, dim_customers, dim_products

NOON = datetime(2023, 3, 16, 12)
ENOUGH_FOR_SHARES = 200
"""Examples after which a share of rows says something."""
DIMENSIONS = Drop(bucket="shop", key="dimensions/dim.csv", version_id="d0", uploaded_at=NOON)


@given(drops(hostile=True))
def test_a_drop_is_in_the_layout_on_one_of_few_days(drop: Drop) -> None:
    assert drop.partition_day in PARTITION_DAYS
    assert drop.key.endswith(".gz") == drop.content.startswith(b"\x1f\x8b")


@given(s3_keys(partition_day=date(2023, 3, 14)))
def test_nasty_keys_keep_their_day(key: str) -> None:
    drop = Drop(bucket="b", key=key, version_id="v", uploaded_at=NOON)
    assert drop.partition_day == date(2023, 3, 14)


@given(stray_keys)
def test_stray_keys_have_no_day(key: str) -> None:
    with pytest.raises(ValueError, match=r"laid out|day is out of range"):
        _ = Drop(bucket="b", key=key, version_id="v", uploaded_at=NOON).partition_day


@given(drop_lists(hostile=True))
def test_listed_drops_differ_in_identity(dropped: list[Drop]) -> None:
    assert len({drop.load_id for drop in dropped}) == len(dropped)


@pytest.mark.parametrize("hostile", [False, True])
def test_the_strategies_reach_every_outcome_and_every_reason(hostile: bool) -> None:
    """Examples are drawn until each kind was seen: which one comes when differs between interpreters.

    A kind comes about once in 200 examples or more often, so one that 2,000 examples lack is out of reach.
    """
    outcomes: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    refused: Counter[str] = Counter()
    drawn: Counter[str] = Counter()

    def missing() -> list[str]:
        due = [reason for reason in REJECT_REASONS if hostile or reason != "malformed_row"]
        return [name for name in vars(Counts()) if not outcomes[name]] + [name for name in due if not reasons[name]]

    def is_complete(example: tuple[list[Drop], Mapping[str, Product], Mapping[str, Customer]]) -> bool:
        dropped, products, customers = example
        warehouse = Warehouse(max_reject_ratio="1")
        warehouse.load_products(DIMENSIONS, list(products.values()))
        warehouse.load_customers(DIMENSIONS, list(customers.values()))
        for drop in dropped:
            try:
                outcomes.update(vars(warehouse.load(drop)))
            except Refused as refusal:
                refused[refusal.kind] += 1
                continue
            reasons.update(reason for verdict in warehouse.validate(drop).rejected for reason in verdict.reasons)
        drawn["examples"] += 1
        return drawn["examples"] >= ENOUGH_FOR_SHARES and not missing()

    with suppress(NoSuchExample):
        find(
            st.tuples(drop_lists(hostile=hostile, min_size=2), dim_products(), dim_customers()),
            is_complete,
            # The first complete one is enough: there is nothing to shrink.
            settings=settings(database=None, max_examples=2000, phases=[Phase.generate]),
            random=Random(0),
        )
    assert missing() == []
    assert hostile or outcomes["rejected"] < outcomes["rows_read"] * 2 / 3, "most rows are there to be loaded"
    # A value of several lines that may hide a row.
    assert set(refused) <= {"hidden_row"}
    assert sum(refused.values()) < outcomes["rows_read"] / 50


def test_write_takes_rows_in_the_order_of_the_contract() -> None:
    assert write([SOUND_LINE.split(",")]) == f"{HEADER}\n{SOUND_LINE}\n".encode()
