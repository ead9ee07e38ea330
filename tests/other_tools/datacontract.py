"""The tool `datacontract` finds the contract true of the tables that a deployment creates and a load fills.

Run by `make test-contract`. The name of this module keeps it out of `make test`, whose workbench has no such tool.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from cli.program.contract import CONTRACT
from local.local_cloud import LocalCloud
from tests.local.local_clouds import GOOD, ROOT, put, started, transactions, transactions_key

TOOL = ROOT / ".venv-contract" / "bin" / "datacontract"
DOCUMENT = yaml.safe_load(CONTRACT.read_text(encoding="utf-8"))
COLUMNS = {f"{table['name']}__{column['name']}" for table in DOCUMENT["schema"] for column in table["properties"]}


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloud]:
    """With rows in every table of the contract."""
    with started(tmp_path_factory.mktemp("contract"), {"sampleDimensions": "true"}) as running:
        running.wait_until_idle()
        put(running, transactions_key(15), transactions(*(GOOD.format(number=number, day=15) for number in range(3))))
        running.wait_until_idle()
        yield running


def run(*words: str, user: str = "") -> int:
    """Run the tool, signed in as a user of the warehouse; returns its exit status."""
    variables = {"DATACONTRACT_POSTGRES_USERNAME": user, "DATACONTRACT_POSTGRES_PASSWORD": "none is needed"}
    command = [str(TOOL), *words]
    return subprocess.run(command, env={**os.environ, **variables}, stdout=subprocess.DEVNULL, check=False).returncode


def results_of(cloud: LocalCloud, folder: Path) -> tuple[int, dict[str, Any]]:
    """The exit status of `datacontract test`, and the result of each check by its key."""
    where = cloud.warehouse.running().postgres_connection(cloud.outputs["database"])
    user = where.pop("user")
    server = {"server": "local", "type": "postgres", "schema": "public", **where}
    contract, results = folder / "shop.odcs.yaml", folder / "results.json"
    contract.write_text(yaml.safe_dump({**DOCUMENT, "servers": [server]}), encoding="utf-8")
    status = run("test", str(contract), "--output", str(results), "--output-format", "json", user=user)
    checks = json.loads(results.read_text(encoding="utf-8"))["checks"]
    return status, {check["key"]: check["result"] for check in checks}


def test_the_contract_has_no_fault(tmp_path: Path) -> None:
    broken = tmp_path / "broken.odcs.yaml"
    broken.write_text(yaml.safe_dump({**DOCUMENT, "schema": "none"}), encoding="utf-8")
    assert (run("lint", str(CONTRACT)), run("lint", str(broken))) == (0, 1)


def test_the_tables_are_as_the_contract_says(cloud: LocalCloud, tmp_path: Path) -> None:
    status, checks = results_of(cloud, tmp_path)
    assert (status, set(checks.values())) == (0, {"passed"})
    for check in ("field_is_present", "field_physical_type"):
        assert {key.rpartition("__")[0] for key in checks if key.endswith(check)} == COLUMNS


def test_tables_that_differ_from_the_contract_are_found(cloud: LocalCloud, tmp_path: Path) -> None:
    with cloud.connect() as connection:
        cursor = connection.cursor()
        cursor.execute("UPDATE fact_transactions SET status = 'lost' WHERE transaction_id = 'T1'")
        cursor.execute("ALTER TABLE dim_customers RENAME COLUMN email TO mail")
        connection.commit()
    status, checks = results_of(cloud, tmp_path)
    failed = {key for key, result in checks.items() if result == "failed"}
    assert (status, {key.split("__")[1] for key in failed}) == (1, {"status", "email"})
