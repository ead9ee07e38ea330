"""Every row that the job loads has the outcome that the generator expects."""

from __future__ import annotations

from collections import Counter
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from mock_data import MockData, MockDataArgs
from schemas.warehouse.tables import COUNTS
from tests.loads.shop import Shop

pytestmark = pytest.mark.flow

DAYS = 3


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (7, 2023))])
def test_every_row_becomes_what_the_generator_meant(shop: Shop, tmp_path: Path, seed: int) -> None:
    args = MockDataArgs(start=date(2023, 3, 14), days=DAYS, rows=600, products=60, customers=200, seed=seed, faults=0.1)
    keys = list(MockData(args).write(tmp_path))
    reports = {}
    for key in keys:
        report = shop.run(shop.upload(key, (tmp_path / key).read_bytes()))
        assert report.outcome == "succeeded", report.error
        if key.startswith("transactions/"):
            reports[key] = report
    assert len(reports) == DAYS

    lines_of_winners = Counter()
    for key, report in reports.items():
        expected = pl.read_parquet(tmp_path / "expected" / "outcomes" / f"{Path(key).stem}.parquet")
        outcomes = Counter(expected["outcome"].to_list())
        assert report.counts == {"rows_read": expected.height, **{name: outcomes[name] for name in COUNTS[1:]}}
        header, rejected = shop.rejected(report)
        line, reasons = header.index("source_line"), header.index("reject_reasons")
        is_rejected = expected.filter(pl.col("outcome") == "rejected").sort("source_line")
        assert [(row[line], row[reasons]) for row in rejected] == [
            (str(number), text) for number, text in is_rejected.select("source_line", "reject_reasons").rows()
        ]
        lines_of_winners.update(outcomes)

    meant_fact = pl.read_parquet(tmp_path / "expected" / "fact_transactions.parquet")
    columns = [name for name in meant_fact.columns if name not in ("source_key", "transaction_id")]
    actual = {
        transaction_id: {**{name: row[name] for name in columns}, "source_key": row["source_uri"].split("/", 3)[3]}
        for transaction_id, row in shop.fact().items()
    }
    text = meant_fact.cast({pl.Categorical: pl.String, pl.Enum: pl.String}, strict=False)
    assert actual == {
        row["transaction_id"]: {name: row[name] for name in (*columns, "source_key")} for row in text.rows(named=True)
    }
    assert len(actual) == lines_of_winners["inserted"]
