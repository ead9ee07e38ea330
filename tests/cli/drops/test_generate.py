"""`pipeline generate`: accepted arguments, refusals and messages."""

from __future__ import annotations

import itertools
import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer
from typer.testing import CliRunner

from cli.main import app

SMALL = ["--days", "2", "--rows", "40", "--products", "5", "--customers", "9"]


def generate(*arguments: object) -> Any:
    return CliRunner().invoke(app, ["generate", *map(str, arguments)])


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
def test_impossible_arguments_are_refused_in_one_sentence(tmp_path: Path, wrong: dict[str, Any], sentence: str) -> None:
    options = [text for name, value in wrong.items() for text in (f"--{name}", str(value))]
    result = generate("--out", tmp_path / "out", *options)
    assert (result.exit_code, result.stderr) == (2, f"pipeline generate: {sentence}\n")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("target", [[], ["--out", "somewhere", "--bucket", "shop"]])
def test_one_of_out_and_bucket_is_asked_for(target: list[str]) -> None:
    result = generate(*target)
    assert result.exit_code == 2
    assert result.stderr.startswith("pipeline generate: say where the files go: --out FOLDER")


def test_a_folder_that_holds_something_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "kept.txt").write_text("mine")
    result = generate("--out", tmp_path, *SMALL)
    assert result.exit_code == 2
    assert result.stderr == (
        f"pipeline generate: --out {tmp_path} is not empty; name a new folder, because files of two runs must not mix\n"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["kept.txt"]
    result = generate("--out", tmp_path / "kept.txt", *SMALL)
    assert (result.exit_code, "is a file; name a folder" in result.stderr) == (2, True)


def test_a_folder_that_cannot_be_written_ends_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = generate("--out", tmp_path / "file" / "out", *SMALL)
    place = tmp_path / "file" / "out" / "dimensions"
    sentence = f"{place}: not a directory; a part of this path is a file; check the name"
    assert (result.exit_code, result.stderr) == (2, f"pipeline generate: {sentence}\n")


def test_files_are_written_and_the_command_says_how_many(tmp_path: Path) -> None:
    result = generate("--out", tmp_path / "out", "--no-expected", *SMALL)
    assert result.exit_code == 0
    assert result.stdout.startswith("80 rows in 2 transactions files and 2 dimension files (")
    assert f" in {tmp_path / 'out'}, in " in result.stdout
    assert len([path for path in (tmp_path / "out").rglob("*") if path.is_file()]) == 4
    result = generate("--out", tmp_path / "again", *SMALL)
    assert result.stdout.endswith(f"expected outcomes in {tmp_path / 'again' / 'expected'}\n")
    assert (tmp_path / "again" / "expected" / "summary.json").exists()


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A client of a separate S3. The environment points to it too."""
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


@dataclass(frozen=True)
class Bucket:
    """A new bucket for each test."""

    s3: Any
    name: str

    def keys(self) -> dict[str, bytes]:
        return {
            entry["Key"]: self.s3.get_object(Bucket=self.name, Key=entry["Key"])["Body"].read()
            for entry in self.s3.list_objects_v2(Bucket=self.name).get("Contents", [])
        }

    def set_versioning(self, status: str) -> None:
        self.s3.put_bucket_versioning(Bucket=self.name, VersioningConfiguration={"Status": status})

    def load_one(self) -> None:
        """Acts as the pipeline: when a dimension is loaded, its version leaves the bucket."""
        version = self.s3.list_object_versions(Bucket=self.name)["Versions"][0]
        self.s3.delete_object(Bucket=self.name, Key=version["Key"], VersionId=version["VersionId"])


@pytest.fixture
def bucket(s3: Any) -> Bucket:
    name = f"shop-{uuid.uuid4().hex}"
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    return Bucket(s3, name)


@pytest.fixture
def shop(bucket: Bucket) -> Bucket:
    bucket.set_versioning("Enabled")
    return bucket


def test_the_days_are_uploaded_once_the_dimensions_are_loaded(
    tmp_path: Path, shop: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[dict[str, bytes]] = []

    def load(_: float) -> None:
        """Each time the command looks, the pipeline has loaded one more dimension."""
        seen.append(shop.keys())
        shop.load_one()

    monkeypatch.setattr(
        "cli.drops.generate.time", SimpleNamespace(sleep=load, monotonic=lambda: 0.0, perf_counter=perf_counter)
    )
    result = generate("--bucket", shop.name, *SMALL)
    assert (result.exit_code, f" in s3://{shop.name}, in " in result.stdout) == (0, True), result.output
    assert [sorted(keys) for keys in seen] == [
        ["dimensions/dim_customers.csv", "dimensions/dim_products.csv"],
        ["dimensions/dim_products.csv"],
    ], "no day is uploaded before both dimensions are loaded"
    generate("--out", tmp_path, "--no-expected", *SMALL)
    written = {path.relative_to(tmp_path).as_posix(): path.read_bytes() for path in tmp_path.rglob("*.csv")}
    days = {key: content for key, content in written.items() if key.startswith("transactions/")}
    assert shop.keys() == days
    assert seen[0] == {key: content for key, content in written.items() if key not in days}


def test_without_dimensions_no_day_is_uploaded(shop: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = itertools.count(0.0, 50.0)
    fake = SimpleNamespace(sleep=lambda _: None, monotonic=lambda: next(clock), perf_counter=perf_counter)
    monkeypatch.setattr("cli.drops.generate.time", fake)
    result = generate("--bucket", shop.name, "--minutes", 2, *SMALL)
    assert result.exit_code == 1
    assert "is still not loaded after 2 minutes, so no day was uploaded" in result.stderr
    assert sorted(shop.keys()) == ["dimensions/dim_customers.csv", "dimensions/dim_products.csv"]


@pytest.mark.parametrize("versioning", [None, "Suspended"])
def test_a_bucket_without_versions_is_refused_before_uploading(bucket: Bucket, versioning: str | None) -> None:
    if versioning:
        bucket.set_versioning(versioning)
    result = generate("--bucket", bucket.name, *SMALL)
    assert result.exit_code == 2
    assert result.stderr.startswith(f"pipeline generate: the bucket {bucket.name} has versioning ")
    assert bucket.keys() == {}


@pytest.mark.usefixtures("s3")
def test_a_bucket_that_does_not_exist_ends_in_one_sentence() -> None:
    result = generate("--bucket", "nobodys", *SMALL)
    assert result.exit_code == 2
    assert result.stderr == "pipeline generate: the bucket 'nobodys' does not exist; check its name\n"


def test_the_profile_names_histories_and_faults_with_their_shares(tmp_path: Path) -> None:
    result = generate("--out", tmp_path / "out", "--profile", *SMALL)
    assert result.exit_code == 0
    shown = result.stdout.partition("How orders develop")[2]
    assert re.search(r"bought over the counter +[0-9,]+ +[0-9.]+%", shown)
    assert re.search(r"Faulty rows\n( {2}\S.* +[0-9,]+ +[0-9.]+%\n)+", shown)
