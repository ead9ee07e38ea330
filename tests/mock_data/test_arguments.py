"""The arguments that the generator accepts and refuses."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mock_data import MockData, MockDataArgs
from mock_data.calendar import plan_days


@given(
    start=st.dates(date(1000, 1, 1), date(9999, 10, 1)),
    days=st.integers(1, 50),
    rows=st.integers(1, 2_000),
    faults=st.sampled_from([0.0, 0.02, 0.5, 0.97, 1.0]) | st.floats(0, 1),
    seed=st.integers(0, 2**63 - 1),
)
def test_all_files_together_have_exactly_the_rows_asked_for(
    start: date, days: int, rows: int, faults: float, seed: int
) -> None:
    plan = plan_days(MockDataArgs(start=start, days=days, rows=rows, faults=faults, seed=seed))
    assert [day.date for day in plan] == [start + timedelta(days=i) for i in range(days)]
    assert sum(day.rows for day in plan) == days * rows
    assert abs(sum(day.faults for day in plan) - faults * days * rows) < 0.5 + 1e-6, "whole, and the share is a float"
    assert all(segment.count > 0 for day in plan for segment in day.segments)


@given(days=st.integers(7, 60), rows=st.integers(500, 100_000))
def test_days_differ_by_the_week_and_not_wildly(days: int, rows: int) -> None:
    lengths = [day.rows for day in plan_days(MockDataArgs(days=days, rows=rows))]
    assert 0.8 * rows < min(lengths) < rows < max(lengths) < 1.35 * rows


@pytest.mark.parametrize("start", [date(1000, 1, 1), date(9999, 12, 28)])
def test_the_first_and_last_years_are_written_as_dates_too(tmp_path: Path, start: date) -> None:
    for _ in MockData(MockDataArgs(start=start, days=3, rows=600, faults=0.2)).write(tmp_path):
        pass
    assert f",{start.isoformat()}T" in next(tmp_path.rglob(f"transactions_{start}.csv")).read_text(encoding="utf-8")
