"""The demo compares the results with the generator's expectations."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from cli.demo.expected import differences

FACT = pl.DataFrame({"transaction_id": ["T1", "T2"], "quantity": [1, 2], "total_amount": [Decimal("1.00"), None]})
LINEAGE = FACT.with_columns(source_key=pl.lit("transactions/a.csv"), source_line=pl.Series([2, 3]))
TOTALS = {"rows_read": 3, "inserted": 2, "rejected": 1, "reject_reasons": {"unknown_product": 1}}


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Data with its expectations, and the results of a run that meets them."""
    data, out = tmp_path / "data", tmp_path / "out"
    (data / "expected").mkdir(parents=True)
    out.mkdir()
    LINEAGE.write_parquet(data / "expected" / "fact_transactions.parquet")
    (data / "expected" / "summary.json").write_text(json.dumps(TOTALS))
    write_found(out, LINEAGE)
    return data, out


def write_found(out: Path, fact: pl.DataFrame) -> None:
    uri = pl.concat_str(pl.lit("s3://drop/"), "source_key")
    fact.with_columns(source_uri=uri, load_id=pl.lit("0123456789abcdef")).drop("source_key").write_parquet(
        out / "fact_transactions.parquet"
    )


def test_a_run_that_came_out_as_meant_has_no_differences(folders: tuple[Path, Path]) -> None:
    assert differences(*folders, {**TOTALS, "seconds": 1}, in_order=True) == []


@pytest.mark.parametrize(
    "fact",
    [
        LINEAGE.head(1),
        LINEAGE.with_columns(quantity=pl.lit(5)),
        LINEAGE.with_columns(source_line=pl.lit(9)),
        pl.concat([LINEAGE, LINEAGE.tail(1).with_columns(transaction_id=pl.lit("T3"))]),
    ],
)
def test_a_fact_that_differs_in_any_row_is_reported(folders: tuple[Path, Path], fact: pl.DataFrame) -> None:
    write_found(folders[1], fact)
    (sentence,) = differences(*folders, TOTALS, in_order=False) or []
    assert "fact_transactions lacks" in sentence


def test_totals_count_only_where_the_days_came_in_order(folders: tuple[Path, Path]) -> None:
    summary = {**TOTALS, "inserted": 1}
    assert differences(*folders, summary, in_order=True) == ["inserted is 1, but expected/ has 2"]
    assert differences(*folders, summary, in_order=False) == []


def test_each_reject_reason_is_compared_alone(folders: tuple[Path, Path]) -> None:
    summary = {**TOTALS, "reject_reasons": {"invalid_status": 1}}
    assert differences(*folders, summary, in_order=True) == [
        "rejected for unknown_product is 0, but expected/ has 1",
        "rejected for invalid_status is 1, but expected/ has 0",
    ]


def test_data_without_expectations_are_not_compared(tmp_path: Path) -> None:
    assert differences(tmp_path, tmp_path, {}, in_order=True) is None
