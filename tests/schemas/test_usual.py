"""A year of generated sales: no false alarms, and every broken file is seen."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import date, timedelta

import pytest

from mock_data import MockDataArgs
from mock_data.calendar import plan_days
from schemas.usual import HIGH, LOW, NEEDED, Comparison, PastLoad, compare

MONDAY = date(2023, 3, 6)


def loads_of(seed: int, days: int = 540) -> list[PastLoad]:
    """Daily loads of a shop with weekdays, season, campaigns and growth."""
    plan = plan_days(MockDataArgs(start=date(2022, 1, 1), days=days, rows=1_000, seed=seed))
    return [PastLoad(day.date, day.rows, day.faults, day.rows * 31.5) for day in plan]


def usual_weeks(count: int) -> list[PastLoad]:
    return [PastLoad(MONDAY - timedelta(weeks=week), 1_000, 20, 30_000.0) for week in range(1, count + 1)]


def is_seen(comparison: Comparison | None) -> bool:
    return comparison is not None and not comparison.is_usual


@pytest.mark.parametrize("seed", [1, 7, 99])
def test_a_year_of_seasons_has_at_most_one_alarm_a_month(seed: int) -> None:
    loads = loads_of(seed)
    alarms: Counter[tuple[int, int]] = Counter()
    for at, load in enumerate(loads):
        comparison = compare(load, loads[:at])
        if comparison is not None and comparison.is_alarming:
            alarms[load.day.year, load.day.month] += 1
    assert not alarms or max(alarms.values()) <= 1, alarms


@pytest.mark.parametrize(("factor", "verdict"), [(0.0, LOW), (0.5, LOW), (3.0, HIGH)])
def test_a_halved_an_empty_and_a_tripled_file_are_seen(factor: float, verdict: str) -> None:
    loads = loads_of(7)
    seen = looked_at = 0
    for at in range(7 * 9, len(loads)):
        usual = compare(loads[at], loads[:at])
        assert usual is not None
        if not 0.9 < usual.rows.value / usual.rows.usual < 1.1:
            continue  # a campaign or a holiday: half of it may be an ordinary day
        load = replace(loads[at], rows=int(loads[at].rows * factor), change=loads[at].change * factor)
        comparison = compare(load, loads[:at])
        assert comparison is not None
        looked_at += 1
        seen += comparison.rows.verdict == verdict
    assert looked_at > 250
    assert seen == looked_at


def test_a_drop_alarms_once_and_growth_never() -> None:
    past = usual_weeks(8)
    low = PastLoad(MONDAY, 400, 8, 12_000.0)
    first = compare(low, past)
    assert first is not None
    assert first.is_alarming
    tuesdays = [replace(load, day=load.day + timedelta(days=1)) for load in past]
    second = compare(replace(low, day=MONDAY + timedelta(days=1)), [*past, *tuesdays, low])
    assert is_seen(second)
    assert second is not None
    assert not second.is_alarming
    grown = compare(PastLoad(MONDAY, 4_000, 80, 120_000.0), past)
    assert is_seen(grown)
    assert grown is not None
    assert not grown.is_alarming


def test_many_rejects_alarm() -> None:
    comparison = compare(PastLoad(MONDAY, 1_000, 90, 30_000.0), usual_weeks(8))
    assert comparison is not None
    assert (comparison.rejected_share.verdict, comparison.is_alarming) == (HIGH, True)


def test_nothing_is_said_before_five_loads_of_the_weekday() -> None:
    load = PastLoad(MONDAY, 1, 0, 1.0)
    assert compare(load, usual_weeks(NEEDED - 1)) is None
    assert compare(load, usual_weeks(NEEDED)) is not None


def test_later_days_and_the_order_of_loads_do_not_matter() -> None:
    past = usual_weeks(8)
    load = PastLoad(MONDAY, 400, 8, 12_000.0)
    later = [PastLoad(MONDAY + timedelta(weeks=week), 9, 9, 9.0) for week in range(3)]
    assert compare(load, past) == compare(load, [*later, *reversed(past)])
