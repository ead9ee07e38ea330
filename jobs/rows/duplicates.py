"""Rows of a file that share a transaction_id: which one wins, and which contradict each other.

Sorting ten million rows to find a few that repeat would cost more than all else. So the
ids alone are read first, as 64-bit hashes. Rows whose hash occurs once go straight to the
warehouse. The others (a collision of hashes among them does no harm) are set aside in
buckets and settled exactly, so only ids that do repeat are paid for.

Rows with the same id, transaction_date and status must be the same sale. Where they
differ in what was sold, to whom or for how much, all of them are rejected. That is
decided by the file alone: a row that only waits for its customer or product takes part.
A row is set aside as it was read, without its text: where it conflicts with another, its
line is known, and `RejectedRows` reads it again from the file.

A later row of the same id is an update. Its quantity or price may be a correction, but
another customer or product looks like another sale under a reused id, so that is reported.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Callable, NamedTuple

import polars as pl

from jobs.buckets import Buckets
from jobs.csv.reader import SourceFile
from jobs.csv.reject_summary import without_address
from jobs.csv.rejected_file import CHUNK, CONFLICTING
from jobs.map_ordered import map_ordered
from jobs.room import refuse_without_room
from jobs.rows.ids import IdReader
from jobs.rows.marks import (
    EVENT_HASH,
    HASH,
    ID_HASH,
    Marks,
    bucket_count,
    hash_bucket,
    hashes_of,
    mark,
    marks_per_bucket,
)
from jobs.rows.validation import TOTAL_AMOUNT, ValidationResult
from schemas.rejected_file import REJECT_REASONS_COLUMN, SOURCE_LINE
from schemas.reports import REUSED_SAMPLES, ReusedId, ReusedIds

_HELD_HASHES = 32 * 1024 * 1024

_SAME_EVENT = ("transaction_id", "event_precedence")
_SALE = ("customer_id", "product_id", "quantity", "unit_price")
"""The columns in which rows of the same event must agree."""
_NO_REASONS = pl.lit(None, dtype=pl.String()).alias(REJECT_REASONS_COLUMN)

_SOLD = pl.col("customer_id").hash(seed=1) ^ pl.col("product_id").hash()
_SPANS = {
    "least_sale": _SOLD,
    "most_sale": _SOLD,
    "least_line": pl.col(SOURCE_LINE),
    "most_line": pl.col(SOURCE_LINE),
}
"""Compared over all rows of an id. An update of a sale keeps its customer and product, so a difference shows a reused
id."""

_IS_ACCEPTED = pl.col(REJECT_REASONS_COLUMN).is_null()
"""True for a contested row that is right in itself. The others wait for their customer or product."""
_ACCEPTED_ROWS = "accepted_rows"
_FIRST = "first"
_PLACE = "place"


class Split(NamedTuple):
    """The rows of a chunk, divided by what is known about them."""

    accepted: pl.DataFrame
    """Accepted, and no other row has the id."""
    waiting: pl.DataFrame
    """Only wait for their customer or product, and no other row has the id."""
    contested: pl.DataFrame
    """To be set aside: typed, with the reasons of those that only wait."""


class Settled(NamedTuple):
    """Some contested rows that are not accepted."""

    conflicting: pl.DataFrame
    """CHUNK, SOURCE_LINE and REJECT_REASONS_COLUMN. Without reasons, the row was accepted until now."""
    waiting: pl.DataFrame
    """Still only wait for their customer or product."""

    @property
    def no_longer_accepted(self) -> pl.DataFrame:
        """The conflicting rows that were accepted until now."""
        return self.conflicting.filter(_IS_ACCEPTED)


class SettledEvents(NamedTuple):
    """The contested rows of some events: each is rejected, lost, or the one row of its event."""

    rejected: Iterator[Settled]
    sound: pl.DataFrame
    """One accepted row for each event without a contradiction."""
    duplicate: int
    """Accepted rows that lost to another of the same event."""


class SettledIds(NamedTuple):
    """The rows of some ids: one wins for each."""

    winners: pl.DataFrame
    duplicate: int
    reused: ReusedIds


class DuplicateCandidates:
    """The rows of a file whose transaction_id may occur more than once, settled by one worker."""

    def __init__(self, source: SourceFile, folder: Path, ids: IdReader) -> None:
        """Read the ids of the file; `folder` takes what does not fit into memory."""
        self.duplicate = 0
        """Accepted rows that lost to another row of the file; complete once `winners` is read to its end."""
        self.reused = ReusedIds()
        """Complete at the same time."""
        self._marks = _find(source, folder, ids)
        self._contested = Buckets(folder, "contested", self._marks.event_bucket)
        self._events = Buckets(folder, "events", self._marks.id_bucket)

    def split(self, validated: ValidationResult) -> Split:
        """Divide the rows of a chunk that may be staged into those that are settled and those that are set aside."""
        return split(self._marks, validated)

    def set_aside(self, contested: pl.DataFrame, chunk: int) -> None:
        """Keep contested rows of a chunk, whose number comes back with those that are rejected."""
        self._contested.add(set_aside(contested, chunk))

    def rejected(self) -> Iterator[Settled]:
        """Set-aside rows that are not accepted; to be read before `winners`."""
        numbers = self._contested.numbers()
        of_bucket = (partial(self._contested.batches, number) for number in numbers)
        for number, settled in zip(numbers, map_ordered(settle_events, of_bucket)):
            yield from settled.rejected
            self.duplicate += settled.duplicate
            self._contested.forget(number)
            self._events.add(settled.sound)

    def winners(self) -> Iterator[pl.DataFrame]:
        """One accepted row for each contested id, some ids at a time."""
        for number in self._events.numbers():
            settled = settle_ids(self._events.batches(number))
            self._events.forget(number)
            self.duplicate += settled.duplicate
            self.reused += settled.reused
            yield settled.winners


def _find(source: SourceFile, folder: Path, reader: IdReader) -> Marks:
    """Mark each id that occurs in more than one row, whether accepted or not."""
    buckets = bucket_count(source.end)
    hashes = Buckets(folder, "hashes", hash_bucket(buckets), held_bytes=_HELD_HASHES)
    rows = 0
    for hashed in map_ordered(partial(hashes_of, reader=reader), source.transaction_ids()):
        rows += hashed.height
        hashes.add(hashed)
    per_bucket = marks_per_bucket(rows, buckets)
    of_bucket = (_taken(hashes, number) for number in range(buckets))
    marks = Marks.of((mark(hashed, buckets, per_bucket) for hashed in of_bucket), buckets, per_bucket)
    # Packed, a row that is set aside takes no more than it took in the file.
    needed = source.end * marks.repeating_rows // max(rows, 1)
    refuse_without_room(source.name, marks.repeating_rows, needed, folder)
    return marks


def _taken(hashes: Buckets, bucket: int) -> pl.Series:
    """The hashes of a bucket, which then leaves memory and disk: the disk is for the rows that are set aside."""
    frames = list(hashes.batches(bucket))
    hashes.forget(bucket)
    return pl.concat(frames).to_series() if frames else pl.Series(dtype=pl.UInt64())


def split(marks: Marks, validated: ValidationResult) -> Split:
    """Divide the rows of a chunk that may be staged into those that are settled and those that are set aside."""
    contested, waiting = marks.are_on(validated.typed), marks.are_on(validated.waiting)
    own = contested & validated.is_accepted
    if not own.any() and not waiting.any():
        return Split(validated.accepted, validated.waiting, validated.waiting.clear())
    accepted = validated.typed.filter(own).with_columns(_NO_REASONS)
    return Split(
        validated.typed.filter(validated.is_accepted & ~contested),
        validated.waiting.filter(~waiting),
        pl.concat([accepted, validated.waiting.filter(waiting)]),
    )


def set_aside(contested: pl.DataFrame, chunk: int) -> pl.DataFrame:
    """Contested rows of a chunk as `settle_events` takes them: with its number, and without what can be computed."""
    return contested.drop("total_amount").with_columns(pl.lit(chunk, dtype=pl.Int64).alias(CHUNK))


def settle_events(batches: Callable[[], Iterator[pl.DataFrame]]) -> SettledEvents:
    """Settle one bucket of contested rows; it is read again where rows of it are rejected."""
    events, has_waiting = _events(batches())
    conflicting = events.filter(CONFLICTING).select(_SAME_EVENT)
    sound = events.filter(~pl.col(CONFLICTING) & _IS_ACCEPTED)
    duplicate = int(sound.get_column(_ACCEPTED_ROWS).sum()) - sound.height
    to_reject = batches() if has_waiting or conflicting.height else iter(())
    rejected = (_rejected(batch, conflicting) for batch in to_reject)
    return SettledEvents(rejected, sound.drop(CONFLICTING, REJECT_REASONS_COLUMN, _ACCEPTED_ROWS), duplicate)


def settle_ids(batches: Iterator[pl.DataFrame]) -> SettledIds:
    """The winners among one bucket of rows whose events are settled."""
    standing: pl.DataFrame | None = None
    duplicate = 0
    for batch in batches:
        rows = batch.with_columns(**_SPANS)
        rows = rows if standing is None else pl.concat([standing, rows])
        standing = _standing(rows)
        duplicate += rows.height - standing.height
    assert standing is not None, "a bucket has rows"
    return SettledIds(standing.drop(_SPANS).with_columns(TOTAL_AMOUNT), duplicate, _reused(standing))


def keep_winners(rows: pl.DataFrame) -> pl.DataFrame:
    """The winner of each transaction_id among accepted rows of one drop."""
    # Two filters cost less than a sort, which would move every column of every row.
    for column in ("event_precedence", SOURCE_LINE):
        rows = rows.filter(pl.col(column) == pl.col(column).max().over("transaction_id"))
    return rows


def _standing(rows: pl.DataFrame) -> pl.DataFrame:
    """The winner of each id, with the span of all of the id's rows so far."""
    alone, others = _alone(rows, ID_HASH)
    spans = others.group_by("transaction_id").agg(pl.col("^least_.*$").min(), pl.col("^most_.*$").max())
    winners = keep_winners(others.drop(_SPANS)).join(spans, on="transaction_id")
    return pl.concat([alone, winners.select(alone.columns)])


