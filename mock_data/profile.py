"""The contents of a generated shop: the shares of its order histories, and of its faults by name."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from mock_data.args import MockDataArgs
from mock_data.calendar import Day, plan_days
from mock_data.row_variants import FAULTS


@dataclass(frozen=True)
class Share:
    """A part of a set of rows or orders."""

    name: str
    count: int
    share: float
    """Its share of the set, from 0 to 1."""


@dataclass(frozen=True)
class Profile:
    """The contents of the shop for a set of arguments; exact, because the generator uses the same counts."""

    rows: int
    orders: tuple[Share, ...]
    """The order histories, the most frequent first."""
    faults: tuple[Share, ...]
    """The faults by name, the most frequent first, as shares of all rows."""


def profile(args: MockDataArgs) -> Profile:
    """The profile of the data that these arguments generate."""
    days = plan_days(args)
    orders = {(segment.first, segment.history.name): segment.count for day in days for segment in day.segments}
    histories: Counter[str] = Counter()
    for (_, name), count in orders.items():
        histories[name] += count
    faults: Counter[str] = Counter()
    for day in days:
        faults.update(_faults_of(day))
    total = args.days * args.rows
    return Profile(total, _shares(histories, sum(histories.values())), _shares(faults, total))


def _faults_of(day: Day) -> Counter[str]:
    """The faults of one day: faults take turns through all files, those with quotes only in files with quotes."""
    names = [fault.name for fault in FAULTS if day.has_quotes or not fault.has_quotes]
    rounds, rest = divmod(day.faults, len(names))
    counted = Counter(dict.fromkeys(names, rounds))
    counted.update(names[(day.fault_number + position) % len(names)] for position in range(rest))
    return counted


def _shares(counted: Counter[str], total: int) -> tuple[Share, ...]:
    return tuple(Share(name, count, count / total if total else 0.0) for name, count in counted.most_common() if count)
