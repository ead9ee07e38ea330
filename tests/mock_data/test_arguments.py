"""What the generator and `pipeline generate` accept, refuse and say."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from hypothesis import given
from hypothesis import strategies as st
from moto.server import ThreadedMotoServer
from typer.testing import CliRunner

from cli.main import app
from mock_data import MockData, MockDataArgs
from mock_data.calendar import plan_days

SMALL = ["--days", "2", "--rows", "40", "--products", "5", "--customers", "9"]


def generate(*arguments: object) -> Any:
    return CliRunner().invoke(app, ["generate", *map(str, arguments)])


@given(
    start=st.dates(date(1000, 1, 1), date(9999, 10, 1)),
    days=st.integers(1, 50),
    rows=st.integers(1, 2_000),
    faults=st.sampled_from([0.0, 0.02, 0.5, 0.97, 1.0]) | st.floats(0, 1),
    seed=st.integers(0, 2**63 - 1),
)
def test_all_files_together_have_exactly_the_rows_asked_for(
    start: date, days: int, rows: int, faults: float, seed: int
) -> None:
    plan = plan_days(MockDataArgs(start=start, days=days, rows=rows, faults=faults, seed=seed))
    assert [day.date for day in plan] == [start + timedelta(days=i) for i in range(days)]
    assert sum(day.rows for day in plan) == days * rows
    assert abs(sum(day.faults for day in plan) - faults * days * rows) < 0.5 + 1e-6, "whole, and the share is a float"
    assert all(segment.count > 0 for day in plan for segment in day.segments)


@given(days=st.integers(7, 60), rows=st.integers(500, 100_000))
def test_days_differ_by_the_week_and_not_wildly(days: int, rows: int) -> None:
    lengths = [day.rows for day in plan_days(MockDataArgs(days=days, rows=rows))]
    assert 0.8 * rows < min(lengths) < rows < max(lengths) < 1.35 * rows


@pytest.mark.parametrize("start", [date(1000, 1, 1), date(9999, 12, 28)])
def test_the_first_and_last_years_are_written_as_dates_too(tmp_path: Path, start: date) -> None:
    for _ in MockData(MockDataArgs(start=start, days=3, rows=600, faults=0.2)).write(tmp_path):
        pass
    assert f",{start.isoformat()}T" in next(tmp_path.rglob(f"transactions_{start}.csv")).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"days": 0}, "days is 0; give a whole number from 1 to 100000"),
        ({"rows": -5}, "rows is -5; give a whole number from 1 to 9999999999"),
        ({"products": 0}, "products is 0; give a whole number from 1 to 10000000"),
        ({"customers": 0}, "customers is 0; give a whole number from 1 to 10000000"),
        ({"seed": -1}, "seed is -1; give a whole number from 0 to 9223372036854775807"),
        ({"faults": 1.01}, "faults is 1.01; it is a share of the rows, so give a number from 0 to 1"),
        ({"faults": float("nan")}, "faults is nan; it is a share of the rows, so give a number from 0 to 1"),
        (
            {"days": 1_000, "rows": 10_000_000},
            "1000 days of 10000000 rows are 10000000000 rows; ask for at most 9999999999 in all",
        ),
        (
            {"start": "9999-12-31", "days": 1},
            "1 days from 9999-12-31 leave the calendar; start in the year 1000 or later and end before 9999-12-31",
        ),
        ({"start": "2023-02-30"}, "start is '2023-02-30'; give a day of the calendar as YYYY-MM-DD"),
    ],
)
def test_arguments_that_cannot_be_fulfilled_are_refused_with_one_sentence(
    tmp_path: Path, wrong: dict[str, Any], sentence: str
) -> None:
    options = [text for name, value in wrong.items() for text in (f"--{name}", str(value))]
    result = generate("--out", tmp_path / "out", *options)
    assert (result.exit_code, result.stderr) == (2, f"pipeline generate: {sentence}\n")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("target", [[], ["--out", "somewhere", "--bucket", "shop"]])
def test_one_of_out_and_bucket_is_asked_for(target: list[str]) -> None:
    result = generate(*target)
    sentence = "give either --out FOLDER to write files or --bucket NAME to upload them, one of the two"
    assert (result.exit_code, result.stderr) == (2, f"pipeline generate: {sentence}\n")


def test_a_folder_that_holds_something_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "kept.txt").write_text("mine")
    result = generate("--out", tmp_path, *SMALL)
    assert result.exit_code == 2
    assert result.stderr == (
        f"pipeline generate: --out {tmp_path} is not empty; name a new folder, for files of two runs must not mix\n"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["kept.txt"]
    result = generate("--out", tmp_path / "kept.txt", *SMALL)
    assert (result.exit_code, "is a file; name a folder" in result.stderr) == (2, True)


def test_a_folder_that_cannot_be_written_ends_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = generate("--out", tmp_path / "file" / "out", *SMALL)
    assert result.exit_code == 1
    assert result.stderr.startswith(f"pipeline generate: cannot write to {tmp_path / 'file' / 'out'}: Not a directory")


def test_files_are_written_and_the_command_says_how_many(tmp_path: Path) -> None:
    result = generate("--out", tmp_path / "out", "--no-expected", *SMALL)
    assert result.exit_code == 0
    assert result.stdout.startswith("80 rows in 2 transactions files and 2 dimension files (")
    assert f"written to {tmp_path / 'out'} in " in result.stdout
    assert len([path for path in (tmp_path / "out").rglob("*") if path.is_file()]) == 4
    result = generate("--out", tmp_path / "again", *SMALL)
    assert result.stdout.endswith(f"expected outcomes in {tmp_path / 'again' / 'expected'}\n")
    assert (tmp_path / "again" / "expected" / "summary.json").exists()


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A client of an S3 of its own, to which the environment points as well."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "generator",
        "AWS_SECRET_ACCESS_KEY": "generator",
        "AWS_DEFAULT_REGION": "eu-central-1",
    }.items():
        monkeypatch.setenv(name, value)
    client = boto3.client("s3")
    try:
        yield client
    finally:
        client.close()
        server.stop()


def test_what_is_uploaded_is_what_would_have_been_written(tmp_path: Path, s3: Any) -> None:
    s3.create_bucket(Bucket="shop", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    result = generate("--bucket", "shop", *SMALL)
    assert (result.exit_code, "uploaded to s3://shop in " in result.stdout) == (0, True)
    generate("--out", tmp_path, "--no-expected", *SMALL)
    written = {path.relative_to(tmp_path).as_posix(): path.read_bytes() for path in tmp_path.rglob("*.csv")}
    uploaded = {
        entry["Key"]: s3.get_object(Bucket="shop", Key=entry["Key"])["Body"].read()
        for entry in s3.list_objects_v2(Bucket="shop")["Contents"]
    }
    assert uploaded == written


@pytest.mark.usefixtures("s3")
def test_a_bucket_that_does_not_exist_ends_in_one_sentence() -> None:
    result = generate("--bucket", "nobodys", *SMALL)
    assert result.exit_code == 1
    assert result.stderr.startswith("pipeline generate: cannot upload to s3://nobodys after 0 files: ")
    assert "NoSuchBucket" in result.stderr
    assert result.stderr.count("\n") == 1


def test_the_profile_names_histories_and_faults_with_their_shares(tmp_path: Path) -> None:
    result = generate("--out", tmp_path / "out", "--profile", *SMALL)
    assert result.exit_code == 0
    shown = result.stdout.partition("How orders develop")[2]
    assert re.search(r"bought over the counter +[0-9,]+ +[0-9.]+%", shown)
    assert re.search(r"Faulty rows\n( {2}\S.* +[0-9,]+ +[0-9.]+%\n)+", shown)
