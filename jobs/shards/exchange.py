"""Rows that tasks pass to each other: one object per task, with the rows of each bucket side by side."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import polars as pl

from jobs.buckets import Buckets, NumberedRows
from jobs.s3 import Prefix

ARROW = "application/vnd.apache.arrow.file"


class _Piece(NamedTuple):
    bucket: int
    start: int
    stop: int


@dataclass(frozen=True)
class Handed:
    """The rows that one task passes on."""

    name: str
    """The object's name below the attempt's prefix."""
    pieces: tuple[_Piece, ...] = ()
    rows: int = 0
    """The task's rows; 0 if only a bucket of it is listed."""


def by_bucket(handed: Iterable[Handed]) -> dict[int, list[Handed]]:
    """The rows of each bucket, in the order of the tasks; the buckets in order."""
    pieces: dict[int, dict[str, list[_Piece]]] = {}
    for of_task in handed:
        for piece in of_task.pieces:
            pieces.setdefault(piece.bucket, {}).setdefault(of_task.name, []).append(piece)
    return {
        bucket: [Handed(name, tuple(of_task)) for name, of_task in of_bucket.items()]
        for bucket, of_bucket in sorted(pieces.items())
    }


def hand_on(buckets: Buckets | NumberedRows, prefix: Prefix, name: str) -> Handed:
    """Upload the rows of all buckets as one object; none where there is no row."""
    pieces: list[_Piece] = []
    rows = 0

    def blocks() -> Iterator[bytes]:
        nonlocal rows
        at = 0
        for bucket in buckets.numbers():
            for batch in buckets.batches(bucket):
                block = io.BytesIO()
                batch.write_ipc(block, compression="zstd")
                size = block.tell()
                pieces.append(_Piece(bucket, at, at + size))
                rows, at = rows + batch.height, at + size
                yield block.getvalue()

    if buckets.numbers():
        prefix.upload_blocks(blocks(), name, ARROW)
    return Handed(name, tuple(pieces), rows)


def read_handed(handed: Iterable[Handed], prefix: Prefix) -> Iterator[tuple[int, pl.DataFrame]]:
    """The rows with their buckets, a batch at a time, in the order of the tasks."""
    for of_task in handed:
        for bucket, start, stop in of_task.pieces:
            yield bucket, pl.read_ipc(prefix.read(of_task.name, start, stop), memory_map=False)
