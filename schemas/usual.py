"""Comparison of a load's rows, rejects and money with the recent loads of the same weekday.

Robust and simple: the median of the last loads of the same weekday, and bounds around it. Nothing
here changes a load; it serves the mail, the report and the alarms.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from statistics import median, quantiles

COMPARED = 8
"""The number of loads of the same weekday that are compared, the newest first."""
NEEDED = 5
"""With fewer of them there is no comparison."""

LOW, USUAL, HIGH = "low", "usual", "high"

# A halved file is low, a tripled one is high. A season may change by a third from one month to the next.
_LEAST, _MOST = 0.56, 2.6
# Rejects are few, so they are compared by their share: at least two percent, and three times the usual.
_REJECTED_TIMES, _REJECTED_LEAST = 3.0, 0.02


@dataclass(frozen=True)
class PastLoad:
    """The figures of a past load that are compared."""

    day: date
    """The day in the file's key."""
    rows: int
    rejected: int
    change: float
    """The change of the fact table's total amount."""

    @property
    def rejected_share(self) -> float:
        return self.rejected / self.rows if self.rows else 0.0


@dataclass(frozen=True)
class Measure:
    """One figure of a load beside its usual value."""

    value: float
    usual: float
    """The median."""
    verdict: str
    """LOW, USUAL or HIGH."""


@dataclass(frozen=True)
class Comparison:
    rows: Measure
    rejected_share: Measure
    change: Measure
    is_alarming: bool
    """True when rows or money fell, or rejects rose, and the load before was as usual.

    Growth raises no alarm, and a low that lasts alarms once.
    """

    @property
    def is_usual(self) -> bool:
        return {self.rows.verdict, self.rejected_share.verdict, self.change.verdict} == {USUAL}


def compare(load: PastLoad, past: Sequence[PastLoad]) -> Comparison | None:
    """Compare the load with those of earlier days; None if there are too few of the same weekday.

    `past` may hold any loads in any order; loads of the same day and of later days do not count.
    """
    measured = _measure(load, past)
    if measured is None:
        return None
    rows, rejected, change = measured
    fell = LOW in (rows.verdict, change.verdict) or rejected.verdict == HIGH
    return Comparison(rows, rejected, change, fell and not _fell_before(load, past))


def _measure(load: PastLoad, past: Sequence[PastLoad]) -> tuple[Measure, Measure, Measure] | None:
    same = [other for other in past if other.day < load.day and other.day.weekday() == load.day.weekday()]
    same = sorted(same, key=lambda other: other.day, reverse=True)[:COMPARED]
    if len(same) < NEEDED:
        return None
    return (
        _amount(load.rows, [other.rows for other in same]),
        _share(load.rejected_share, [other.rejected_share for other in same]),
        _amount(load.change, [other.change for other in same]),
    )


def _fell_before(load: PastLoad, past: Sequence[PastLoad]) -> bool:
    earlier = [other for other in past if other.day < load.day]
    if not earlier:
        return False
    before = max(earlier, key=lambda other: other.day)
    measured = _measure(before, earlier)
    return measured is not None and (LOW in (measured[0].verdict, measured[2].verdict) or measured[1].verdict == HIGH)


def _amount(value: float, past_values: Sequence[float]) -> Measure:
    usual = float(median(past_values))
    # Where days differ much, only values far outside of their quartiles are high. Half of the usual is always low.
    low, high = _LEAST * usual, max(_MOST * usual, usual + 3 * _spread(past_values))
    # Around zero (a day of corrections only) a ratio says nothing.
    verdict = USUAL if usual <= 0 else LOW if value < low else HIGH if value > high else USUAL
    return Measure(float(value), usual, verdict)


def _share(value: float, past_values: Sequence[float]) -> Measure:
    usual = float(median(past_values))
    high = max(_REJECTED_LEAST, _REJECTED_TIMES * usual, usual + 3 * _spread(past_values))
    return Measure(value, usual, HIGH if value > high else USUAL)


def _spread(values: Sequence[float]) -> float:
    """The distance between the quartiles."""
    lower, _, upper = quantiles(values, n=4, method="inclusive")
    return float(upper - lower)
