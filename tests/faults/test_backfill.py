"""A backfill: many daily files dropped at once are loaded automatically, in any order."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import pytest

from local.local_cloud import LocalCloud
from schemas.drops import transactions_key
from schemas.warehouse.tables import LOAD_LEDGER
from tests.faults.model import (
    Dropped,
    dropped,
    expected_fact,
    found_fact,
    in_bucket,
    rows_of,
    rows_of_day,
    warehouse_after,
)
from tests.local.local_clouds import started, transactions

pytestmark = pytest.mark.flow

FIRST_DAY = date(2022, 1, 1)
# A waiting drop is delivered again after some seconds. A faster pace would only keep the machine busy.
PACE = 30.0
SAMPLE_FILES = 2
CONFIG = {"sampleDimensions": "true", "jobMaxConcurrentRuns": "3"}


def backfill(cloud: LocalCloud, *, days: int, seed: int) -> list[Dropped]:
    """Drop this number of days in a random order."""
    chance = random.Random(seed)
    files = []
    for number in chance.sample(range(days), k=days):
        day = FIRST_DAY + timedelta(days=number)
        files.append(dropped(cloud, transactions_key(day), transactions(*rows_of_day(chance, day, number))))
    return files


@pytest.mark.parametrize(
    ("days", "seconds"), [(5, 900), pytest.param(400, 6000, marks=pytest.mark.slow)], ids=lambda value: str(value)
)
def test_days_dropped_at_once_drain_without_dead_letters(
    tmp_path: Path, days: int, seconds: float, record_property: Callable[[str, object], None]
) -> None:
    with started(tmp_path, CONFIG, pace=PACE) as cloud:
        cloud.wait_until_idle()
        files = backfill(cloud, days=days, seed=days)
        cloud.wait_until_idle(seconds)
        actual, expected = found_fact(cloud), expected_fact(warehouse_after(files))
        lost = len(set(expected) - set(actual))
        record_property("faults", {"drops": days, "rows": len(expected), "rows lost": lost})
        assert actual == expected
        assert cloud.queue("dead_letter_queue_url").all == 0
        assert in_bucket(cloud, "drop_bucket") == []
        assert {row["load_id"] for row in rows_of(cloud, LOAD_LEDGER)} == {file.drop.load_id for file in files}
        assert len(cloud.runs()) == len(cloud.mails()) == len(files) + SAMPLE_FILES
