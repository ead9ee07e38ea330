"""Loads a drop of transactions into `fact_transactions`: one paragraph for each step.

An attempt loads the drop, or its rows that waited for a dimension, or takes the load back. A plan is a load
that is not committed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timezone
from decimal import Decimal
from fractions import Fraction
from functools import partial
from typing import Callable

import polars as pl

from jobs import __version__
from jobs.arguments import Arguments
from jobs.attempt import FETCH, FIND_DUPLICATES, LOOK_UP, READ, VALIDATE, Attempt, as_report, run_attempt
from jobs.attempt import LOAD as LOAD_STEP
from jobs.csv.reader import open_source_file
from jobs.csv.reject_summary import without_address
from jobs.csv.rejected_file import RejectedRows
from jobs.errors import TooManyRejected
from jobs.load.ledger import AmountChange, read_booked_upload
from jobs.load.staging import StagedRows, Stager
from jobs.load.transactions import (
    NOTHING_STAGED,
    Batch,
    Committed,
    Rules,
    await_dimensions,
    flow_in,
    load,
    retract,
    waiting_lines,
)
from jobs.rows.duplicates import DuplicateCandidates
from jobs.rows.ids import IdReader
from jobs.s3 import Fetched, upload_blocks
from jobs.shards.runner import TaskRunner
from jobs.validators import partition_day, read_validator, snapshot_dimensions
from schemas.counted import agreeing, counted
from schemas.counts import Counts
from schemas.reports import ClassAmount
from schemas.runs import FLOW_IN, LOAD, PLAN, RETRACT
from schemas.sources import CONTRACT_COLUMNS
from schemas.statuses import STATUSES, counts_as_sale
from schemas.work_bucket import rejected_key


def process_transactions(arguments: Arguments, runner: TaskRunner | None = None) -> None:
    """Do what the run asks for; raises JobError where a person or another attempt is needed.

    With a runner, a large file is cut into shards and its rows are validated there.
    """
    steps: Mapping[str, Callable[[Attempt], None]] = {
        LOAD: partial(_load, runner=runner),
        PLAN: partial(_load, runner=runner),
        FLOW_IN: partial(_flow_in, runner=runner),
        RETRACT: _retract,
    }
    run_attempt(arguments, steps[arguments.operation])


def _load(attempt: Attempt, runner: TaskRunner | None) -> None:
    with attempt.step(FETCH):
        fetched = attempt.fetch(may_download=runner is None)

    staged = _stage(attempt, fetched, runner)
    _refuse_too_many_rejected(attempt, staged)

    with attempt.step(LOAD_STEP):
        batch = Batch(staged.winners, staged.waiting, staged.rows_read, staged.duplicate, staged.rejected)
        _report_commit(
            attempt, load(attempt.warehouse, batch, _ledger(attempt, staged.amount, fetched), _rules(attempt))
        )
        attempt.compare()


def _flow_in(attempt: Attempt, runner: TaskRunner | None) -> None:
    """The whole drop is validated again, and of all its rows those are loaded that waited.

    A drop that was refused because of its waiting rows is loaded as a whole.
    """
    if read_booked_upload(attempt.warehouse, attempt.arguments.drop) is None:
        _load(attempt, runner)
        return
    with attempt.step(FETCH):
        waited = waiting_lines(attempt.warehouse, attempt.load_id, _rules(attempt))
        if not waited:
            _report_commit(attempt, Committed(FLOW_IN, Counts()))
            return
        fetched = attempt.fetch(may_download=runner is None)

    staged = _stage(attempt, fetched, runner, pl.Series(waited, dtype=pl.Int64))

    with attempt.step(LOAD_STEP):
        batch = Batch(staged.winners, staged.waiting, 0, staged.duplicate, 0)
        ledger = _ledger(attempt, staged.amount, fetched)
        _report_commit(attempt, flow_in(attempt.warehouse, batch, waited, ledger, _rules(attempt)))


def _retract(attempt: Attempt) -> None:
    """Take the load back. The ledger and the history have all that is needed: the drop is not read."""
    with attempt.step(LOAD_STEP):
        _report_commit(attempt, retract(attempt.warehouse, _ledger(attempt, Decimal(0)), _rules(attempt)))


def _stage(attempt: Attempt, fetched: Fetched, runner: TaskRunner | None, lines: pl.Series | None = None) -> StagedRows:
    """Every row of the drop validated, those on `lines` (without it, all) staged."""
    if runner is not None:
        # A load by one worker, as nearly all are, imports none of this.
        from jobs.shards.stage import stage_in_shards

        staged = stage_in_shards(attempt, fetched, runner, lines)
        if staged is not None:
            return staged
    with attempt.step(READ):
        settings = attempt.arguments.source
        ids = IdReader(settings.null_words)
        source = open_source_file(
            fetched.content,
            name=attempt.key.file_name,
            required=CONTRACT_COLUMNS,
            settings=settings,
            read_part=ids.read,
        )
        attempt.note(ignored_columns=source.ignored_columns)

    with attempt.step(LOOK_UP):
        snapshot_dimensions(attempt.warehouse, attempt.staging)
        validator = read_validator(attempt.arguments, fetched.uploaded_at, attempt.staging, attempt.folder)

    with attempt.step(FIND_DUPLICATES):
        candidates = DuplicateCandidates(source, attempt.folder, ids)

    with attempt.step(VALIDATE):
        stager = Stager(attempt.arguments.drop, attempt.staging, attempt.folder, lines)
        rejected = RejectedRows(source.layout, attempt.folder, source.unread_chunks)
        staged = stager.stage(source, validator, candidates, rejected)
        attempt.note(rows_read=staged.rows_read, reused_ids=staged.reused)
        _keep_rejected(attempt, rejected)
    return staged


def _keep_rejected(attempt: Attempt, rejected: RejectedRows) -> None:
    """Store the rejected rows, also when there are so many that the drop is refused."""
    if not rejected.rows:
        return
    if attempt.is_plan:
        rejected.sum_up()
    else:
        key = rejected_key(partition_day(attempt.arguments), attempt.key.file_name, attempt.load_id)
        bucket = attempt.arguments.work_bucket
        upload_blocks(attempt.s3, rejected.blocks(), bucket, key, "text/csv; charset=utf-8")
        attempt.note(rejected_uri=f"s3://{bucket}/{key}")
    attempt.note(reject_reasons=rejected.summary.reject_reasons())


def _refuse_too_many_rejected(attempt: Attempt, staged: StagedRows) -> None:
    rejected, allowed = staged.rejected, attempt.arguments.max_reject_ratio
    ratio = Fraction(rejected, staged.rows_read or 1)
    if ratio <= allowed:
        return
    if _waits_for_dimensions(attempt, staged):
        attempt.note(waiting=staged.waiting.rows)
    reason = next(iter(attempt.report.reject_reasons))
    are_rejected = agreeing(rejected, "is rejected", "are rejected, most of them")
    raise TooManyRejected(
        f"{rejected:,} of {counted(staged.rows_read, 'row')} ({float(ratio):.1%}) of {attempt.key.file_name} "
        f"{are_rejected} for {reason}, and max_reject_ratio allows {float(allowed):.1%}, "
        "so nothing was loaded"
        + ("" if attempt.is_plan else f"; the rows and their reasons are in {attempt.report.rejected_uri}")
    )


def _waits_for_dimensions(attempt: Attempt, staged: StagedRows) -> bool:
    """True when a refused drop would be loaded if its waiting rows found their customers and products, and so waits."""
    lasting = staged.rejected - staged.waiting.rows
    is_healed = Fraction(lasting, staged.rows_read) <= attempt.arguments.max_reject_ratio
    if not is_healed and attempt.arguments.attempt == 1:
        return False
    waiting = staged.waiting if is_healed else NOTHING_STAGED
    with attempt.step(LOAD_STEP):
        return await_dimensions(attempt.warehouse, waiting, attempt.arguments.drop, is_plan=attempt.is_plan)


def _rules(attempt: Attempt) -> Rules:
    return Rules(attempt.arguments.keep_history, attempt.arguments.same_key, attempt.waiting_since, attempt.is_plan)


def _ledger(attempt: Attempt, staged_amount: Decimal, fetched: Fetched | None = None) -> dict[str, object]:
    """The ledger's columns that come from the drop and the attempt."""
    drop = attempt.arguments.drop
    columns: dict[str, object] = {
        "load_id": drop.load_id,
        "attempt": attempt.arguments.attempt,
        "source_uri": drop.uri,
        "version_id": drop.version_id,
        "partition_day": partition_day(attempt.arguments),
        "staged_amount": staged_amount,
        "started_at": attempt.started_at.replace(tzinfo=None),
        "job_version": __version__,
        "polars_version": pl.__version__,
    }
    if fetched is not None:
        columns.update(etag=fetched.etag, bytes=fetched.bytes, uploaded_at=_utc(fetched.uploaded_at))
    return columns


