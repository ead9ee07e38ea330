"""Operations after a load, with processes killed, connections cut and events lost: the same rows, mails and money."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest

from cli.drops.status import Phase
from local.faults.chaos import JOB_KILLED, Chaos, draw_fault_plan
from local.local_cloud import LocalCloud
from schemas.drops import Drop
from tests.cli.terminals import terminal
from tests.local.local_clouds import mails_about, phase_of, started, transactions, transactions_key
from tests.local.test_nothing_left_behind import (
    CUSTOMERS,
    PRODUCTS,
    amounts,
    check_ledger,
    finish,
    rows_about,
    sale,
    wait_for_the_next_second,
)

pytestmark = [pytest.mark.flow, pytest.mark.slow]


def drop_file(chaos: Chaos, key: str, content: bytes) -> Drop:
    """Upload a file under faults, and wait until all work is done."""
    wait_for_the_next_second()
    chance = random.Random(f"{chaos.seed} {key} {len(chaos.drops)}")
    # Replays and flow-ins are attempts too. Never kill three in a row: after three, only a person can replay.
    killed_at = tuple(point for _ in range(4) for point in (chance.randint(1, 60), 0))
    drop = chaos.put(key, content, replace(draw_fault_plan(chaos.seed, key), killed_at=killed_at, is_corrected=False))
    finish(chaos.cloud)
    return drop


def drop_products(chaos: Chaos, **prices: str) -> None:
    rows = "".join(f"{name},Tea,Things,{price},S1\n" for name, price in prices.items())
    drop_file(chaos, "dimensions/dim_products.csv", (PRODUCTS + rows).encode())


def drop_customer(chaos: Chaos, name: str) -> None:
    drop_file(chaos, "dimensions/dim_customers.csv", f"{CUSTOMERS}{name},Ada,King,{name}@example.com,Gold\n".encode())


def drop_day(chaos: Chaos, day: int, *rows: str) -> Drop:
    return drop_file(chaos, transactions_key(day), transactions(*rows))


def check_end(cloud: LocalCloud, mails: dict[Drop, int]) -> None:
    """The ledger balances, each drop is archived and has this many mails, and no message is left."""
    check_ledger(cloud)
    assert {drop: phase_of(cloud, drop) for drop in mails} == dict.fromkeys(mails, Phase.ARCHIVED)
    assert {drop: len(mails_about(cloud, drop)) for drop in mails} == mails
    assert cloud.queue("dead_letter_queue_url").all == 0


@pytest.mark.parametrize("seed", [1, 2])
def test_prices_late_customers_and_retractions_end_as_in_peace(tmp_path: Path, seed: int) -> None:
    with (
        started(tmp_path, {"sampleDimensions": "true"}) as cloud,
        terminal(cloud, tmp_path / "running.json") as operator,
    ):
        finish(cloud)
        with Chaos(cloud, seed) as chaos:
            drop_products(chaos, PX1="10.00")
            kept = drop_day(chaos, 11, sale("X1", 11, product="PX1"), sale("X2", 11, customer="CX1"), sale("X3", 11))
            taken = drop_day(chaos, 12, sale("X3", 12), sale("X4", 12, customer="CX1"), sale("X5", 12))
            drop_products(chaos, PX1="12.50")
            drop_customer(chaos, "CX1")
            assert amounts(cloud, "X") == {
                "X1": "30.00",
                **dict.fromkeys(("X2", "X3", "X4", "X5"), "89.97"),
            }
            operator.json("replay", kept.load_id)
            finish(cloud)
            operator.json("retract", taken.load_id, "--yes")
            finish(cloud)
            assert chaos.done[JOB_KILLED] > 2
        assert amounts(cloud, "X") == {"X1": "37.50", "X2": "89.97", "X3": "89.97"}
        assert {row["load_id"] for row in rows_about(cloud, "X").values()} == {kept.load_id}
        # Loaded, waiting rows loaded, replayed or taken back.
        check_end(cloud, {kept: 3, taken: 3})


@pytest.mark.parametrize("seed", [1, 2])
def test_a_replaced_day_ends_as_in_peace(tmp_path: Path, seed: int) -> None:
    with started(tmp_path, {"sampleDimensions": "true", "sameKey": "replace"}) as cloud:
        finish(cloud)
        with Chaos(cloud, seed) as chaos:
            first = drop_day(chaos, 1, sale("D1", 1), sale("D2", 1), sale("D3", 1))
            second = drop_day(chaos, 1, sale("D1", 1), sale("D3", 1, quantity=1))
            assert chaos.total > 2
        assert amounts(cloud, "D") == {"D1": "89.97", "D3": "29.99"}
        check_end(cloud, {first: 1, second: 1})
