"""Rows distributed over buckets, in memory while they are few and on disk when they are many.

What does not fit into memory is split by a key, written once, and settled one bucket at a
time. So its cost grows with the number of rows, however many buckets there are.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

HELD_BYTES = 32 * 1024 * 1024
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
        self._held: dict[int | None, list[pl.DataFrame]] = {}
        self._held_bytes = 0
        self._pieces: dict[int, list[Path | pl.DataFrame]] = {}
        self._files = 0

    def add(self, rows: pl.DataFrame, bucket: pl.Expr | int) -> None:
        """Add rows to the bucket that the expression (or the number) gives for each of them."""
        if rows.is_empty():
            return
        # Gathered, not filtered: a filtered text column keeps its whole chunk in memory.
        compact = rows.select(pl.all().gather(pl.int_range(pl.len())))
        if isinstance(bucket, int):
            self._held.setdefault(bucket, []).append(compact)
        else:
            numbers = rows.select(bucket.cast(pl.UInt32).alias(_BUCKET)).to_series()
            self._held.setdefault(None, []).append(compact.with_columns(numbers))
        self._held_bytes += int(compact.estimated_size())
        if self._held_bytes > self._most_held:
            self._distribute(to_disk=True)

    def numbers(self) -> list[int]:
        """The buckets that have rows, in order."""
        self._distribute(to_disk=False)
        return sorted(self._pieces)

    def batches(self, bucket: int) -> Iterator[pl.DataFrame]:
        """The rows of a bucket in the order in which they were added; may be called more than once."""
        self._distribute(to_disk=False)
        batch: list[pl.DataFrame] = []
        rows = 0
        for piece in self._pieces.get(bucket, ()):
            # Not scan_ipc, which fails where neither HOME nor USER nor POLARS_TEMP_DIR is set.
            batch.append(pl.read_ipc(piece, memory_map=False) if isinstance(piece, Path) else piece)
            rows += batch[-1].height
            if rows >= BATCH_ROWS:
                yield pl.concat(batch)
                batch, rows = [], 0
        if batch:
            yield pl.concat(batch)

    def _distribute(self, *, to_disk: bool) -> None:
        """Distribute the held rows over their buckets."""
        for number, frames in self._held.items():
            rows = pl.concat(frames)
            parts: dict[tuple[Any, ...], pl.DataFrame] = {(number,): rows}
            if number is None:
                parts = rows.partition_by(_BUCKET, as_dict=True, include_key=False)
            for (bucket,), part in parts.items():
                self._pieces.setdefault(int(bucket), []).append(self._written(part) if to_disk else part)
        self._held, self._held_bytes = {}, 0

    def _written(self, rows: pl.DataFrame) -> Path:
        path = self._folder / f"{self._name}-{self._files:06d}.arrow"
        self._files += 1
        # Compressed, rows of text need a tenth of the disk and a tenth more time.
        rows.write_ipc(path, compression="zstd")
        return path
