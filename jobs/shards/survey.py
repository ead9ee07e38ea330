"""Surveys the parts of a file, and decides where it is cut.

A plain file (nearly every one) is cut behind any line feed, and its ranges are surveyed side
by side. Where a record may span lines, or a row needs those above it, one worker walks
through the file from its first row and notes where records begin.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from jobs.buckets import Buckets
from jobs.csv.inspection import inspect
from jobs.csv.orders import OrderState
from jobs.csv.reader import Cut, SourceFile
from jobs.csv.records import MAX_RECORD_BYTES
from jobs.errors import FileRefused
from jobs.rows.marks import bucket_count, hash_bucket, hashes_of
from jobs.s3 import ObjectVersion
from jobs.shards.exchange import Handed, hand_on
from jobs.shards.work import Shard, Work, task

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client

SHARD_BYTES = 128 * 1024 * 1024

_PROBE_BYTES = 16 * 1024


@dataclass(frozen=True)
class Range:
    """Whole lines of a plain file."""

    number: int
    start: int
    end: int


@dataclass(frozen=True)
class Survey:
    """The content of a range."""

    range: Range
    is_plain: bool
    """False: the range cannot be read without the rest of the file, and the other fields are unknown."""
    lines: int = 0
    hashes: Handed = field(default_factory=lambda: Handed(""))
    """Of the ids, by bucket."""


def is_one_shard(version: ObjectVersion) -> bool:
    """True for a file that is not worth cutting."""
    return version.size <= SHARD_BYTES


def ranges_of(version: ObjectVersion, s3: S3Client, start: int) -> list[Range] | None:
    """The file from the byte `start` on in ranges of about SHARD_BYTES; None where a line is too long."""
    bounds = [start]
    while bounds[-1] < version.size:
        bound = _line_start(version, s3, bounds[-1] + SHARD_BYTES)
        if bound is None:
            return None
        bounds.append(bound)
    return [Range(number, first, last) for number, (first, last) in enumerate(zip(bounds, bounds[1:]))]


def _line_start(version: ObjectVersion, s3: S3Client, at: int) -> int | None:
    """The byte behind the first line feed that is not before the byte `at - 1`."""
    start = at - 1
    while start < version.size:
        probe = version.read(s3, start, min(start + _PROBE_BYTES, version.size))
        end = probe.find(b"\n")
        if end >= 0:
            return start + end + 1
        start += len(probe)
        if start - at > MAX_RECORD_BYTES:
            return None
    return version.size


def survey(work: Work, part: Range) -> Survey:
    """A task: inspect a range and read its ids, as if no value had a quote."""
    with task(work) as (setup, folder, word):
        begin = Cut(part.start, 1, OrderState())
        source = setup.fetch(begin, part.end, folder)
        try:
            inspection = inspect(source.content, source.name, source.layout.dialect.quote)
        except FileRefused:
            return Survey(part, is_plain=False)
        if inspection.not_utf8 or not inspection.is_unquoted or inspection.end != source.end:
            return Survey(part, is_plain=False)
        hashes = Buckets(folder, "hashes", hash_bucket(bucket_count(work.version.size)))
        for ids in source.transaction_ids():
            hashes.add(hashes_of(ids, setup.ids))
        lines = sum(block.count(b"\n") for block in _blocks(source))
        return Survey(part, True, lines, hand_on(hashes, setup.staging, f"hashes-{part.number:05d}-{word}.arrow"))


def _blocks(source: SourceFile) -> Iterator[bytes]:
    with source.content.open("rb") as file:
        yield from iter(lambda: file.read(MAX_RECORD_BYTES), b"")


def plan(surveys: Sequence[Survey], first_line: int) -> list[Shard] | None:
    """One shard for each range, with its first line; None where a range is not plain."""
    if not all(each.is_plain for each in surveys):
        return None
    shards = []
    for each in surveys:
        shards.append(Shard(each.range.number, Cut(each.range.start, first_line, OrderState()), each.range.end))
        first_line += each.lines
    return shards


def walk(work: Work, source: SourceFile) -> tuple[list[Shard], list[Handed]]:
    """The shards of a file that is read from its first row on, and the hashes of its ids."""
    with task(work) as (setup, folder, word):
        hashes = Buckets(folder, "hashes", hash_bucket(bucket_count(work.version.size)))
        cuts: list[Cut] = []
        for cut, ids in source.cuts():
            if not cuts or cut.offset - cuts[-1].offset >= SHARD_BYTES:
                cuts.append(cut)
            hashes.add(hashes_of(ids, setup.ids))
        ends = [*(cut.offset for cut in cuts[1:]), source.end]
        shards = [Shard(number, cut, end) for number, (cut, end) in enumerate(zip(cuts, ends))]
        return shards, [hand_on(hashes, setup.staging, f"hashes-{word}.arrow")]
