"""Facts that no program can share, because a file of another language or a type repeats them."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from schemas import amount_classes
from schemas.drops import CUSTOMERS, PRODUCTS
from schemas.reject_reasons import REJECT_REASONS, WAITS_FOR
from schemas.runs import JobArguments
from schemas.sources import CONTRACT_COLUMNS, CUSTOMER_COLUMNS, PRODUCT_COLUMNS
from schemas.warehouse.tables import DIMENSIONS, TRANSACTION_COLUMNS

PULUMI = Path(__file__).parents[2] / "Pulumi.yaml"


def test_the_typed_columns_are_the_contracts() -> None:
    assert tuple(column.name for column in TRANSACTION_COLUMNS) == CONTRACT_COLUMNS
    for dimension, columns in ((PRODUCTS, PRODUCT_COLUMNS), (CUSTOMERS, CUSTOMER_COLUMNS)):
        assert tuple(column.name for column in DIMENSIONS[dimension].source_columns) == columns


def test_a_waiting_rows_reason_names_the_key_of_its_dimension() -> None:
    keys = {reason: DIMENSIONS[dimension].table.key for reason, dimension in WAITS_FOR.items()}
    assert keys == {reason: REJECT_REASONS[reason].column for reason in WAITS_FOR}


@pytest.mark.parametrize(
    ("key", "default"),
    [
        ("amountClasses", amount_classes.DEFAULT),
        ("warehouseLockSeconds", JobArguments.warehouse_lock_seconds),
        ("warehouseStatementSeconds", JobArguments.warehouse_statement_seconds),
        ("keepHistory", JobArguments.keep_history),
        ("sameKey", JobArguments.same_key),
        ("orphanDays", JobArguments.orphan_days),
    ],
)
def test_the_stacks_defaults_are_the_jobs(key: str, default: str) -> None:
    declared = yaml.safe_load(PULUMI.read_text(encoding="utf-8"))["config"][key]["default"]
    assert str(declared).lower() == default.lower()
