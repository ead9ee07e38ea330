"""docs/sources.md says what the job does: each of its examples is run."""

from __future__ import annotations

from dataclasses import fields
from datetime import date
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from jobs.load_dimensions import open_dimension
from jobs.rows.dimensions import DimensionRows
from schemas.sources import SourceSettings
from schemas.warehouse.tables import DIMENSIONS
from sources import known_sources
from tests import oracle
from tests.jobs.dry_run import dry_run
from tests.sources.examples import Example, examples

PRICES = {"P100": "12.50", "P200": "4.00", "P300": "120.00"}
PRODUCTS = {key: oracle.Product(key, f"Product {key}", "Tea", Decimal(price), "S1") for key, price in PRICES.items()}
CUSTOMERS = {
    key: oracle.Customer(key, "Ann", "One", "", "Gold") for key in ("C1", "C2", "7", "13085", "ann@example.com")
}


TRANSACTIONS = [example for example in examples() if example.heading not in ("products", "customers")]
DIMENSION_FILES = [example for example in examples() if example.heading in ("products", "customers")]


@pytest.mark.parametrize("example", DIMENSION_FILES, ids=lambda example: example.heading)
def test_the_example_of_a_dimension_is_what_the_job_does(example: Example, tmp_path: Path) -> None:
    dimension = DIMENSIONS[f"dim_{example.heading}"]
    path = tmp_path / "drop.csv"
    path.write_bytes(example.content)
    rows = DimensionRows(
        open_dimension(path, name=path.name, dimension=dimension, settings=example.settings), dimension
    )
    read = pl.concat(rows.chunks())
    rows.refuse_faults()
    values = [{name: str(row[name] or "") for name in example.rows[0]} for row in read.rows(named=True)]
    assert values == example.rows


@pytest.mark.parametrize("example", TRANSACTIONS, ids=lambda example: example.heading)
def test_the_example_is_what_the_job_does(example: Example) -> None:
    run = dry_run(
        example.content,
        products=PRODUCTS,
        customers=CUSTOMERS,
        partition_day=date(2023, 3, 15),
        source=example.settings,
    )
    assert run.error is None
    staged = sorted(run.staged, key=lambda row: row["source_line"])
    assert [{name: _shown(name, row[name]) for name in example.rows[0]} for row in staged] == example.rows
    assert _rejected(run.rejected) == example.rejected


def test_every_preset_and_every_setting_has_an_example() -> None:
    settings = [setting.name for setting in fields(SourceSettings) if setting.name != "name"]
    headings = dict.fromkeys(example.heading for example in examples())
    assert sorted(headings) == sorted([*known_sources(), *settings])


def _shown(name: str, value: object) -> str:
    return f"{Decimal(str(value)):.2f}" if name in ("unit_price", "total_amount") else str(value)


def _rejected(file: oracle.RejectedFile | None) -> dict[int, list[str]]:
    if file is None:
        return {}
    line, reasons = file.header.index("source_line"), file.header.index("reject_reasons")
    return {int(row[line]): row[reasons].split(";") for row in file.lines}
