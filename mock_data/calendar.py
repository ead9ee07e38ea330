"""The number of rows of each day's file, and the orders that they belong to.

Orders are numbered through all days, and orders of one day and one history are consecutive. So
the rows of a file are a few ranges of numbers. They are known before any row is generated, and
no state of single orders is kept from day to day.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np

from mock_data.args import MockDataArgs
from mock_data.order_histories import HISTORIES, ONE_ROW, OrderHistory
from mock_data.rng import bits, random_words

_WEEK = (0.90, 0.88, 0.92, 0.97, 1.12, 1.22, 0.99)
"""Sales by day of the week, from Monday."""

_SEASON = (0.85, 0.85, 0.95, 1.00, 1.00, 0.95, 0.90, 0.90, 1.00, 1.05, 1.20, 1.40)
"""Sales by month, from January."""

_GROWTH = 1.2
"""The sales of a year divided by those of the year before."""

_STEEPEST_FALL = 0.5
"""The smallest ratio of a day's sales to the day before: the file must have room for rows of earlier orders."""

_KNOWN_AT_FIRST = 0.6
"""The share of customers that may order on the first day; the others join day by day."""

_DAY_STREAM = 10

LAST_FILE = max(row.file for history in HISTORIES for row in history.rows)


@dataclass(frozen=True)
class Segment:
    """A range of orders that all have the same row of their history in a file."""

    first: int
    count: int
    history: OrderHistory
    row: int
    """Index into history.rows."""
    born: int
    """The day, counted from 0, on which these orders were placed."""


@dataclass(frozen=True)
class Day:
    """The contents of a day's file: segments of orders, and faulty rows."""

    index: int
    date: date
    segments: tuple[Segment, ...]
    first_fault: int
    """The number of the first faulty row; these numbers follow all orders, so faulty rows have ids of their own."""
    faults: int
    fault_number: int
    """The number of faulty rows of earlier days, because faults take turns through all files."""
    orders_known: int
    """The number of orders up to and including this day."""

    @property
    def has_quotes(self) -> bool:
        """Every third file has variants with quotes."""
        return self.index % 3 == 2

    @property
    def rows(self) -> int:
        return self.faults + sum(segment.count for segment in self.segments)


def plan_days(args: MockDataArgs) -> list[Day]:
    """All days, with exactly days x rows rows."""
    rows, faults = _rows_and_faults(args)
    births: list[dict[OrderHistory, tuple[int, int]]] = []
    plan: list[tuple[list[Segment], int]] = []
    orders = 0
    for day in range(args.days):
        earlier = [
            segment
            for born in range(max(0, day - LAST_FILE), day)
            for segment in _segments(births[born], born=born, file=day - born)
        ]
        room = rows[day] - faults[day] - sum(segment.count for segment in earlier)
        births.append(_births(room, first=orders))
        orders += sum(count for _, count in births[-1].values())
        plan.append((_segments(births[day], born=day, file=0) + earlier, orders))
    faults_before = np.concatenate([[0], np.cumsum(faults)]).tolist()
    return [
        Day(
            index=day,
            date=args.day(day),
            segments=tuple(segments),
            first_fault=orders + faults_before[day],
            faults=faults[day],
            fault_number=faults_before[day],
            orders_known=orders_known,
        )
        for day, (segments, orders_known) in enumerate(plan)
    ]


def _rows_and_faults(args: MockDataArgs) -> tuple[list[int], list[int]]:
    days = np.arange(args.days)
    chance = bits(random_words(args.seed, _DAY_STREAM, days), low=0, count=16) / 2**16
    usual = [_sales_of(args.day(day)) for day in range(args.days)]
    weights = np.array(usual) * _GROWTH ** (days / 365) * (0.97 + 0.06 * chance)
    for day in range(1, args.days):
        weights[day] = max(weights[day], _STEEPEST_FALL * weights[day - 1])
    share = np.cumsum(weights) / np.sum(weights)
    share[-1] = 1.0
    # Rounding the running totals makes every total come out exactly.
    rows = np.floor(share * (args.days * args.rows) + 0.5)
    faults = np.floor(rows * args.faults + 0.5)
    return _steps(rows), _steps(faults)


def _sales_of(day: date) -> float:
    """The sales of a day by weekday, season and campaign; 1 is an average day of spring."""
    return _WEEK[day.weekday()] * _SEASON[day.month - 1] * _campaign(day)


def _campaign(day: date) -> float:
    thanksgiving = 28 - (date(day.year, 11, 28).weekday() - 3) % 7
    black_friday = date(day.year, 11, thanksgiving).toordinal() + 1
    if black_friday <= day.toordinal() <= black_friday + 3:
        return (2.4, 1.7, 1.4, 2.0)[day.toordinal() - black_friday]
    if (day.month, day.day) >= (7, 1) and (day.month, day.day) <= (7, 10):
        return 1.3
    if (day.month, day.day) in ((12, 24), (12, 25), (12, 26), (1, 1)):
        return 0.5
    return 1.0


def known_customers(args: MockDataArgs, born: int) -> int:
    """The number of customers that may order on the born-th day; it grows from day to day."""
    share = _KNOWN_AT_FIRST + (1 - _KNOWN_AT_FIRST) * (born + 1) / args.days
    return max(1, int(args.customers * share))


def _steps(running_totals: np.ndarray) -> list[int]:
    steps: list[int] = np.diff(running_totals, prepend=0.0).astype(np.int64).tolist()
    return steps


def _births(room: int, *, first: int) -> dict[OrderHistory, tuple[int, int]]:
    """History -> first number and count of the new orders, which have `room` rows on their first day."""
    others = [history for history in HISTORIES if history is not ONE_ROW]
    rows_per_order = sum(history.share * history.rows_in_file(0) for history in others)
    rows_per_order += 1.0 - sum(history.share for history in others)
    counts = {history: int(history.share * (room / rows_per_order)) for history in others}
    counts[ONE_ROW] = room - sum(count * history.rows_in_file(0) for history, count in counts.items())
    births = {}
    for history, count in counts.items():
        births[history] = (first, count)
        first += count
    return births


def _segments(births: dict[OrderHistory, tuple[int, int]], *, born: int, file: int) -> list[Segment]:
    return [
        Segment(first, count, history, index, born)
        for history, (first, count) in births.items()
        for index, row in enumerate(history.rows)
        if row.file == file and count
    ]
