"""`pipeline costs` counts the resources that the program declares."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cli.main import app
from cli.program.costs import Prices, beside_loads, usage_of
from cli.program.declared_resources import declared_resources
from tests.cli.terminals import checked
from tests.components.program import LARGE_WHEEL, PROJECT, ROOT, WHEEL

pytestmark = pytest.mark.flow


def costs(*options: str) -> Any:
    result = CliRunner().invoke(app, ["costs", "--json", *options])
    assert result.exit_code == 0, result.output
    return checked("costs", json.loads(result.stdout))


@pytest.mark.parametrize(("stack", "rpu"), [("dev", 4), ("prod", 8)])
def test_a_stack_is_counted_as_it_is_declared(stack: str, rpu: int) -> None:
    resources, region = declared_resources(ROOT, stack)
    usage = usage_of(resources)
    alarms = [item for item in resources if item.type == "aws:cloudwatch/metricAlarm:MetricAlarm"]
    assert (usage.alarms, usage.rpu, usage.dpu, region) == (len(alarms), rpu, 0.0625, "eu-west-1")
    assert (usage.interface_endpoints, usage.secrets) == (1, 1)
    shown = costs("--config", stack)
    assert shown["idle_month"][f"{len(alarms)} alarms"] == pytest.approx(len(alarms) * Prices.alarm_month)
    # Each load uses the warehouse for two minutes, at its configured size.
    assert shown["load"][f"Redshift, {rpu} RPU"] == pytest.approx(2 / 60 * rpu * Prices.redshift_rpu_hour)
    assert shown["beside_loads"]["an hour in which analysts query"] == pytest.approx(rpu * Prices.redshift_rpu_hour)


def test_workers_for_large_files_have_an_hourly_price_of_their_own(tmp_path: Path) -> None:
    shutil.copytree(ROOT, tmp_path / "program", ignore=shutil.ignore_patterns(".*", "build", "dist", "tests"))
    root = tmp_path / "program"
    (root / "dist").mkdir()
    for wheel in (WHEEL, LARGE_WHEEL):
        (root / "dist" / wheel).touch()
    config = root / "Pulumi.dev.yaml"
    large = f"  {PROJECT}:largeFileBytes: {1024**3}\n  {PROJECT}:largeJobWorkers: 8\n"
    config.write_text(config.read_text(encoding="utf-8").rstrip() + "\n" + large, encoding="utf-8")
    usage = usage_of(declared_resources(root, "dev")[0])
    assert (usage.dpu, usage.large_dpu) == (0.0625, 8)
    hour = beside_loads(Prices(), usage, 1000)["an hour of 8 workers for large files"]
    assert hour == pytest.approx(8 * 0.308)


def test_the_region_of_the_prices_is_named_beside_the_stacks() -> None:
    shown = CliRunner().invoke(app, ["costs"]).stdout
    assert "prices of us-east-1" in shown
    assert "The stack dev runs in eu-west-1, where prices differ somewhat" in shown


def test_a_month_is_its_idle_cost_and_its_loads() -> None:
    shown = costs("--rows", "2000000")
    total = sum(shown["idle_month"].values()) + 365 / 12 * sum(shown["load"].values())
    assert shown["month"] == pytest.approx(total)


def test_a_stack_without_a_file_is_refused() -> None:
    refused = CliRunner().invoke(app, ["costs", "--config", "nowhere"])
    assert (refused.exit_code, "there is no Pulumi.nowhere.yaml" in refused.stderr) == (2, True)
