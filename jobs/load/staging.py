"""Turns a file into input for COPY: validates every row, settles duplicates, writes winners as Parquet to S3."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Callable, NamedTuple

import polars as pl

from jobs.csv.blocks import on_lines
from jobs.csv.header import refuse_second_header
from jobs.csv.reader import SourceFile
from jobs.csv.rejected_file import RejectedRows
from jobs.load.protocol import Staged
from jobs.map_ordered import map_ordered
from jobs.rows.duplicates import DuplicateCandidates, Split
from jobs.rows.ids import shortened
from jobs.rows.validation import RowValidator
from jobs.s3 import Prefix
from schemas.drops import Drop
from schemas.reject_reasons import REJECT_REASONS, WAITS_FOR
from schemas.rejected_file import REJECT_REASONS_COLUMN, SOURCE_LINE
from schemas.reports import ReusedIds
from schemas.warehouse.tables import STAGED_TRANSACTIONS, STAGED_WAITING, Table


@dataclass(frozen=True)
class Part:
    """One Parquet object."""

    uri: str
    bytes: int
    rows: int


def list_for_copy(parts: Iterable[Part], prefix: Prefix) -> Staged:
    """Write the manifest for COPY. It demands each part's length and fails where one is missing."""
    ordered = sorted(parts, key=lambda part: part.uri)
    if not ordered:
        return Staged(0)
    entries = [{"url": part.uri, "mandatory": True, "meta": {"content_length": part.bytes}} for part in ordered]
    manifest = prefix.put("manifest.json", json.dumps({"entries": entries}))
    return Staged(sum(part.rows for part in ordered), manifest)


class StagedParts:
    """Parquet objects below an attempt's own prefix, and the manifest that lists them for COPY."""

    def __init__(self, table: Table, prefix: Prefix, folder: Path) -> None:
        self._table = table
        self._prefix = prefix
        self._folder = folder
        self.parts: list[Part] = []

    def write(self, rows: pl.DataFrame, name: str) -> None:
        """Upload rows as one part; may be called from several threads with different names."""
        if rows.is_empty():
            return
        path = self._folder / name
        # Every COPY reads Snappy and file format 1.0, and none uses statistics.
        rows.select(self._table.names).write_parquet(path, compression="snappy", statistics=False)
        self.parts.append(Part(self._prefix.upload(path, name), path.stat().st_size, rows.height))
        path.unlink()

    @property
    def rows(self) -> int:
        return sum(part.rows for part in self.parts)

    def staged(self) -> Staged:
        """All parts, listed for COPY."""
        return list_for_copy(self.parts, self._prefix)


@dataclass(frozen=True)
class StagedRows:
    """The result of staging: the counts of a drop's rows before they reach the warehouse."""

    winners: Staged
    waiting: Staged
    """Rows that are rejected only because a dimension lacks their customer or product."""
    rejected: int
    rows_read: int
    duplicate: int
    """Accepted rows that lost to another row of the same drop."""
    amount: Decimal
    """The sum of total_amount of the winners."""
    reused: ReusedIds


class _StagedChunk(NamedTuple):
    rows: int
    contested: pl.DataFrame
    rejected: pl.DataFrame
    selected_rejected: int
    amount: Decimal


class Stager:
    """Puts the rows of a drop, or of a shard, where COPY finds them.

    With `lines` the whole drop is still validated, but only its rows on these lines are staged and
    counted as duplicate.
    """

    def __init__(self, drop: Drop, prefix: Prefix, folder: Path, lines: pl.Series | None = None) -> None:
        self._drop = drop
        self._folder = folder
        self._lines = lines
        self.winners = StagedParts(STAGED_TRANSACTIONS, prefix, folder)
        self.waiting = StagedParts(STAGED_WAITING, prefix.below("waiting"), folder)

    def stage(
        self, source: SourceFile, validator: RowValidator, candidates: DuplicateCandidates, rejected: RejectedRows
    ) -> StagedRows:
        """A whole drop by one worker, a chunk at a time, in bounded memory; `rejected` takes its rejected rows."""

        def validate(numbered: tuple[int, Callable[[], pl.DataFrame]]) -> _StagedChunk:
            number, read = numbered
            rows, rejected, split = divide(read())
            self.keep_waiting(split.waiting, f"waiting-{number:05d}.parquet")
            amount = self.keep_winners(split.accepted, validator, f"part-{number:05d}.parquet")
            return _StagedChunk(rows, split.contested, rejected, self.selected(rejected).height, amount)

        # A function of its own: its frames are gone while winners are written.
        def divide(rows: pl.DataFrame) -> tuple[int, pl.DataFrame, Split]:
            validated = validator.validate(rows)
            refuse_second_header(validated.rejected, source.layout, source.name)
            return rows.height, validated.rejected, candidates.split(validated)

        rows_read, selected_rejected, amount = 0, 0, Decimal(0)
        for number, chunk in enumerate(map_ordered(validate, enumerate(source.unread_chunks()))):
            rows_read, amount = rows_read + chunk.rows, amount + chunk.amount
            selected_rejected += chunk.selected_rejected
            candidates.set_aside(chunk.contested, number)
            rejected.add(chunk.rejected, number)
        for at, settled in enumerate(candidates.rejected()):
            rejected.add_conflicting(settled.conflicting)
            selected_rejected += self.selected(settled.no_longer_accepted).height
            self.keep_waiting(settled.waiting, f"waiting-settled-{at:05d}.parquet")
        for number, winners in enumerate(candidates.winners()):
            amount += self.keep_winners(winners, validator, f"settled-{number:05d}.parquet")
        duplicate = candidates.duplicate
        if self._lines is not None:
            duplicate = self._lines.len() - selected_rejected - self.winners.rows
        return StagedRows(
            self.winners.staged(),
            self.waiting.staged(),
            rejected.rows,
            rows_read,
            duplicate,
            amount,
            candidates.reused,
        )

    def keep_winners(self, winners: pl.DataFrame, validator: RowValidator, name: str) -> Decimal:
        """Stage those that are selected; what they are worth."""
        staged = validator.enrich(self.selected(winners))
        self.winners.write(staged, name)
        # A sum has the precision of its addends, and Polars rounds what does not fit without a word.
        return Decimal(staged.get_column("total_amount").cast(pl.Decimal(38, 2)).sum() or 0)

    def keep_waiting(self, waiting: pl.DataFrame, name: str) -> None:
        """Stage those that are selected, of typed rows that wait for a dimension, with their reasons."""
        selected = self.selected(waiting)
        if selected.height:
            self.waiting.write(self._as_waiting(selected), name)

    def selected(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Those on the selected lines; all where no lines are."""
        return on_lines(rows, self._lines)

    def _as_waiting(self, waiting: pl.DataFrame) -> pl.DataFrame:
        return waiting.select(
            pl.lit(self._drop.load_id).alias("load_id"),
            pl.lit(self._drop.bucket).alias("bucket"),
            pl.lit(self._drop.key).alias("drop_key"),
            pl.lit(self._drop.version_id).alias("version_id"),
            pl.col(SOURCE_LINE).cast(pl.Int64).alias("source_line"),
            *(
                pl.when(pl.col(REJECT_REASONS_COLUMN).str.contains(reason, literal=True))
                .then(pl.lit(shortened(waiting.get_column(column))))
                .alias(column)
                for reason in WAITS_FOR
                if (column := REJECT_REASONS[reason].column) is not None
            ),
        )
