"""Rows distributed over buckets, in memory while they are few and on disk when they are many.

What does not fit into memory is split by a key, written once, and settled one bucket at a
time. So its cost grows with the number of rows, however many buckets there are.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import polars as pl

HELD_BYTES = 64 * 1024 * 1024
"""Bytes of rows held in memory before they are written to disk."""

BATCH_ROWS = 100_000
"""Rows in one batch of `batches`, where the bucket has so many."""

_BUCKET = "bucket"


class Buckets:
    """Frames of one schema by bucket number. All rows are added before the first is read back."""

    def __init__(self, folder: Path, name: str, *, held_bytes: int | None = None) -> None:
        """`name` distinguishes these files from the others in `folder`; `held_bytes` defaults to HELD_BYTES."""
        self._folder = folder
        self._name = name
        self._most_held = HELD_BYTES if held_bytes is None else held_bytes
        self._held: dict[int, list[pl.DataFrame]] = {}
        self._held_bytes = 0
        self._on_disk: dict[int, list[Path]] = {}
        self._files = 0

    def add(self, rows: pl.DataFrame, bucket: pl.Expr | pl.Series | int) -> None:
        """Add rows to a bucket, or each to the one that the expression or the series gives for it."""
        if rows.is_empty():
            return
        # Copied, since a text of more than 12 bytes is a view: a few rows would keep the texts of their whole chunk.
        rows = rows.with_columns(pl.col(pl.String) + "")
        if isinstance(bucket, int):
            parts = {bucket: rows}
        else:
            numbered = rows.with_columns(bucket.cast(pl.UInt32).alias(_BUCKET))
            by_number = numbered.partition_by(_BUCKET, as_dict=True, include_key=False)
            parts = {int(number): part for (number,), part in by_number.items()}
        for number, part in parts.items():
            self._held.setdefault(number, []).append(part)
            self._held_bytes += int(part.estimated_size())
        if self._held_bytes > self._most_held:
            self._write()

    def numbers(self) -> list[int]:
        """The buckets that have rows, in order."""
        return sorted({*self._on_disk, *self._held})

    def batches(self, bucket: int) -> Iterator[pl.DataFrame]:
        """The rows of a bucket in the order in which they were added; may be called more than once."""
        batch: list[pl.DataFrame] = []
        rows = 0
        for piece in (*self._on_disk.get(bucket, ()), *self._held.get(bucket, ())):
            # Not scan_ipc, which fails where neither HOME nor USER nor POLARS_TEMP_DIR is set.
            batch.append(pl.read_ipc(piece, memory_map=False) if isinstance(piece, Path) else piece)
            rows += batch[-1].height
            if rows >= BATCH_ROWS:
                yield pl.concat(batch)
                batch, rows = [], 0
        if batch:
            yield pl.concat(batch)

    def _write(self) -> None:
        """Write the held rows to disk, a file for each bucket."""
        for number, parts in self._held.items():
            self._on_disk.setdefault(number, []).append(self._written(pl.concat(parts)))
        self._held, self._held_bytes = {}, 0

    def _written(self, rows: pl.DataFrame) -> Path:
        path = self._folder / f"{self._name}-{self._files:06d}.arrow"
        self._files += 1
        # Compressed, rows need a third of the disk and a tenth more time.
        rows.write_ipc(path, compression="zstd")
        return path