def _utc(moment: datetime) -> datetime:
    return moment.astimezone(timezone.utc).replace(tzinfo=None)


def _report_commit(attempt: Attempt, committed: Committed) -> None:
    """Put the result of the commit into the report."""
    changes = committed.changes
    first = committed.first_commit
    # Other settings may have classed the rows that were removed.
    classes = [*attempt.arguments.amount_classes, *(change.amount_class for change in changes)]
    by_status = {status: _sum(change for change in changes if change.status == status) for status in STATUSES}
    attempt.note(
        event=committed.event,
        counts=as_report(committed.counts),
        first_commit=as_report(first) if first else None,
        first_change=_sum(committed.first_changes).amount if first else None,
        change=_sum(changes).amount,
        sales_change=_sum(change for change in changes if counts_as_sale(change.status)).amount,
        day_sales=f"{committed.day_sales:.2f}",
        amount_classes={
            label: _sum(change for change in changes if change.amount_class == label)
            for label in dict.fromkeys(classes)
        },
        statuses={status: total for status, total in by_status.items() if total.rows or Decimal(total.amount)},
        removed=committed.removed,
        restored=committed.restored,
        reused_ids=replace(
            attempt.report.reused_ids,
            known_ids=committed.reused.known_ids,
            known_samples=[without_address(sample) for sample in committed.reused.known_samples],
        ),
        waiting=committed.waiting,
        stopped_waiting=committed.stopped_waiting,
        awaited_by=committed.awaited_by,
        largest_changes=committed.largest_changes,
    )
    if first and first.rejected and not attempt.report.rejected_uri:
        # The first commit left a file of rejected rows, and none is rejected any more.
        key = rejected_key(partition_day(attempt.arguments), attempt.key.file_name, attempt.load_id)
        attempt.s3.put_object(Bucket=attempt.arguments.work_bucket, Key=key, Body=b"")


def _sum(changes: Iterable[AmountChange]) -> ClassAmount:
    summands = list(changes)
    amount = sum((change.amount for change in summands), Decimal(0))
    return ClassAmount(sum(change.rows for change in summands), f"{amount:.2f}")
