"""The promise that memory grows with the dimensions and not with the file, held by a limit and not by a clock."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from benchmarks.compare import OURS
from benchmarks.measure import DiedError, Peer, measure
from benchmarks.output import read_output
from benchmarks.work import COLUMNS, Work
from schemas.statuses import STATUSES

MEBIBYTE = 2**20
ROWS, PRODUCTS, CUSTOMERS = 2_000_000, 1_000, 100_000
LIMIT = 1024 * MEBIBYTE
NAIVE = Peer("naive", "tests.benchmarks.naive")


def write_work(folder: Path, rows: int) -> Work:
    """A file of good rows, one in a hundred of them a later state of the row before it."""
    folder.mkdir()
    work = Work(folder)
    drawn = np.random.default_rng(7)
    numbers = np.arange(rows)
    numbers[99::100] -= 1
    # A later state names the same customer and product: it is the same sale.
    frame = pl.DataFrame(
        {
            "transaction_id": pl.Series(numbers + 10**10),
            "customer_id": pl.Series(drawn.integers(CUSTOMERS, size=rows)[numbers]),
            "product_id": pl.Series(drawn.integers(PRODUCTS, size=rows)[numbers]),
            "quantity": pl.Series(drawn.integers(1, 9, size=rows)),
            "transaction_date": pl.Series(np.arange(rows) % 86_400 * 1_000_000 + 1_678_838_400_000_000).cast(
                pl.Datetime("us")
            ),
            "status": pl.Series(drawn.integers(len(STATUSES), size=rows)),
        }
    )
    frame.select(
        pl.format("T{}", "transaction_id").alias("transaction_id"),
        pl.format("C{}", "customer_id").alias("customer_id"),
        pl.format("P{}", "product_id").alias("product_id"),
        "quantity",
        pl.col("transaction_date").dt.strftime("%Y-%m-%dT%H:%M:%SZ"),
        pl.col("status").replace_strict(dict(enumerate(STATUSES))),
    ).select(COLUMNS).write_csv(work.transactions)
    pl.select(number=pl.int_range(PRODUCTS)).select(
        product_id=pl.format("P{}", "number"),
        product_name=pl.lit("Widget"),
        category=pl.lit("Gadgets"),
        price=pl.lit("29.9900").cast(pl.Decimal(18, 4)),
        supplier_id=pl.lit("S123"),
    ).write_parquet(work.products)
    pl.select(number=pl.int_range(CUSTOMERS)).select(
        customer_id=pl.format("C{}", "number"), membership_level=pl.lit("Gold")
    ).write_parquet(work.customers)
    return work


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Work:
    return write_work(tmp_path_factory.mktemp("memory") / "data", ROWS)


def test_two_million_rows_are_staged_within_the_limit(work: Work, tmp_path: Path) -> None:
    measured = measure(OURS, work, tmp_path, limit_bytes=LIMIT)
    assert measured.rows_read == ROWS
    output = read_output(tmp_path, measured.rows_read)
    assert (output.staged, output.rejected) == (ROWS - ROWS // 100, 0)
    assert measured.peak_bytes <= LIMIT


def test_the_naive_transform_outgrows_the_limit(work: Work, tmp_path: Path) -> None:
    with pytest.raises(DiedError, match="needs more memory than"):
        measure(NAIVE, work, tmp_path, limit_bytes=LIMIT)


@pytest.mark.slow
def test_five_million_customers_are_read_within_the_limit(tmp_path: Path) -> None:
    """The limit leaves free what the warehouse's driver needs."""
    rows = 5_000_000
    with (tmp_path / "customers.csv").open("wb") as file:
        file.write(b"customer_id,first_name,last_name,email,membership_level\n")
        for first in range(0, rows, 500_000):
            number = pl.int_range(first, first + 500_000, eager=True).alias("number")
            columns = ("C{}", "Johanna", "Doe", "customer.{}@example.com", "Gold")
            block = number.to_frame().select(
                (pl.format(text, "number") if "{}" in text else pl.lit(text)).alias(text) for text in columns
            )
            block.write_csv(file, include_header=False)
    (tmp_path / "out").mkdir()
    peer = Peer("customers", "tests.benchmarks.customers")
    measured = measure(peer, Work(tmp_path), tmp_path / "out", limit_bytes=LIMIT - 200 * MEBIBYTE)
    assert measured.rows_read == rows
