"""The data contract for other tools is current and valid, and describes the warehouse's tables."""

from __future__ import annotations

import json
import re
from pathlib import Path

import jsonschema
import pytest
import yaml  # type: ignore[import-untyped]

from cli.program.contract import CONTRACT, rendered
from schemas.statuses import STATUSES

WRITTEN = CONTRACT.read_text(encoding="utf-8")
DOCUMENT = yaml.safe_load(WRITTEN)
STANDARD = json.loads((Path(__file__).parent / "odcs" / "odcs-json-schema-v3.1.0.json").read_text(encoding="utf-8"))
TABLES_SQL = (CONTRACT.parent / "tables.sql").read_text(encoding="utf-8")


def test_the_contract_is_current() -> None:
    assert rendered() == WRITTEN, "generate it again: .venv/bin/python -m cli.program.contract"


def test_the_contract_is_valid_by_the_standards_own_schema() -> None:
    validator = jsonschema.validators.validator_for(STANDARD)
    validator.check_schema(STANDARD)
    assert [error.message for error in validator(STANDARD).iter_errors(DOCUMENT)] == []
    broken = {**DOCUMENT, "schema": [{**DOCUMENT["schema"][0], "properties": [{"name": 5}]}]}
    assert list(validator(STANDARD).iter_errors(broken)) != []


@pytest.mark.parametrize("table", DOCUMENT["schema"], ids=lambda table: table["name"])
def test_columns_are_those_that_a_deployment_creates(table: dict[str, object]) -> None:
    created = re.search(rf"CREATE TABLE IF NOT EXISTS {table['name']} \((.*?)\n\)", TABLES_SQL, re.DOTALL)
    assert created is not None
    column = r"^\s*(\w+) ([A-Z]+(?:\([0-9,]+\))?)(?: DEFAULT \S+)?( NOT NULL)?"
    columns = re.findall(column, created[1], re.MULTILINE)
    described = [
        (column["name"], column["physicalType"], column["required"])
        for column in table["properties"]  # type: ignore[attr-defined]
    ]
    assert described == [(name, kind, not_null != "") for name, kind, not_null in columns if name != "PRIMARY"]


def test_what_a_reader_may_rely_on_is_in_it() -> None:
    fact, _, customers = DOCUMENT["schema"]
    columns = {column["name"]: column for column in fact["properties"]}
    assert columns["transaction_id"]["primaryKey"] is True
    assert columns["status"]["quality"][0]["arguments"]["validValues"] == list(STATUSES)
    assert columns["total_amount"]["transformSourceObjects"] == [
        "file.quantity",
        "file.unit_price",
        "dim_products.price",
    ]
    personal = [column["name"] for column in customers["properties"] if column.get("classification") == "personal"]
    assert personal == ["first_name", "last_name", "email"]
