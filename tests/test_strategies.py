"""That the strategies reach what they are there to reach."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import date, datetime

import pytest
from hypothesis import Phase, given, settings

from tests.file_strategies import drop_lists, drops, s3_keys, stray_keys, write
from tests.hostile_content import (
    HEADER,
    SOUND_LINE,
)
from tests.oracle import Counts, Drop, Warehouse
from tests.oracle_rows import REJECT_REASONS, Customer, Product
from tests.oracle_text import Refused
from tests.strategies import PARTITION_DAYS, dim_customers, dim_products

NOON = datetime(2023, 3, 16, 12)


DIMENSIONS = Drop(bucket="shop", key="dimensions/dim.csv", version_id="d0", uploaded_at=NOON)


@given(drops(hostile=True))
def test_a_drop_lies_in_the_layout_on_one_of_few_days(drop: Drop) -> None:
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
    """Small universes are of use only if nothing of interest is rare in them."""
    outcomes: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    refused: Counter[str] = Counter()

    # Nothing fails, so there is nothing to shrink.
    @settings(derandomize=True, database=None, max_examples=150, phases=[Phase.generate])
    @given(drop_lists(hostile=hostile, min_size=2), dim_products(), dim_customers())
    def count(dropped: list[Drop], products: Mapping[str, Product], customers: Mapping[str, Customer]) -> None:
        made = Warehouse(max_reject_ratio="1")
        made.load_products(DIMENSIONS, list(products.values()))
        made.load_customers(DIMENSIONS, list(customers.values()))
        for drop in dropped:
            try:
                outcomes.update(vars(made.load(drop)))
            except Refused as refusal:
                refused[refusal.kind] += 1
                continue
            reasons.update(reason for verdict in made.validate(drop).rejected for reason in verdict.reasons)

    count()
    due = [reason for reason in REJECT_REASONS if hostile or reason != "malformed_row"]
    assert [name for name in vars(Counts()) if not outcomes[name]] == []
    assert [reason for reason in due if not reasons[reason]] == []
    assert hostile or outcomes["rejected"] < outcomes["rows_read"] / 2
    # A value of several lines that may hide a row.
    assert set(refused) <= {"hidden_row"}
    assert sum(refused.values()) < outcomes["rows_read"] / 50


def test_write_takes_rows_in_the_order_of_the_contract() -> None:
    assert write([SOUND_LINE.split(",")]) == f"{HEADER}\n{SOUND_LINE}\n".encode()
