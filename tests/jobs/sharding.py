"""A file is run as a whole and in shards: both must leave the same result."""

from __future__ import annotations

from typing import Any

from jobs.shards.runner import TaskRunner
from tests.jobs.dry_run import DryRun, dry_run, small_pieces

_FEW_BYTES = 10_000


def check_shards(content: bytes, shards: int, runner: TaskRunner, **run: Any) -> DryRun:
    """Run a file as a whole and in about this many shards. Returns the run in shards."""
    whole = dry_run(content, **run)
    size = max(1, len(content) // shards)
    # A megabyte in chunks of a few values adds no new case, and is slow.
    values = {} if len(content) < _FEW_BYTES else {"chunk_values": 1 << 21}
    with small_pieces(chunk_bytes=max(32, size // 4), range_bytes=max(7, size // 3), shard_bytes=size, **values):
        sharded = dry_run(content, **run, runner=runner)
    assert outcome(sharded) == outcome(whole)
    return sharded


def outcome(run: DryRun) -> dict[str, Any]:
    """The parts of a run that shards must not change."""
    report = run.report
    return {
        "staged": sorted(map(str, run.staged)),
        "duplicate": run.duplicate,
        "rejected": run.rejected_content,
        "reasons": report.reject_reasons,
        "rows_read": report.rows_read,
        "counts": report.counts,
        "amounts": report.amount_classes,
        "ignored": report.ignored_columns,
        "error": report.error and report.error.sentence.split("; the rows and their reasons")[0],
        "left": run.left_staged,
    }
