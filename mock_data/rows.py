"""The bytes of a piece of a day's file, and the contents of its rows.

Numpy assembles plain rows from padded values, and removes the padding of a whole piece at
once. Polars writes the few rows in other variants, which are inserted at their places.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt
import polars as pl

from mock_data.args import MockDataArgs
from mock_data.calendar import Day, Segment, known_customers
from mock_data.dimensions import MEMBERSHIP_LEVELS, SALES_BITS, Customers, Products
from mock_data.order_histories import FIRST, HISTORIES, LAST_SECOND, LATER, MOMENTS, OUTCOMES, REJECTED
from mock_data.rng import Integers, below, bits, quantiles, random_words
from mock_data.row_variants import FAULTS, NUL_STAND_IN, PLAIN, SPELLINGS, VARIANT_INDEX, VARIANTS, Variant
from schemas.sources import CONTRACT_COLUMNS
from schemas.statuses import STATUS_RANK, STATUSES

HEADER = (",".join(CONTRACT_COLUMNS) + "\n").encode()

PIECE_ROWS = 262_144
"""The number of rows that are generated at a time, which bounds the memory for a day of any size."""

_ORDERS, _QUANTITIES, _VARIANTS, _FAULTS, _ORDER_OF_LINES = range(20, 25)

_CLOCK_BITS = 16
_QUANTITY_BITS = 10
_MOST_PIECES = 20

# Sales by hour of the day: the lunch break and the evening.
_HOURS = (1, 1, 1, 1, 1, 2, 4, 6, 8, 10, 12, 14, 15, 12, 11, 11, 12, 14, 17, 20, 19, 14, 8, 3)

# The mean number of pieces beyond the first, by membership level.
_MORE_PIECES = dict(zip(MEMBERSHIP_LEVELS, (0.6, 1.0, 1.7, 2.6)))

_MOST_DAYS_AGO = max(row.days_ago for history in HISTORIES for row in history.rows)

Places = npt.NDArray[np.intp]


@dataclass(frozen=True)
class RowContents:
    """The values of rows as columns: one entry per row, in the order of the lines."""

    number: Integers
    """The number in the transaction_id."""
    customer: Integers
    product: Integers
    quantity: Integers
    event_day: Integers
    """The day of the event, counted from the first file's day."""
    second: Integers
    """The second of the event_day in UTC; values from 86400 on are in the next day."""
    status: Integers
    """The rank of the status."""
    variant: Integers
    """Index into VARIANTS."""


@dataclass(frozen=True)
class Piece:
    """A part of a day's file, with its rows in the order of the lines."""

    text: bytes
    contents: RowContents
    outcome: Integers
    """Index into OUTCOMES, for files that are dropped in day order."""
    wins: npt.NDArray[np.bool_]
    """True for a row that is in the final fact."""
    special: pl.DataFrame
    """The rows not in PLAIN variant: place (their index) and trimmed transaction_id (null for a malformed row)."""

    @property
    def rows(self) -> int:
        return len(self.outcome)

    @property
    def lines(self) -> int:
        return int(_LINES[self.contents.variant].sum())

    def first_lines(self) -> Integers:
        """The physical line on which each row starts, counted from 0 within the piece."""
        lines = _LINES[self.contents.variant]
        start: Integers = np.cumsum(lines) - lines + _BLANK_LINES[self.contents.variant]
        return start

    def transaction_ids(self) -> pl.Series:
        """Every row's id, trimmed; null where the row is malformed."""
        plain = pl.select(_id_text(pl.Series(self.contents.number))).to_series()
        where = np.arange(self.rows)
        where[self.special["place"].to_numpy()] = self.rows + np.arange(self.special.height)
        return pl.concat([plain.rename("transaction_id"), self.special["transaction_id"]]).gather(where)


