"""Which transaction_ids may occur in more than one row of a file: a Bloom filter with two hash functions.

Ids are read as 64-bit hashes, and hashes are spread over buckets. A bucket is sorted by
itself, so neither the memory nor the time of a row grows with the file. An id whose marks
others have set is taken for repeated as well, which costs time and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import polars as pl

from jobs.rows.ids import IdReader

# At 8 bytes a hash, as much again to sort them and 16 to mark them, a bucket of a file of this size
# stays below 0.3 GB even where rows are as short as rows can be.
_BYTES_PER_BUCKET = 256 * 1024 * 1024

_ROWS_PER_BUCKET = 500_000

# A mark is a bit, and a byte while those of its bucket are set: the most take 16 MiB.
_MARKS_PER_ROW = 16
_MOST_MARKS = 128 * 1024 * 1024

HASH = "hash"
ID_HASH = pl.col("transaction_id").hash()
EVENT_HASH = ID_HASH ^ pl.col("event_precedence").hash()


class MarkedBucket(NamedTuple):
    """The marks of one bucket of hashes."""

    marks: pl.Series
    repeated_ids: int
    repeating_rows: int


@dataclass(frozen=True)
class Marks:
    """The marks of a whole file, and into how many buckets its contested rows are spread."""

    marked: pl.Series
    """A bit for each mark; empty where no id is repeated."""
    buckets: int
    per_bucket: int
    repeated_ids: int
    repeating_rows: int

    @classmethod
    def of(cls, marked: Iterable[MarkedBucket], buckets: int, per_bucket: int) -> Marks:
        """Put the buckets together, in their order."""
        marks: list[pl.Series] = []
        repeated_ids, repeating_rows = 0, 0
        for bucket in marked:
            marks.append(bucket.marks)
            repeated_ids += bucket.repeated_ids
            repeating_rows += bucket.repeating_rows
        whole = pl.concat(marks).rechunk() if repeated_ids else pl.Series(dtype=pl.Boolean())
        return cls(whole, buckets, per_bucket, repeated_ids, repeating_rows)

    # Rows that only share a mark come along: they are few, or the repeating ones are many times as many.
    @property
    def event_bucket(self) -> pl.Expr:
        """The bucket of a contested row: all rows of an event are in one."""
        return _bucket(EVENT_HASH, 1 + 2 * self.repeating_rows // _ROWS_PER_BUCKET)

    @property
    def id_bucket(self) -> pl.Expr:
        """The bucket of a row whose event is settled: all rows of an id are in one."""
        return _bucket(ID_HASH, 1 + 2 * self.repeated_ids // _ROWS_PER_BUCKET)

    def are_on(self, rows: pl.DataFrame) -> pl.Series:
        """True for each of the rows whose transaction_id is marked."""
        if self.marked.is_empty() or rows.is_empty():
            return pl.repeat(False, rows.height, dtype=pl.Boolean(), eager=True)
        hashes = rows.select(ID_HASH).to_series()
        marked = self._at(hashes, _first_place(hashes, self.buckets, self.per_bucket))
        # Few ids have the first mark, so only theirs are looked up once more.
        rest = marked.arg_true()
        hashes = hashes.gather(rest)
        return marked.scatter(rest, self._at(hashes, _second_place(hashes, self.buckets, self.per_bucket)))

    def _at(self, hashes: pl.Series, places: pl.Series) -> pl.Series:
        bucket = hashes % self.buckets * self.per_bucket if self.buckets > 1 else 0
        return self.marked.gather(bucket + places)


def bucket_count(file_bytes: int) -> int:
    """Into how many buckets the hashes of a file are spread."""
    return 1 + file_bytes // _BYTES_PER_BUCKET


def marks_per_bucket(rows: int, buckets: int) -> int:
    """How many marks each bucket of a file with so many ids has."""
    return max(min(rows * _MARKS_PER_ROW, _MOST_MARKS), 1024) // buckets + 1


def hashes_of(ids: pl.DataFrame, reader: IdReader) -> pl.DataFrame:
    """The hash of each id; a row without an id has none."""
    read = reader.read(ids.get_column("transaction_id")).drop_nulls().to_frame()
    return read.select(ID_HASH.alias(HASH))


def hash_bucket(buckets: int) -> pl.Expr:
    """The bucket of each hash."""
    return _bucket(pl.col(HASH), buckets)


def _bucket(hashed: pl.Expr, buckets: int) -> pl.Expr:
    # The hash of a text is not worth its time where there is one bucket.
    return hashed % buckets if buckets > 1 else pl.lit(0)


def mark(hashes: pl.Series, buckets: int, per_bucket: int) -> MarkedBucket:
    """Mark each id that occurs more than once among the hashes of a bucket."""
    marks = pl.zeros(per_bucket, dtype=pl.UInt8(), eager=True)
    ordered = hashes.sort()
    again = ordered[1:] == ordered[:-1]
    repeated = ordered[1:].filter(again).unique()
    marks = marks.scatter(_first_place(repeated, buckets, per_bucket), 1)
    marks = marks.scatter(_second_place(repeated, buckets, per_bucket), 1)
    return MarkedBucket(marks.cast(pl.Boolean()), repeated.len(), int(again.sum()) + repeated.len())


def _first_place(hashes: pl.Series, buckets: int, per_bucket: int) -> pl.Series:
    return hashes // buckets % per_bucket


def _second_place(hashes: pl.Series, buckets: int, per_bucket: int) -> pl.Series:
    return hashes // buckets // per_bucket % per_bucket
