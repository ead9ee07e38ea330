"""Transactions are dropped only when the dimensions that are dropped with them are loaded."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

import cli.drops.uploads
import cli.pipelines.pipeline
from cli.drops.status import DropStatus, Phase
from cli.loads.loads import Load
from cli.main import app
from schemas.drops import Drop
from schemas.reports import Error
from tests.lambdas.reports import failed, succeeded

FAULT = "dim_products.csv, line 2: price 'cheap' is not a decimal number"


@pytest.mark.parametrize("is_loaded", [True, False], ids=["loaded", "refused"])
def test_transactions_wait_for_their_dimensions(
    is_loaded: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dropped: list[str] = []

    def upload(_: object, path: Path, key: str) -> Drop:
        dropped.append(path.name)
        return Drop("bucket", key, "v1")

    def ended(drop: Drop) -> Load:
        if is_loaded:
            return Load(DropStatus(drop, Phase.ARCHIVED, succeeded(drop), attempt=1), ())
        report = failed(drop, error=Error(FAULT, False, "FileRefused"))
        return Load(DropStatus(drop, Phase.FAILED, report, attempt=1), ())

    pipeline = SimpleNamespace(stack_option="")
    monkeypatch.setattr(cli.pipelines.pipeline, "find_pipeline", lambda _: pipeline)
    monkeypatch.setattr(cli.drops.uploads, "refuse_unversioned", lambda _: None)
    monkeypatch.setattr(cli.drops.uploads, "upload", upload)
    monkeypatch.setattr(cli.drops.uploads, "wait_until_settled", lambda _, drops, **__: [ended(drop) for drop in drops])
    for name in ("dim_products.csv", "till_2023-03-15.csv"):
        (tmp_path / name).touch()
    result = CliRunner().invoke(app, ["drop", str(tmp_path)])
    if is_loaded:
        assert (result.exit_code, dropped) == (0, ["dim_products.csv", "till_2023-03-15.csv"])
        return
    assert (result.exit_code, dropped) == (1, ["dim_products.csv"])
    sentence = "dim_products.csv was not loaded, so no file of transactions was dropped: line 2: price 'cheap' is not"
    assert sentence in result.stderr