def _reused(standing: pl.DataFrame) -> ReusedIds:
    reused = standing.filter(pl.col("least_sale") != pl.col("most_sale"))
    first = reused.bottom_k(REUSED_SAMPLES, by="least_line").sort("least_line")
    samples = first.select("transaction_id", "least_line", "most_line").rows()
    return ReusedIds(reused.height, [ReusedId(without_address(id_), *lines) for id_, *lines in samples])


def _events(batches: Iterator[pl.DataFrame]) -> tuple[pl.DataFrame, bool]:
    """(one row for each event, whether some rows only wait): the last accepted row, if any is accepted.

    With it come the number of the event's accepted rows, and whether its rows contradict each other.
    """
    standing: pl.DataFrame | None = None
    has_waiting = False
    for batch in batches:
        has_waiting |= batch.get_column(REJECT_REASONS_COLUMN).null_count() < batch.height
        rows = batch.drop(CHUNK).with_columns(
            _IS_ACCEPTED.cast(pl.Int64).alias(_ACCEPTED_ROWS), pl.lit(False).alias(CONFLICTING)
        )
        standing = _one_of_each_event(rows if standing is None else pl.concat([standing, rows]))
    assert standing is not None, "a bucket has rows"
    return standing, has_waiting


def _one_of_each_event(rows: pl.DataFrame) -> pl.DataFrame:
    alone, others = _alone(rows, EVENT_HASH)
    if others.is_empty():
        return alone
    first = _first_of_each_event(others)
    sale = others.select(_SALE)
    differs = [own.ne_missing(of_first) for own, of_first in zip(sale, sale[first])]
    rows = others.with_columns(
        first.alias(_FIRST),
        pl.any_horizontal(CONFLICTING, *differs).alias(CONFLICTING),
        # Rows that wait come before all accepted ones.
        pl.when(_IS_ACCEPTED).then(SOURCE_LINE).otherwise(-pl.col(SOURCE_LINE)).alias(_PLACE),
    ).with_columns(pl.col(CONFLICTING).any().over(_FIRST), pl.col(_ACCEPTED_ROWS).sum().over(_FIRST))
    last = rows.filter(pl.col(_PLACE) == pl.col(_PLACE).max().over(_FIRST))
    return pl.concat([alone, last.select(alone.columns)])


