"""Which transaction_ids a file speaks of more than once, and which row wins, in bounded memory.

Sorting ten million rows to find a few that repeat would cost more than all else. So the
ids alone are read first, as 64-bit hashes: rows whose hash occurs once go straight to
the warehouse, the others (a collision of hashes among them does no harm) are set aside
and settled exactly. Only ids that do repeat are paid for.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from jobs.csv.reader import SourceFile
from jobs.rows.validation import latest

# At 8 bytes a hash and as much again to sort them, a pass over a file of this size stays below
# 0.4 GB even where rows are as short as rows can be.
_BYTES_PER_PASS = 1024 * 1024 * 1024
_ROWS_PER_PASS = 1_000_000

# One id in a hundred is set aside for nothing; the most marks take 8 MiB.
_MARKS_PER_HASH = 100
_MOST_MARKS = 64 * 1024 * 1024

_HASH = pl.col("transaction_id").hash()


def repeated_hashes(source: SourceFile) -> pl.Series:
    """The hash of each transaction_id that stands in more than one row, whether accepted or not."""
    passes = 1 + source.path.stat().st_size // _BYTES_PER_PASS
    return pl.concat([_repeated(source, part, passes) for part in range(passes)])


def _repeated(source: SourceFile, part: int, passes: int) -> pl.Series:
    hashes = [pl.Series("hash", [], dtype=pl.UInt64)]
    for ids in source.transaction_ids():
        trimmed = ids.select(pl.col("transaction_id").str.strip_chars())
        chunk = trimmed.select(_HASH.alias("hash")).to_series()
        hashes.append(chunk if passes == 1 else chunk.filter(chunk % passes == part))
    ordered = pl.concat(hashes).sort()
    return ordered[1:].filter(ordered[1:] == ordered[:-1]).unique()


class DuplicateCandidates:
    """Accepted rows whose transaction_id may stand in the file more than once, set aside on disk."""

    def __init__(self, repeated: pl.Series, folder: Path) -> None:
        self._none = repeated.is_empty()
        # A table of marks instead of a set of hashes, which Polars would build anew for every chunk. An id that
        # shares another's mark is contested as well, which costs it the long way and nothing else.
        marks = min(max(repeated.len() * _MARKS_PER_HASH, 1024), _MOST_MARKS)
        self._mark = _HASH % marks
        self._marked = pl.zeros(marks, dtype=pl.UInt8(), eager=True).scatter(repeated % marks, 1).cast(pl.Boolean())
        self._folder = folder
        self._rows = 0

    def split(self, accepted: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        """(rows that nobody contests, rows to be set aside)."""
        if self._none or accepted.is_empty():
            return accepted, accepted.clear()
        is_contested = self._marked.gather(accepted.select(self._mark).to_series())
        return accepted.filter(~is_contested), accepted.filter(is_contested)

    def set_aside(self, rows: pl.DataFrame, chunk: int) -> None:
        if rows.height:
            rows.write_ipc(self._folder / f"contested-{chunk:05d}.arrow")
            self._rows += rows.height

    def winners(self) -> Iterator[pl.DataFrame]:
        """One row for each contested id, some ids at a time."""
        if not self._rows:
            return
        passes = 1 + self._rows // _ROWS_PER_PASS
        paths = sorted(self._folder.glob("contested-*.arrow"))
        for part in range(passes):
            # Not scan_ipc, which fails where neither HOME nor USER nor POLARS_TEMP_DIR is set.
            rows = pl.concat(pl.read_ipc(path, memory_map=False).filter(_HASH % passes == part) for path in paths)
            if rows.height:
                yield latest(rows)