class RowWriter:
    """Writes the rows of any day; one instance serves all days, because they share its tables."""

    def __init__(self, args: MockDataArgs, *, products: Products, customers: Customers) -> None:
        self._args = args
        self._customer_ids = customers.frame["customer_id"]
        self._product_ids = products.frame["product_id"]
        self._levels = customers.levels
        self._best_sellers = products.best_sellers
        self._clock = _second_of_day()
        self._quantities = np.stack([_pieces_ordered(_MORE_PIECES[level]) for level in MEMBERSHIP_LEVELS])

        self._id_start = _padded([b"T1"])
        self._comma = _padded([b","])
        self._ten_thousands = _padded([b"%04d" % i for i in range(10_000)])
        self._hundreds = _padded([b"%02d" % i for i in range(100)])
        self._customer_values = _padded(_values(self._customer_ids))
        self._product_values = _padded(_values(self._product_ids))
        self._quantity_values = _padded([b"%d," % i for i in range(_MOST_PIECES + 10)])
        self._clock_values = _padded(
            [
                b"T%02d:%02d:%02dZ," % (second // 3600, second // 60 % 60, second % 60)
                for second in range(LAST_SECOND + 1)
            ]
        )
        self._status_values = _padded([status.encode() + b"\n" for status in STATUSES])

    def pieces(self, day: Day) -> Iterator[Piece]:
        """The day's rows, a piece at a time; all rows of one order in a file are in one piece."""
        count = max(1, -(-day.rows // PIECE_ROWS))
        dates = self._date_values(day)
        for index in range(count):
            yield self._piece(day, dates=dates, index=index, count=count)

    def _piece(self, day: Day, *, dates: npt.NDArray[np.void], index: int, count: int) -> Piece:
        part = _Part(day, index=index, count=count)
        shuffle = np.random.default_rng([self._args.seed, _ORDER_OF_LINES, day.index, index])
        order_of_lines = part.order_of_lines(shuffle)
        number, segment = part.numbers[order_of_lines], part.segments[order_of_lines]
        of_segments = _SegmentColumns(day, last_day=self._args.days - 1)
        contents = self._contents(day, of_segments, number=number, segment=segment)
        special = self._special_rows(day, contents)
        return Piece(
            text=_joined(self._plain_rows(day, contents, dates=dates), special),
            contents=contents,
            outcome=of_segments.outcome[segment],
            wins=of_segments.wins[segment],
            special=special.select("place", "transaction_id"),
        )

    def _contents(self, day: Day, of_segments: _SegmentColumns, *, number: Integers, segment: Integers) -> RowContents:
        words = random_words(self._args.seed, _ORDERS, number)
        event_day = of_segments.event_day[segment]
        # The square makes some customers order more often than others.
        share = bits(words, low=16, count=24)
        known = np.array([known_customers(self._args, born) for born in range(self._args.days)])[
            of_segments.born[segment]
        ]
        customer = ((share * share >> 24) * known) >> 24
        quantity_share = bits(random_words(self._args.seed, _QUANTITIES, number), low=0, count=_QUANTITY_BITS)
        contents = RowContents(
            number=number,
            customer=customer,
            product=self._best_sellers[bits(words, low=40, count=SALES_BITS)],
            quantity=self._quantities[self._levels[customer], quantity_share] + of_segments.more[segment],
            event_day=event_day,
            second=self._seconds(
                bits(words, low=0, count=_CLOCK_BITS), of_segments.moment[segment], event_day=event_day
            ),
            status=of_segments.status[segment],
            variant=self._variants(day, of_segments.variant[segment], number=number, row=of_segments.row[segment]),
        )
        self._make_faulty(day, contents, np.flatnonzero(segment == len(day.segments)))
        return contents

    def _seconds(self, share: Integers, moment: Integers, *, event_day: Integers) -> Integers:
        # The second of an order differs from day to day, but is the same in all its rows about one day.
        second: Integers = self._clock[(share + event_day * 40_503) % 2**_CLOCK_BITS]
        for code, kind in enumerate(MOMENTS):
            if kind is not FIRST:
                there = np.flatnonzero(moment == code)
                second[there] = kind.second(second[there])
        return second

    def _variants(self, day: Day, variant: Integers, *, number: Integers, row: Integers) -> Integers:
        """The variants of rows; some of the plain rows get a spelling instead."""
        words = random_words(self._args.seed, _VARIANTS, number * 64 + row)
        chosen = bits(words, low=0, count=32) < self._args.faults * 2**32
        spellings = _SPELLING_VARIANTS[day.has_quotes]
        spelling = spellings[below(len(spellings), bits(words, low=32, count=16), count=16)]
        return np.where(chosen & (variant == VARIANT_INDEX[PLAIN]), spelling, variant)

    def _make_faulty(self, day: Day, contents: RowContents, places: Places) -> None:
        """Give each of the rows at these places, which belong to no order, its fault."""
        since = contents.number[places] - day.first_fault
        words = random_words(self._args.seed, _FAULTS, contents.number[places])
        faults = _FAULT_VARIANTS[day.has_quotes]
        contents.variant[places] = faults[(day.fault_number + since) % len(faults)]
        contents.status[places] = bits(words, low=0, count=16) % len(STATUSES)
        if day.orders_known:
            # Half of them have the id of an existing order and the highest status: if one of them were
            # accepted, the fact would show it. Waiting rows are left out, because two of them might conflict.
            half = (bits(words, low=63, count=1) == 0) & ~_IS_WAITING[contents.variant[places]]
            contents.status[places[half]] = len(STATUSES) - 1
            contents.number[places[half]] = bits(words[half], low=16, count=47) % day.orders_known

    def _special_rows(self, day: Day, contents: RowContents) -> pl.DataFrame:
        """The rows not in PLAIN variant, in order: place, line (bytes) and trimmed transaction_id."""
        places = np.flatnonzero(contents.variant != VARIANT_INDEX[PLAIN])
        since_1970 = (self._args.start - date(1970, 1, 1)).days + contents.event_day[places]
        seconds = since_1970 * (LAST_SECOND + 1) + contents.second[places]
        rows = pl.DataFrame(
            {
                "place": places,
                "variant": contents.variant[places],
                "transaction_id": pl.select(_id_text(pl.Series(contents.number[places]))).to_series(),
                "customer_id": self._customer_ids.gather(contents.customer[places]),
                "product_id": self._product_ids.gather(contents.product[places]),
                "quantity": pl.Series(contents.quantity[places]).cast(pl.String),
                "status": pl.Series(STATUSES, dtype=pl.String).gather(contents.status[places]),
                "instant": pl.Series(seconds * 1_000_000).cast(pl.Datetime("us")),
            }
        ).with_columns(day=pl.lit(day.date), transaction_date=pl.col("instant").dt.strftime("%Y-%m-%dT%H:%M:%SZ"))
        written = [
            group.with_columns(**VARIANTS[variant].columns).select(
                "place",
                line=pl.concat_str(VARIANTS[variant].line, pl.lit("\n")).cast(pl.Binary),
                transaction_id=pl.lit(None, dtype=pl.String)
                if VARIANTS[variant].is_malformed
                else pl.col("transaction_id").str.strip_chars().str.strip_chars("\ufeff"),
            )
            for (variant,), group in rows.partition_by("variant", as_dict=True).items()
        ]
        nothing = pl.DataFrame(schema={"place": pl.Int64, "line": pl.Binary, "transaction_id": pl.String})
        return pl.concat([nothing, *written]).sort("place")

    def _plain_rows(self, day: Day, contents: RowContents, *, dates: npt.NDArray[np.void]) -> npt.NDArray[np.void]:
        """One record per row with its values side by side, each padded with NUL."""
        ago = day.index - contents.event_day
        values = {
            "start": self._id_start,
            "hundreds": self._hundreds[contents.number // 10**8],
            "thousands": self._ten_thousands[contents.number // 10**4 % 10**4],
            "ones": self._ten_thousands[contents.number % 10**4],
            "comma": self._comma,
            "customer": self._customer_values[contents.customer],
            "product": self._product_values[contents.product],
            "quantity": self._quantity_values[contents.quantity],
            "date": dates[ago * (LAST_SECOND + 1) + contents.second % (LAST_SECOND + 1)],
            "status": self._status_values[contents.status],
        }
        records = np.empty(len(contents.number), dtype=[(name, column.dtype) for name, column in values.items()])
        for name, column in values.items():
            records[name] = column
        return records

    def _date_values(self, day: Day) -> npt.NDArray[np.void]:
        """The texts of all seconds of the day and of the earlier days that its rows may be about."""
        days = [self._args.day(day.index - ago) for ago in range(min(day.index, _MOST_DAYS_AGO) + 1)]
        texts = np.empty(
            (len(days), len(self._clock_values)), dtype=[("day", "V10"), ("clock", self._clock_values.dtype)]
        )
        texts["day"] = _padded([row_day.isoformat().encode() for row_day in days])[:, np.newaxis]
        texts["clock"] = self._clock_values
        return texts.reshape(-1).view(f"V{texts.dtype.itemsize}")


class _Part:
    """The index-th of count parts of a day: a slice of each of its segments, and of its faults."""

    def __init__(self, day: Day, *, index: int, count: int) -> None:
        self._slices = [_slice(segment.first, segment.count, index=index, parts=count) for segment in day.segments]
        self._slices.append(_slice(day.first_fault, day.faults, index=index, parts=count))
        self._day_segments = day.segments
        lengths = [len(numbers) for numbers in self._slices]
        self._ends = np.cumsum(lengths).tolist()
        self.numbers = np.concatenate([np.arange(numbers.start, numbers.stop) for numbers in self._slices])
        self.segments = np.repeat(np.arange(len(lengths)), lengths)

    def order_of_lines(self, shuffle: np.random.Generator) -> Places:
        """The place in `numbers` of each line's row: shuffled, but rows of one history keep their order."""
        line = shuffle.permutation(len(self.numbers))
        for rows in self._rows_of_one_history():
            line[rows] = np.sort(line[rows], axis=0)
        order = np.empty_like(line)
        order[line] = np.arange(len(line))
        return order

    def _rows_of_one_history(self) -> Iterator[Places]:
        """The places of rows of orders with several rows in this file: one column per order."""
        same_orders: dict[tuple[int, int], list[int]] = {}
        for position, segment in enumerate(self._day_segments):
            same_orders.setdefault((segment.first, segment.count), []).append(position)
        for positions in same_orders.values():
            if len(positions) > 1:
                yield np.stack([np.arange(self._ends[p] - len(self._slices[p]), self._ends[p]) for p in positions])


def _slice(first: int, count: int, *, index: int, parts: int) -> range:
    return range(first + count * index // parts, first + count * (index + 1) // parts)


class _SegmentColumns:
    """The values that all rows of a segment share, as tables; the last entry is for the faulty rows."""

    def __init__(self, day: Day, *, last_day: int) -> None:
        rows = [segment.history.rows[segment.row] for segment in day.segments]
        self.moment = np.array([MOMENTS.index(row.moment) for row in rows] + [MOMENTS.index(LATER)])
        self.event_day = np.array([day.index - row.days_ago for row in rows] + [day.index])
        self.status = np.array([STATUS_RANK[row.status] for row in rows] + [0])
        self.more = np.array([row.more for row in rows] + [0])
        self.variant = np.array([VARIANT_INDEX[row.variant or PLAIN] for row in rows] + [VARIANT_INDEX[FAULTS[0]]])
        self.outcome = np.array([OUTCOMES.index(row.outcome) for row in rows] + [OUTCOMES.index(REJECTED)])
        self.born = np.array([segment.born for segment in day.segments] + [day.index])
        self.row = np.array([segment.row for segment in day.segments] + [0])
        self.wins = np.array([_wins(segment, last_day=last_day) for segment in day.segments] + [False])


def _wins(segment: Segment, *, last_day: int) -> bool:
    return segment.history.winners(last_day - segment.born)[segment.row]


def _indices(variants: Sequence[Variant], *, has_quotes: bool) -> Integers:
    return np.array([VARIANT_INDEX[variant] for variant in variants if has_quotes or not variant.has_quotes])


# The variants of files without and with quotes.
_SPELLING_VARIANTS = {has_quotes: _indices(SPELLINGS, has_quotes=has_quotes) for has_quotes in (False, True)}
_FAULT_VARIANTS = {has_quotes: _indices(FAULTS, has_quotes=has_quotes) for has_quotes in (False, True)}
_LINES = np.array([1 + variant.blank_lines for variant in VARIANTS])
_BLANK_LINES = np.array([variant.blank_lines for variant in VARIANTS])

_IS_WAITING = np.array([variant.is_waiting for variant in VARIANTS])

_TO_NUL = bytes.maketrans(NUL_STAND_IN.encode(), b"\0")


def _joined(plain: npt.NDArray[np.void], special: pl.DataFrame) -> bytes:
    """The plain rows' bytes with the special lines at their places, and no padding."""
    view, width = plain.view(np.uint8).data, plain.dtype.itemsize
    pieces: list[bytes | memoryview] = []
    done = 0
    for place, line in zip(special["place"].to_list(), special["line"].to_list()):
        pieces += [view[done * width : place * width], line]
        done = place + 1
    pieces.append(view[done * width :])
    return b"".join(pieces).translate(_TO_NUL, b"\0")


def _id_text(number: pl.Expr | pl.Series) -> pl.Expr:
    return pl.concat_str(pl.lit("T"), number + 10**10)


def _values(ids: pl.Series) -> list[bytes]:
    return [text.encode() + b"," for text in ids.to_list()]


def _padded(values: list[bytes]) -> npt.NDArray[np.void]:
    # The void type, because numpy copies its values whole, but bytes letter by letter.
    texts = np.array(values)
    return texts.view(f"V{texts.dtype.itemsize}")


def _second_of_day() -> Integers:
    """A quantile table: uniform bits look up the second at which an order is placed."""
    share = np.concatenate([[0.0], np.cumsum(_HOURS)]) / sum(_HOURS)
    middles = (np.arange(2**_CLOCK_BITS) + 0.5) / 2**_CLOCK_BITS
    table: Integers = np.interp(middles, share, np.arange(25) * 3600.0).astype(np.int64)
    return table


def _pieces_ordered(mean_more: float) -> Integers:
    """A quantile table of the quantity: one piece, and a geometrically distributed number of further pieces."""
    stop = 1.0 / (1.0 + mean_more)
    weights = [0.0] + [stop * (1.0 - stop) ** more for more in range(_MOST_PIECES)]
    return quantiles(weights, count=_QUANTITY_BITS)
