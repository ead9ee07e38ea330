"""Rows kept in buckets come back whole and in order, at a cost that grows as they do."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest import mock

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.buckets import Buckets
from jobs.map_ordered import map_ordered
from tests.jobs.dry_run import small_pieces

_CHECKOUT = Path(__file__).parents[2]

_KEEP_FEW_ROWS_OF_MANY_CHUNKS = """
import sys
from pathlib import Path

import polars as pl

from jobs.buckets import Buckets, NumberedRows


def anonymous_memory():
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("RssAnon")) * 1024


by_value = sys.argv[1] == "by value"
buckets = Buckets(Path("unused"), "few", pl.col("c")) if by_value else NumberedRows(Path("unused"), "few")
for number in range(40):
    text = "".join(f"{number:05},{row:030},{row % 7}\\n" for row in range(100_000)).encode()
    chunk = pl.read_csv(text, has_header=False, schema={name: pl.String() for name in "abc"}, rechunk=True)
    few = chunk.head(10) if number % 2 else chunk.filter(pl.col("b").str.ends_with("99999"))
    buckets.add(few) if by_value else buckets.add(few, number)
    if number == 4:
        before = anonymous_memory()
    del text, chunk, few
print(anonymous_memory() - before, sum(rows.height for number in buckets.numbers() for rows in buckets.batches(number)))
"""


@pytest.mark.parametrize("by", ["by value", "by number"])
def test_a_few_rows_of_each_chunk_do_not_keep_the_texts_of_all(by: str) -> None:
    """35 chunks have 115 MB of texts; Polars' estimate of a frame's size does not count what its views point to."""
    run = subprocess.run(
        [sys.executable, "-c", _KEEP_FEW_ROWS_OF_MANY_CHUNKS, by],
        cwd=_CHECKOUT,
        env={**os.environ, "_RJEM_MALLOC_CONF": "narenas:1,dirty_decay_ms:0,muzzy_decay_ms:0"},
        check=True,
        timeout=300,
        capture_output=True,
        text=True,
    )
    grown, kept = map(int, run.stdout.split())
    assert kept == 20 * 10 + 20
    assert grown < 40_000_000


@given(
    st.lists(st.lists(st.integers(0, 40), max_size=12), max_size=8),
    st.sampled_from((1, 200, 1 << 30)),
    st.sampled_from((2, 3, 64)),
    st.integers(1, 30),
)
def test_a_bucket_has_its_rows_in_their_order(
    added: list[list[int]], held_bytes: int, groups: int, batch_rows: int
) -> None:
    of_bucket: dict[int, list[tuple[int, int]]] = {}
    with TemporaryDirectory() as folder, small_pieces(groups=groups, batch_rows=batch_rows, held_bytes=held_bytes):
        buckets = Buckets(Path(folder), "rows", pl.col("key") // 2)
        for at, keys in enumerate(added):
            rows = pl.DataFrame({"key": keys, "at": [at] * len(keys)}, schema={"key": pl.Int64(), "at": pl.Int64()})
            buckets.add(rows)
            for key in keys:
                of_bucket.setdefault(key // 2, []).append((key, at))
        assert sorted(buckets.numbers()) == sorted(of_bucket)
        with ThreadPoolExecutor(3) as pool:
            for _ in range(2):
                read = pool.map(lambda bucket: rows_of(buckets, bucket), range(22))
                assert list(read) == [of_bucket.get(bucket, []) for bucket in range(22)]
        numbers = buckets.numbers()
        for bucket, rows in zip(numbers, map_ordered(lambda bucket: rows_of(buckets, bucket), numbers)):
            assert rows == of_bucket[bucket]
            buckets.forget(bucket)
            assert rows_of(buckets, bucket) == []
        assert not any(Path(folder).iterdir())


def rows_of(buckets: Buckets, bucket: int) -> list[Any]:
    return [row for batch in buckets.batches(bucket) for row in batch.rows()]


def test_files_do_not_become_smaller_with_more_buckets(tmp_path: Path) -> None:
    """160 buckets that are written 130 times are not 20,800 files: each file costs as much as hundreds of rows."""
    rows, held_bytes, groups = 160_000, 10_000, 16
    with small_pieces(groups=groups, held_bytes=held_bytes), watched("write_ipc", pl.DataFrame) as write:
        read_all(filled(tmp_path, rows))
    assert write.call_count < 2 * rows * 8 / (held_bytes / groups)


@pytest.mark.parametrize("held_bytes", [20_000, 1 << 30], ids=["on disk", "in memory"])
def test_rows_that_were_on_disk_stay_there(tmp_path: Path, held_bytes: int) -> None:
    """Many groups are split, so what is split must not be held in memory. What was held needs no file."""
    rows = 40_000
    with small_pieces(groups=8, held_bytes=held_bytes):
        buckets = filled(tmp_path, rows)
        read_all(buckets)
        with watched("read_ipc", pl) as read:
            read_all(buckets)
    assert (sum(pl.read_ipc(call.args[0]).height for call in read.call_args_list) > 0.9 * rows) == (held_bytes < rows)
    assert held_bytes < rows or not any(tmp_path.iterdir())


def filled(folder: Path, rows: int) -> Buckets:
    """Buckets of a thousand rows each."""
    buckets = Buckets(folder, "rows", pl.col("key") % (rows // 1_000))
    for first in range(0, rows, 500):
        buckets.add(pl.DataFrame({"key": range(first, first + 500)}))
    return buckets


def read_all(buckets: Buckets) -> None:
    assert {len(rows_of(buckets, bucket)) for bucket in buckets.numbers()} == {1_000}


def watched(name: str, where: object) -> Any:
    return mock.patch.object(where, name, autospec=True, side_effect=getattr(where, name))
