"""The key under which a file is dropped."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.drops.keys import files_to_drop, key_of
from cli.main import app
from cli.refusals import Refused


@pytest.mark.parametrize(
    ("name", "day", "key"),
    [
        ("dim_products_new.csv", None, "dimensions/dim_products_new.csv"),
        ("transactions_2023-03-15.csv", None, "transactions/year=2023/month=03/day=15/transactions_2023-03-15.csv"),
        ("late rows.csv.gz", "2023-03-15", "transactions/year=2023/month=03/day=15/late rows.csv.gz"),
        ("till_2023-03-15.csv", "2023-03-16", "transactions/year=2023/month=03/day=16/till_2023-03-15.csv"),
    ],
)
def test_a_files_name_or_the_given_day_says_its_key(name: str, day: str | None, key: str) -> None:
    assert key_of(name, day) == key


@pytest.mark.parametrize(("name", "day"), [("rows.csv", None), ("rows_2023-02-30.csv", None), ("rows.csv", "soon")])
def test_a_file_without_a_day_is_refused(name: str, day: str | None) -> None:
    with pytest.raises(Refused, match="--day YYYY-MM-DD"):
        key_of(name, day)


@pytest.mark.parametrize("command", ["drop", "plan", "check"])
@pytest.mark.parametrize("name", ["till_2023-03-15.csv", "transactions/year=2023/month=03/day=15/till.csv"])
def test_a_given_day_must_be_the_files_own_day(command: str, name: str, tmp_path: Path) -> None:
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).touch()
    given = tmp_path if command != "check" else tmp_path / name
    refused = CliRunner().invoke(app, [command, str(given), "--day", "2023-03-16"])
    assert refused.exit_code == 2
    assert "is of 2023-03-15, and --day is 2023-03-16; leave out --day, or rename the file" in refused.stderr


def test_the_given_day_is_for_files_without_one(tmp_path: Path) -> None:
    for name in ("dim_products_2023-01-01.csv", "till_2023-03-15.csv", "late.csv"):
        (tmp_path / name).touch()
    keys = [file.key for file in files_to_drop([tmp_path], "2023-03-15")]
    folder = "transactions/year=2023/month=03/day=15/"
    assert keys == ["dimensions/dim_products_2023-01-01.csv", f"{folder}late.csv", f"{folder}till_2023-03-15.csv"]


def test_the_given_day_replaces_one_that_no_calendar_has(tmp_path: Path) -> None:
    (tmp_path / "till_2023-02-30.csv").touch()
    (file,) = files_to_drop([tmp_path], "2023-03-01")
    assert file.key == "transactions/year=2023/month=03/day=01/till_2023-02-30.csv"
