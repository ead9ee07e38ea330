"""The marks of repeated ids: no repeated one is missed, and few others are taken for repeated."""

import polars as pl
import pytest

from jobs.rows.marks import ID_HASH, Marks, mark, marks_per_bucket

IDS = 200_000
REPEATED = 60_000


@pytest.mark.parametrize("buckets", [1, 3])
def test_marks_miss_no_repeated_id_and_have_few_others(buckets: int) -> None:
    numbers = pl.int_range(IDS, eager=True)
    ids = pl.DataFrame({"transaction_id": pl.concat([numbers, numbers.head(REPEATED)])})
    ids = ids.select(pl.col("transaction_id").cast(pl.String()))
    hashes = ids.select(ID_HASH).to_series()
    per_bucket = marks_per_bucket(ids.height, buckets)

    by_bucket = (mark(hashes.filter(hashes % buckets == at), buckets, per_bucket) for at in range(buckets))
    marks = Marks.of(by_bucket, buckets, per_bucket)
    marked = marks.are_on(ids)

    assert (marks.repeated_ids, marks.repeating_rows) == (REPEATED, 2 * REPEATED)
    assert marked.head(REPEATED).all()
    assert marked.tail(REPEATED).all()
    # By the formula of a Bloom filter: each id sets two of 16 x 260,000 marks, so 0.08 % of the others have both.
    others = marked[REPEATED:IDS]
    assert int(others.sum()) < others.len() // 500
