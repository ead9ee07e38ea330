"""Rows set aside by number, in memory while they are few and on disk when they are many.

What does not fit into memory is split by a key and settled one bucket at a time. Many
buckets are filled in two steps, as in a radix sort: rows are first written to a few groups
of buckets, and a group is split when it is read. Written to hundreds of buckets at once,
rows would make ever smaller files, and a row would cost more the more there are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from threading import RLock

import polars as pl

HELD_BYTES = 64 * 1024 * 1024
"""Bytes of rows held in memory before they are written to disk."""

BATCH_ROWS = 100_000
"""Rows in one batch of `batches`, where there are so many."""

GROUPS = 128
"""The most files that buckets write at once. Each costs up to 1 ms, most of it for starting its compression."""

_BUCKET = "bucket"


class NumberedRows:
    """Frames of one schema by number. All rows are added before the first is read back."""

    def __init__(self, folder: Path, name: str, *, held_bytes: int | None = None) -> None:
        """`name` distinguishes these files from the others in `folder`; `held_bytes` defaults to HELD_BYTES."""
        self._folder = folder
        self._name = name
        self._most_held = HELD_BYTES if held_bytes is None else held_bytes
        self._pieces: dict[int, list[Path | pl.DataFrame]] = {}
        self._files = 0
        self.held_bytes = 0
        """Of the rows in memory."""

    def add(self, rows: pl.DataFrame, number: int) -> None:
        """Add rows under a number."""
        self.hold({number: _with_own_texts(rows)})

    def hold(self, parts: Mapping[int, pl.DataFrame]) -> None:
        """Add rows under each number. They are kept as they are, so their texts must be their own."""
        for number, rows in parts.items():
            if rows.height:
                self._pieces.setdefault(number, []).append(rows)
                self.held_bytes += int(rows.estimated_size())
        if self.held_bytes > self._most_held:
            self.write()

    def write(self) -> None:
        """Write the rows in memory to disk, a file for each number. Others may read meanwhile."""
        for number, pieces in self._pieces.items():
            held = [piece for piece in pieces if isinstance(piece, pl.DataFrame)]
            if held:
                path = self._folder / f"{self._name}-{self._files:06d}.arrow"
                self._files += 1
                # lz4 leaves a third of the bytes. zstd would leave a quarter, and take twice the time.
                pl.concat(held).write_ipc(path, compression="lz4")
                self._pieces[number] = [*(piece for piece in pieces if isinstance(piece, Path)), path]
        self.held_bytes = 0

    def numbers(self) -> list[int]:
        """The numbers that have rows, in order."""
        return sorted(self._pieces)

    def batches(self, number: int) -> Iterator[pl.DataFrame]:
        """The rows under a number in the order in which they were added; may be called more than once."""
        batch: list[pl.DataFrame] = []
        rows = 0
        for piece in tuple(self._pieces.get(number, ())):
            # Not scan_ipc, which fails where neither HOME nor USER nor POLARS_TEMP_DIR is set.
            batch.append(pl.read_ipc(piece, memory_map=False) if isinstance(piece, Path) else piece)
            rows += batch[-1].height
            if rows >= BATCH_ROWS:
                yield pl.concat(batch)
                batch, rows = [], 0
        if batch:
            yield pl.concat(batch)

    def forget(self, number: int) -> None:
        """Drop the rows under a number, from disk too."""
        for piece in self._pieces.pop(number, ()):
            if isinstance(piece, Path):
                piece.unlink()
            else:
                self.held_bytes -= int(piece.estimated_size())


class Buckets:
    """Rows of one schema, distributed over buckets. All rows are added before the first is read back."""

    def __init__(self, folder: Path, name: str, bucket: pl.Expr, *, held_bytes: int | None = None) -> None:
        """`bucket` gives the number of a row's bucket; the rest is as for NumberedRows."""
        self._folder, self._name = folder, name
        self._bucket = bucket.cast(pl.UInt32)
        self._most_held = HELD_BYTES if held_bytes is None else held_bytes
        self._groups = NumberedRows(folder, name, held_bytes=held_bytes)
        self._numbers: dict[int, set[int]] = {}
        self._split: dict[int, Buckets] = {}
        self._lock = RLock()

    @property
    def held_bytes(self) -> int:
        """Of the rows in memory."""
        return self._groups.held_bytes + sum(split.held_bytes for split in self._split.values())

    def add(self, rows: pl.DataFrame) -> None:
        """Add rows, each to its bucket."""
        self._distribute(_with_own_texts(rows))

    def numbers(self) -> list[int]:
        """The buckets that have rows, those of a group side by side."""
        return [number for _, numbers in sorted(self._numbers.items()) for number in sorted(numbers)]

    def batches(self, bucket: int) -> Iterator[pl.DataFrame]:
        """The rows of a bucket in the order in which they were added; may be called more than once, and by threads."""
        group = bucket % GROUPS
        numbers = self._numbers.get(group, set())
        if bucket not in numbers:
            return iter(())
        if len(numbers) == 1:
            return self._groups.batches(group)
        with self._lock:
            if group not in self._split:
                self._split_group(group)
        return self._split[group].batches(bucket // GROUPS)

    def forget(self, bucket: int) -> None:
        """Drop the rows of a bucket that has been read, from disk too."""
        group = bucket % GROUPS
        with self._lock:
            if group in self._split:
                self._split[group].forget(bucket // GROUPS)
            elif self._numbers.get(group) == {bucket}:
                self._groups.forget(group)

    def write(self) -> None:
        """Write the rows in memory to disk. Others may read meanwhile."""
        with self._lock:
            self._groups.write()
            for split in self._split.values():
                split.write()

    def _distribute(self, rows: pl.DataFrame) -> None:
        if rows.is_empty():
            return
        rows = rows.with_columns(self._bucket.alias(_BUCKET))
        for bucket in rows.get_column(_BUCKET).unique():
            self._numbers.setdefault(bucket % GROUPS, set()).add(bucket)
        groups = rows.with_columns(pl.col(_BUCKET) % GROUPS).partition_by(_BUCKET, as_dict=True, include_key=False)
        self._groups.hold({group: part for (group,), part in groups.items()})

    def _split_group(self, group: int) -> None:
        split = Buckets(self._folder, f"{self._name}-{group}", self._bucket // GROUPS, held_bytes=self._most_held)
        for rows in self._groups.batches(group):
            split._distribute(rows)
        self._groups.forget(group)
        self._split[group] = split
        # Where buckets are read in order and forgotten, two threads have no more than two groups of these.
        if self.held_bytes > 2 * self._most_held:
            self.write()


def _with_own_texts(rows: pl.DataFrame) -> pl.DataFrame:
    """Copy texts: one of more than 12 bytes is a view, so a few rows would keep the texts of their whole chunk."""
    return rows.with_columns(pl.col(pl.String) + "")
