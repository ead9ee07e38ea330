"""The tasks after the survey. Each returns what it wrote, and everything that it counted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import NamedTuple

import polars as pl

from jobs.buckets import Buckets, NumberedRows
from jobs.csv.header import refuse_second_header
from jobs.csv.reader import ReadChunk
from jobs.csv.reject_summary import RejectSummary
from jobs.csv.rejected_file import CHUNK, RejectedRows
from jobs.load.staging import Part
from jobs.rows.duplicates import set_aside, settle_events, settle_ids, split
from jobs.rows.marks import MarkedBucket, mark
from jobs.shards.exchange import Handed, hand_on, read_handed
from jobs.shards.work import Shard, Work, task
from schemas.reports import ReusedIds

_CHUNKS_PER_SHARD = 1 << 20


class BucketOfIds(NamedTuple):
    """A task's bucket of hashes, and into how many marks it is spread."""

    hashes: Sequence[Handed]
    buckets: int
    per_bucket: int


class Validated(NamedTuple):
    """A shard whose rows are validated; the outcome of its contested rows is not known yet."""

    rows: int
    amount: Decimal
    """Of the winners so far."""
    winners: Sequence[Part]
    contested: Handed
    """By event."""
    rejected: Handed
    """By chunk."""
    waiting: Sequence[Part]
    selected_rejected: int


class Bucket(NamedTuple):
    """A task's bucket of contested rows."""

    number: int
    rows: Sequence[Handed]


class SettledBucket(NamedTuple):
    """A bucket of contested rows, each settled within its event."""

    conflicting: Handed
    """By shard."""
    sound: Handed
    """By id: one accepted row for each event."""
    duplicate: int
    waiting: Sequence[Part]
    selected_rejected: int


class WinningBucket(NamedTuple):
    """The winners of a bucket of ids."""

    winners: Sequence[Part]
    amount: Decimal
    duplicate: int
    reused: ReusedIds


class ShardOfRejected(NamedTuple):
    """All rejected rows of a shard: those that its task rejected, and the lines of those that conflict."""

    shard: Shard
    rows: Sequence[Handed]
    conflicting: Sequence[Handed]
    is_written: bool
    """False: they are only summed up."""


class Rejected(NamedTuple):
    """The rejected rows of a shard, written."""

    name: str
    """Of the CSV, below the attempt's prefix; empty where there is no row, or none is written."""
    rows: int
    summary: RejectSummary


def mark_ids(work: Work, bucket: BucketOfIds) -> MarkedBucket:
    """A task: mark the repeated ids of one bucket."""
    with task(work) as (setup, _, _):
        frames = [rows for _, rows in read_handed(bucket.hashes, setup.staging)]
        hashes = pl.concat(frames).to_series() if frames else pl.Series(dtype=pl.UInt64())
        return mark(hashes, bucket.buckets, bucket.per_bucket)


def validate(work: Work, shard: Shard) -> Validated:
    """A task: validate a shard, stage its winners and set its contested rows aside."""
    with task(work) as (setup, folder, word):
        source, stager = setup.fetch(shard.begin, shard.end, folder), setup.stager(folder)
        name = f"{shard.number:05d}-{word}"
        contested = Buckets(folder, "contested", setup.marks.event_bucket)
        rejected = NumberedRows(folder, "rejected")
        rows, selected_rejected, amount = 0, 0, Decimal(0)
        for at, read in enumerate(source.unread_chunks()):
            chunk = read()
            validated = setup.validator.validate(chunk)
            refuse_second_header(validated.rejected, source.layout, source.name)
            divided = split(setup.marks, validated)
            part, number = f"{name}-{at:05d}.parquet", _first_chunk(shard) + at
            rows, amount = (
                rows + chunk.height,
                amount + stager.keep_winners(divided.accepted, setup.validator, f"part-{part}"),
            )
            stager.keep_waiting(divided.waiting, f"waiting-{part}")
            selected_rejected += stager.selected(validated.rejected).height
            contested.add(set_aside(divided.contested, number))
            rejected.add(validated.rejected, number)
        return Validated(
            rows,
            amount,
            stager.winners.parts,
            hand_on(contested, setup.staging, f"contested-{name}.arrow"),
            hand_on(rejected, setup.staging, f"rejected-{name}.arrow"),
            stager.waiting.parts,
            selected_rejected,
        )


def settle_bucket(work: Work, bucket: Bucket) -> SettledBucket:
    """A task: settle the events of one bucket."""
    with task(work) as (setup, folder, word):
        settled = settle_events(lambda: (rows for _, rows in read_handed(bucket.rows, setup.staging)))
        conflicting = Buckets(folder, "conflicting", pl.col(CHUNK) // _CHUNKS_PER_SHARD)
        sound, stager = Buckets(folder, "sound", setup.marks.id_bucket), setup.stager(folder)
        selected_rejected, name = 0, f"{bucket.number:05d}-{word}"
        for at, some in enumerate(settled.rejected):
            conflicting.add(some.conflicting)
            selected_rejected += stager.selected(some.no_longer_accepted).height
            stager.keep_waiting(some.waiting, f"waiting-settled-{name}-{at:05d}.parquet")
        sound.add(settled.sound)
        return SettledBucket(
            hand_on(conflicting, setup.staging, f"conflicting-{name}.arrow"),
            hand_on(sound, setup.staging, f"sound-{name}.arrow"),
            settled.duplicate,
            stager.waiting.parts,
            selected_rejected,
        )


def find_winners(work: Work, bucket: Bucket) -> WinningBucket:
    """A task: stage the winner of each id of one bucket."""
    with task(work) as (setup, folder, word):
        settled = settle_ids(rows for _, rows in read_handed(bucket.rows, setup.staging))
        stager = setup.stager(folder)
        amount = stager.keep_winners(settled.winners, setup.validator, f"winners-{bucket.number:05d}-{word}.parquet")
        return WinningBucket(stager.winners.parts, amount, settled.duplicate, settled.reused)


def write_rejected(work: Work, shard: ShardOfRejected) -> Rejected:
    """A task: write the rejected rows of a shard in the order of the file."""
    with task(work) as (setup, folder, word):

        def chunks() -> Iterator[ReadChunk]:
            yield from setup.fetch(shard.shard.begin, shard.shard.end, folder).unread_chunks()

        rejected = RejectedRows(work.source.layout, folder, chunks, _first_chunk(shard.shard))
        for chunk, rows in read_handed(shard.rows, setup.staging):
            rejected.add(rows, chunk)
        for _, rows in read_handed(shard.conflicting, setup.staging):
            rejected.add_conflicting(rows)
        name = f"rejected-{shard.shard.number:05d}-{word}.csv" if shard.is_written and rejected.rows else ""
        if name:
            setup.staging.upload_blocks(rejected.blocks(), name, "text/csv; charset=utf-8")
        else:
            rejected.sum_up()
        return Rejected(name, rejected.rows, rejected.summary)


def _first_chunk(shard: Shard) -> int:
    """The number of its first chunk, so that no two chunks of a file have the same."""
    return shard.number * _CHUNKS_PER_SHARD