def _first_of_each_event(rows: pl.DataFrame) -> pl.Series:
    """For each row the number of the first row of its event. Hashes find it, and the values prove it."""
    numbered = rows.select(*_SAME_EVENT, EVENT_HASH.alias(HASH)).with_row_index(_FIRST)
    first = numbered.select(pl.col(_FIRST).first().over(HASH)).to_series()
    events = rows.select(_SAME_EVENT)
    if events.equals(events[first]):
        return first
    return numbered.select(pl.col(_FIRST).first().over(_SAME_EVENT)).to_series()


def _alone(rows: pl.DataFrame, hashed: pl.Expr) -> tuple[pl.DataFrame, pl.DataFrame]:
    """(rows that surely have no other of their kind, the rest): comparing hashes costs less than comparing texts."""
    is_repeated = rows.select(hashed.is_duplicated()).to_series()
    return rows.filter(~is_repeated), rows.filter(is_repeated)


def _may_conflict(rows: pl.DataFrame, conflicting: pl.DataFrame) -> pl.Series:
    """By the hash, which costs less to compare than the texts."""
    hashes = conflicting.select(EVENT_HASH).to_series()
    return rows.select(EVENT_HASH.is_in(hashes.implode())).to_series()


def _rejected(batch: pl.DataFrame, conflicting: pl.DataFrame) -> Settled:
    near = batch.filter(_may_conflict(batch, conflicting))
    in_conflict = near.join(conflicting, on=_SAME_EVENT, how="semi")
    waiting = batch.filter(~_IS_ACCEPTED).join(conflicting, on=_SAME_EVENT, how="anti")
    return Settled(in_conflict.select(CHUNK, SOURCE_LINE, REJECT_REASONS_COLUMN), waiting.drop(CHUNK))
