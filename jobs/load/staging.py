"""From a file to what COPY takes: every row judged, duplicates settled, winners written as Parquet on S3."""

from __future__ import annotations

import json
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

import polars as pl

from jobs.csv.reader import SOURCE_LINE, WHITE_SPACE, SourceFile
from jobs.csv.rejected_file import RejectedRows
from jobs.errors import FileRefused
from jobs.map_ordered import map_ordered
from jobs.rows.duplicates import DuplicateCandidates
from jobs.rows.validation import SOURCE_COLUMNS, RowValidator
from jobs.s3 import Prefix
from schemas.warehouse.tables import STAGED_TRANSACTIONS, Table


@dataclass(frozen=True)
class _Part:
    uri: str
    bytes: int
    rows: int


class StagedParts:
    """Parquet objects below an attempt's own prefix, and the manifest that lists them for COPY."""

    def __init__(self, table: Table, prefix: Prefix, folder: Path) -> None:
        self._table = table
        self._prefix = prefix
        self._folder = folder
        self._parts: list[_Part] = []

    def write(self, rows: pl.DataFrame, name: str) -> None:
        """Upload rows as one part; may be called from several threads with different names."""
        if rows.is_empty():
            return
        path = self._folder / name
        # Snappy and file format 1.0 are what every COPY reads; nobody looks at the statistics.
        rows.select(self._table.names).write_parquet(path, compression="snappy", statistics=False)
        self._parts.append(_Part(self._prefix.upload(path, name), path.stat().st_size, rows.height))
        path.unlink()

    @property
    def rows(self) -> int:
        return sum(part.rows for part in self._parts)

    def manifest(self) -> str:
        """The URI of the manifest. COPY demands each part's length and fails where one is missing."""
        parts = sorted(self._parts, key=lambda part: part.uri)
        entries = [{"url": part.uri, "mandatory": True, "meta": {"content_length": part.bytes}} for part in parts]
        return self._prefix.put("manifest.json", json.dumps({"entries": entries}))


@dataclass(frozen=True)
class StagedRows:
    """What became of every row of a drop before the warehouse saw it."""

    parts: StagedParts
    rejected: RejectedRows
    rows_read: int
    duplicate: int
    """Accepted rows that lost to another row of the same drop."""
    amounts: dict[str, tuple[int, Decimal]]
    """Amount class -> staged rows and their amount; a class without rows is missing."""


class _StagedChunk(NamedTuple):
    rows: int
    contested: pl.DataFrame
    rejected: pl.DataFrame
    amounts: pl.DataFrame


def stage(
    source: SourceFile, validator: RowValidator, candidates: DuplicateCandidates, prefix: Prefix, folder: Path
) -> StagedRows:
    """Validate every row, a chunk at a time, settle duplicates, and put the winners where COPY finds them."""
    parts = StagedParts(STAGED_TRANSACTIONS, prefix, folder)
    rejected = RejectedRows(source, folder)

    def validate(numbered: tuple[int, pl.DataFrame]) -> _StagedChunk:
        number, rows = numbered
        split = candidates.split(rows, validator.validate(rows))
        enriched = validator.enrich(split.accepted)
        parts.write(enriched, f"part-{number:05d}.parquet")
        return _StagedChunk(rows.height, split.contested, split.rejected, _amounts(enriched))

    rows_read = 0
    amounts: dict[str, tuple[int, Decimal]] = {}
    for number, chunk in enumerate(map_ordered(validate, enumerate(source.chunks()))):
        _refuse_second_header(chunk.rejected, source)
        rows_read += chunk.rows
        _add(amounts, chunk.amounts)
        candidates.set_aside(chunk.contested, number)
        rejected.add(chunk.rejected, number)
    for number, rows in candidates.rejected():
        rejected.add(rows, number)
    for number, winners in enumerate(map(validator.enrich, candidates.winners())):
        _add(amounts, _amounts(winners))
        parts.write(winners, f"settled-{number:05d}.parquet")
    rejected.write()
    return StagedRows(parts, rejected, rows_read, candidates.duplicate, amounts)


def _amounts(rows: pl.DataFrame) -> pl.DataFrame:
    # A sum has the precision of its addends, and Polars rounds what does not fit without a word.
    amount = pl.col("total_amount").cast(pl.Decimal(38, 2))
    return rows.group_by("amount_class").agg(pl.len(), amount.sum())


def _add(amounts: dict[str, tuple[int, Decimal]], more: pl.DataFrame) -> None:
    for label, rows, amount in more.rows():
        standing = amounts.get(label, (0, Decimal(0)))
        amounts[label] = (standing[0] + rows, standing[1] + amount)


def _refuse_second_header(rejected: pl.DataFrame, source: SourceFile) -> None:
    """Two files in one: the second header would be a rejected row, but nobody meant it as one."""
    second = rejected.filter(
        pl.all_horizontal(
            pl.col(name).str.strip_chars(WHITE_SPACE).str.to_lowercase() == name for name in SOURCE_COLUMNS
        )
    )
    if second.height:
        raise FileRefused(
            f"{source.name}, line {second.item(0, SOURCE_LINE)}: the header is written a second time; "
            "two files were joined into one: take it out, or drop them one by one"
        )
