"""Concurrent loads, in threads and in processes: the fact is the oracle's in any order."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

import jobs.glue_entry
from tests import oracle
from tests.loads.shop import Shop, counts_of
from tests.oracle.values import STATUSES
from tests.strategies.hostile_content import SOUND_CUSTOMERS, SOUND_PRODUCTS

pytestmark = pytest.mark.flow

LOADS = 6
SEEDS = range(30 if os.environ.get("HYPOTHESIS_PROFILE") == "thorough" else 1)


def overlapping_drops(shop: Shop, seed: int, loads: int) -> list[oracle.Drop]:
    """Drops with rows of the same few transactions. Date, status, day and upload have ties."""
    chance = random.Random(seed)
    return [
        shop.drop(
            *(
                f"T{chance.randrange(12)},C0,{chance.choice(('P0', 'P12345'))},{chance.randint(1, 9)},"
                f"2023-03-{chance.choice((13, 14))},{chance.choice(STATUSES)}"
                for _ in range(20)
            ),
            day=date(2023, 3, chance.choice((14, 15))),
            name=f"{number}.csv",
            uploaded_at=datetime(2023, 3, 16, tzinfo=UTC) + timedelta(minutes=chance.randrange(2)),
        )
        for number in range(loads)
    ]


def model_of(drops: list[oracle.Drop]) -> oracle.Warehouse:
    model = oracle.Warehouse()
    model.load_products(drops[0], list(SOUND_PRODUCTS.values()))
    model.load_customers(drops[0], list(SOUND_CUSTOMERS.values()))
    for drop in drops:
        model.load(drop)
    return model


@pytest.mark.parametrize("seed", SEEDS)
def test_loads_at_once_on_the_same_ids_end_as_the_oracle_ends(sound_shop: Shop, seed: int) -> None:
    drops = overlapping_drops(sound_shop, seed, LOADS)
    # Every drop twice, because events may be delivered twice.
    with ThreadPoolExecutor(LOADS) as pool:
        runs = [pool.submit(sound_shop.run_alone, drop, attempt) for attempt in (1, 2) for drop in drops]
        reports = [run.result() for run in runs]
    assert {report.outcome for report in reports} == {"succeeded"}, [report.error for report in reports]
    model = model_of(drops)
    assert sound_shop.comparable_fact() == model.columns()
    assert sorted(sound_shop.ledger()) == sorted(model.ledger)
    committed = {report.load_id: report.counts for report in reports if report.first_commit is None}
    assert sound_shop.ledger_counts() == committed
    for report in reports:
        rows_read, *ended = (report.counts or {}).values()
        assert rows_read == sum(ended) == 20
    assert sum((report.counts or {})["inserted"] for report in reports) == len(model.fact)


def test_jobs_in_processes_of_their_own_end_as_the_oracle_ends(sound_shop: Shop) -> None:
    """The entry script itself, as Glue runs it, three at once."""
    drops = overlapping_drops(sound_shop, seed=7, loads=3)
    root = Path(jobs.glue_entry.__file__).parents[1]
    running = [
        subprocess.Popen(
            [sys.executable, jobs.glue_entry.__file__, *sound_shop.arguments(drop)],
            env={**os.environ, "PYTHONPATH": str(root)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for drop in drops
    ]
    said = [process.communicate(timeout=300)[0] for process in running]
    assert [process.returncode for process in running] == [0, 0, 0], said
    for drop, lines in zip(drops, said, strict=True):
        assert f"load {drop.load_id} attempt 1: fetch\n" in lines
        assert f"load {drop.load_id} attempt 1: succeeded: 20 rows_read, " in lines
    assert sound_shop.comparable_fact() == model_of(drops).columns()


def test_a_job_that_fails_says_so_by_its_exit_code(sound_shop: Shop) -> None:
    drop = sound_shop.drop(name="empty.csv")
    drop = sound_shop.upload(drop.key, b"")
    root = Path(jobs.glue_entry.__file__).parents[1]
    ended = subprocess.run(
        [sys.executable, jobs.glue_entry.__file__, *sound_shop.arguments(drop)],
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ended.returncode == 1
    assert f"load {drop.load_id} attempt 1: failed: empty.csv is empty: it has no header" in ended.stdout
    assert ended.stderr.strip().splitlines()[-1].startswith("jobs.errors.FileRefused: empty.csv is empty")


def test_a_load_in_order_counts_as_the_oracle_counts(sound_shop: Shop) -> None:
    drops = overlapping_drops(sound_shop, seed=11, loads=4)
    model = oracle.Warehouse()
    model.load_products(drops[0], list(SOUND_PRODUCTS.values()))
    model.load_customers(drops[0], list(SOUND_CUSTOMERS.values()))
    for drop in drops:
        assert counts_of(model.load(drop)) == sound_shop.run(drop).counts
