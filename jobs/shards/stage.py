"""Stages a drop shard by shard. One worker plans and counts; the tasks do the work that grows with the file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Callable

import polars as pl

from jobs.attempt import FIND_DUPLICATES, LOOK_UP, READ, VALIDATE, Attempt
from jobs.csv.content import Content, Streamed
from jobs.csv.inspection import Inspection, inspect
from jobs.csv.orders import trimmed
from jobs.csv.reader import SourceFile, open_source_file
from jobs.load.staging import StagedRows, list_for_copy
from jobs.rows.ids import IdReader
from jobs.rows.marks import Marks, bucket_count, marks_per_bucket
from jobs.s3 import Fetched, Prefix
from jobs.shards.exchange import Handed, by_bucket
from jobs.shards.runner import TaskRunner, run_tasks
from jobs.shards.survey import is_one_shard, plan, ranges_of, survey, walk
from jobs.shards.tasks import (
    Bucket,
    BucketOfIds,
    Rejected,
    SettledBucket,
    ShardOfRejected,
    Validated,
    WinningBucket,
    find_winners,
    mark_ids,
    settle_bucket,
    validate,
    write_rejected,
)
from jobs.shards.work import LINES, MARKS, Shard, Work, write_series
from jobs.validators import partition_day, snapshot_dimensions
from schemas.reports import ReusedIds
from schemas.sources import CONTRACT_COLUMNS
from schemas.work_bucket import rejected_folder, rejected_part


class _Unlike(Exception):
    """The guess that a file is plain was wrong."""


@dataclass(frozen=True)
class _Planned:
    work: Work
    shards: Sequence[Shard]
    hashes: Sequence[Handed]


@dataclass(frozen=True)
class _Settled:
    """The outcomes of the contested rows of all shards."""

    events: Sequence[SettledBucket]
    ids: Sequence[WinningBucket]

    @property
    def duplicate(self) -> int:
        of_events = sum(bucket.duplicate for bucket in self.events)
        return of_events + sum(bucket.duplicate for bucket in self.ids)


def stage_in_shards(
    attempt: Attempt, fetched: Fetched, runner: TaskRunner, lines: pl.Series | None = None
) -> StagedRows | None:
    """Every row of the drop validated, those on `lines` (without it, all) staged.

    None where the file is one shard: it is small, or packed, or its encoding must be decoded from its first byte on.
    """
    with attempt.step(READ):
        planned = _plan(attempt, fetched, runner)
        if planned is None or len(planned.shards) < 2:
            return None
        work = planned.work
        attempt.note(ignored_columns=work.source.ignored_columns)

    with attempt.step(LOOK_UP):
        snapshot_dimensions(attempt.warehouse, attempt.staging)

    with attempt.step(FIND_DUPLICATES):
        marks = _mark(work, planned.hashes, runner)
        write_series(marks.marked, attempt.staging, MARKS)
        if lines is not None:
            write_series(lines, attempt.staging, LINES)
        work = replace(work.marked(marks), are_lines_selected=lines is not None)

    with attempt.step(VALIDATE):
        validated = run_tasks(runner, partial(validate, work), planned.shards)
        settled = _settle(work, validated, runner)
        are_written = not attempt.is_plan
        rejected = _write_rejected(work, planned.shards, validated, settled, runner, are_written=are_written)
        staged = _counted(attempt.staging, validated, settled, rejected, lines)
        attempt.note(rows_read=staged.rows_read, reused_ids=staged.reused)
        _publish(attempt, rejected)
    return staged


def _plan(attempt: Attempt, fetched: Fetched, runner: TaskRunner) -> _Planned | None:
    """The shards of the drop, and the hashes of its ids; None for a file of one shard. Raises FileRefused."""
    if is_one_shard(fetched.object):
        return None
    guess = _open_as_plain(attempt, fetched)
    ranges = guess and ranges_of(fetched.object, attempt.s3, guess.data_offset)
    if guess and ranges and not guess.needs_rows_above:
        work = _work(attempt, fetched, guess)
        surveys = run_tasks(runner, partial(survey, work), ranges)
        shards = plan(surveys, guess.data_line)
        if shards is not None:
            return _Planned(work, shards, [each.hashes for each in surveys])
    source = _open(attempt, fetched)
    if source.content is not fetched.content:
        return None
    attempt.note(ignored_columns=source.ignored_columns)
    work = _work(attempt, fetched, source)
    return _Planned(work, *walk(work, source))


def _open_as_plain(attempt: Attempt, fetched: Fetched) -> SourceFile | None:
    """The file, opened as if no value had a quote. Only its beginning is read, since the surveys check the rest; None
    for a file that is known to have quotes."""

    def guess(content: Content, *_: str) -> Inspection:
        if content is not fetched.content:
            raise _Unlike
        return Inspection(is_unquoted=True, not_utf8=None, end=fetched.bytes)

    try:
        source = _open(attempt, fetched, guess)
        head = fetched.object.read(attempt.s3, 0, source.data_offset)
        inspected = inspect(Streamed(lambda: iter([head])), source.name, source.layout.dialect.quote)
    # After any error the file is opened again without the guess, and refused with the right sentence.
    except Exception:
        return None
    return source if inspected.is_unquoted and inspected.not_utf8 is None else None


def _open(
    attempt: Attempt, fetched: Fetched, inspector: Callable[[Content, str, str], Inspection] | None = None
) -> SourceFile:
    settings = attempt.arguments.source
    return open_source_file(
        fetched.content,
        name=attempt.key.file_name,
        required=CONTRACT_COLUMNS,
        settings=settings,
        read_part=IdReader(settings.null_words).read,
        inspector=inspector,
    )


def _work(attempt: Attempt, fetched: Fetched, source: SourceFile) -> Work:
    # A task has a content and an id reader of its own.
    bare = replace(source, content=Path(), read_part=trimmed)
    return Work(attempt.arguments, fetched.object, fetched.uploaded_at, bare, attempt.staging.prefix)


def _mark(work: Work, hashes: Sequence[Handed], runner: TaskRunner) -> Marks:
    buckets = bucket_count(work.version.size)
    per_bucket = marks_per_bucket(sum(each.rows for each in hashes), buckets)
    of_bucket = by_bucket(hashes)
    items = [BucketOfIds(of_bucket.get(number, ()), buckets, per_bucket) for number in range(buckets)]
    return Marks.of(run_tasks(runner, partial(mark_ids, work), items), buckets, per_bucket)


def _settle(work: Work, validated: Sequence[Validated], runner: TaskRunner) -> _Settled:
    contested = [Bucket(*each) for each in by_bucket(shard.contested for shard in validated).items()]
    events = run_tasks(runner, partial(settle_bucket, work), contested)
    sound = [Bucket(*each) for each in by_bucket(bucket.sound for bucket in events).items()]
    return _Settled(events, run_tasks(runner, partial(find_winners, work), sound))


def _write_rejected(
    work: Work,
    shards: Sequence[Shard],
    validated: Sequence[Validated],
    settled: _Settled,
    runner: TaskRunner,
    *,
    are_written: bool,
) -> list[Rejected]:
    conflicting = by_bucket(bucket.conflicting for bucket in settled.events)
    items = [
        ShardOfRejected(shard, [own.rejected], conflicting.get(shard.number, ()), are_written)
        for shard, own in zip(shards, validated)
        if own.rejected.rows or shard.number in conflicting
    ]
    return run_tasks(runner, partial(write_rejected, work), items)


def _counted(
    staging: Prefix,
    validated: Sequence[Validated],
    settled: _Settled,
    rejected: Sequence[Rejected],
    lines: pl.Series | None,
) -> StagedRows:
    """Exactly what the tasks returned."""
    parts = chain((shard.winners for shard in validated), (bucket.winners for bucket in settled.ids))
    winners = list_for_copy(chain.from_iterable(parts), staging)
    amounts = chain((shard.amount for shard in validated), (bucket.amount for bucket in settled.ids))
    with_rejected: list[Validated | SettledBucket] = [*validated, *settled.events]
    waiting = list_for_copy([part for each in with_rejected for part in each.waiting], staging.below("waiting"))
    duplicate = settled.duplicate
    if lines is not None:
        duplicate = lines.len() - sum(each.selected_rejected for each in with_rejected) - winners.rows
    return StagedRows(
        winners,
        waiting,
        sum(shard.rows for shard in rejected),
        sum(shard.rows for shard in validated),
        duplicate,
        sum(amounts, Decimal(0)),
        sum((bucket.reused for bucket in settled.ids), ReusedIds()),
    )


def _publish(attempt: Attempt, rejected: Sequence[Rejected]) -> None:
    """Publish the rejected rows, replacing those of an earlier attempt."""
    if not attempt.is_plan:
        arguments = attempt.arguments
        day, load_id = partition_day(arguments), attempt.load_id
        folder = Prefix(attempt.s3, arguments.work_bucket, rejected_folder(day, attempt.key.file_name, load_id))
        folder.delete()
        for number, shard in enumerate(rejected, start=1):
            folder.copy_from(attempt.staging, shard.name, rejected_part(day, load_id, number))
        if rejected:
            attempt.note(rejected_uri=folder.uri)
    if rejected:
        summary, *others = (shard.summary for shard in rejected)
        for other in others:
            summary.add_summary(other)
        attempt.note(reject_reasons=summary.reject_reasons())
