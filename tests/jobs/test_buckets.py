"""Rows kept in buckets need memory for themselves alone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

_CHECKOUT = Path(__file__).parents[2]

_KEEP_FEW_ROWS_OF_MANY_CHUNKS = """
import sys
from pathlib import Path

import polars as pl

from jobs.buckets import Buckets


def anonymous_memory():
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("RssAnon")) * 1024


by_value = sys.argv[1] == "by value"
buckets = Buckets(Path("unused"), "few")
for number in range(40):
    text = "".join(f"{number:05},{row:030},{row % 7}\\n" for row in range(100_000)).encode()
    chunk = pl.read_csv(text, has_header=False, schema={name: pl.String() for name in "abc"}, rechunk=True)
    few = chunk.head(10) if number % 2 else chunk.filter(pl.col("b").str.ends_with("99999"))
    buckets.add(few, pl.col("c").cast(pl.UInt32) if by_value else number)
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
