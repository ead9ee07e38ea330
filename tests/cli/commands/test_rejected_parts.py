"""The rejected rows of a large load are a folder of files: what each command makes of them.

A run of the job in shards writes report and folder; both are then in the buckets of a pipeline.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

import cli.loads.deep_explanation
import cli.loads.explanation
import cli.loads.rejected_rows
import cli.pipelines.pipeline
from cli.drops.keys import files_to_drop
from cli.main import app
from cli.pipelines.pipeline import Pipeline
from cli.pipelines.statements import Result as Rows
from jobs.shards.runner import Serial
from schemas.drops import Drop
from schemas.runs import JobArguments, encode_job_arguments
from schemas.sources import DEFAULT
from schemas.work_bucket import rejected_folder, rejected_key
from tests.cli.terminals import checked
from tests.jobs.dry_run import DryRun, dry_run, small_pieces
from tests.lambdas.cloud import REGION, SESSION, Cloud, running_cloud

pytestmark = pytest.mark.flow

HEADER = 'transaction_id,customer_id,product_id,quantity,transaction_date,status,"a note\nof two lines"\n'
KEY = "transactions/year=2023/month=03/day=15/day.csv"
DROP = Drop("drop-bucket", KEY, "v1")
DAY, WORK, ARCHIVE = date(2023, 3, 15), "work-bucket", "archive"


def sales(*, bad: int, good: int = 20) -> bytes:
    """Good rows, then rows with two kinds of faults, a value that Excel would run, and a line of one long value."""
    rows = [f"T{number},C12345,P12345,1,2023-03-15,completed,fine\n" for number in range(good)]
    rows += [
        f"B{number},NOBODY,P12345,1,2023-03-15,{(number % 2 and 'lost') or 'completed'},=1+1\n" for number in range(bad)
    ]
    return (HEADER + "".join(rows) + "x" * 200_000 + "\n").encode()


CONTENT = sales(bad=60)


@dataclass(frozen=True)
class Shop:
    cloud: Cloud
    load_id: str
    run: DryRun

    def type(self, *words: str) -> Result:
        return CliRunner().invoke(app, [*words])

    def json(self, *words: str) -> Any:
        result = self.type(*words, "--json")
        assert result.stdout, result.output
        return checked(words[0], json.loads(result.stdout))

    @property
    def parts(self) -> list[str]:
        return self.cloud.keys(rejected_folder(DAY, "day.csv", self.load_id), WORK)


@functools.cache
def run_in_shards(content: bytes, *, version_id: str = "v1") -> DryRun:
    with small_pieces(shard_bytes=1000, range_bytes=500, chunk_bytes=300):
        return dry_run(content, runner=Serial(), key=KEY, version_id=version_id)


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    """A pipeline with the load of a large file, which is archived."""
    run = run_in_shards(CONTENT)
    with running_cloud() as cloud:
        for bucket in ("drop-bucket", WORK, ARCHIVE):
            cloud.s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
            cloud.s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        for key, body in run.kept.items():
            cloud.s3.put_object(Bucket=WORK, Key=key, Body=body)
        origin = {"load-id": DROP.load_id, "source-version-id": DROP.version_id}
        cloud.s3.put_object(Bucket=ARCHIVE, Key=KEY, Body=CONTENT, Metadata=origin)
        texts = dict.fromkeys(JobArguments.__dataclass_fields__, "true")
        cloud.glue.create_job(
            Name="sales",
            Role="job",
            Command={"Name": "pythonshell", "ScriptLocation": "s3://work/glue_entry.py"},
            NonOverridableArguments=encode_job_arguments({**texts, "source_settings": DEFAULT.to_argument()}),
        )
        names = {"drop_bucket": "drop-bucket", "work_bucket": WORK, "archive_bucket": ARCHIVE}
        outputs = {**names, "transactions_job": "sales", "queue_url": cloud.queue_url}
        pipeline = Pipeline("the shop", outputs, SESSION)
        monkeypatch.setattr(cli.pipelines.pipeline, "find_pipeline", lambda _: pipeline)
        for module in (cli.loads.explanation, cli.loads.deep_explanation):
            monkeypatch.setattr(module, "run_statement", lambda *_, **__: Rows([], [], None, False))
        yield Shop(cloud, DROP.load_id, run)


def test_the_rows_of_all_parts_are_shown_in_the_order_of_the_file(shop: Shop) -> None:
    assert len(shop.parts) > 3
    shown = shop.json("rejected", shop.load_id, "--limit", "100")
    assert [row["line"] for row in shown["rows"]] == list(range(23, 84))
    assert shown["reasons"] == {"unknown_customer": 60, "invalid_status": 30, "malformed_row": 1}
    text = shop.type("rejected", shop.load_id, "--limit", "2", "--reason", "invalid_status").stdout
    assert "    30  invalid_status" in text
    assert "… and 28 more rows; --limit shows more" in text
    assert "line 24  unknown_customer, invalid_status" in text
    assert "the reasons are unknown_customer" in shop.type("rejected", shop.load_id, "--reason", "typo").stderr


def test_all_parts_are_saved_as_the_one_file_that_a_small_load_has(shop: Shop, tmp_path: Path) -> None:
    saved = tmp_path / "corrected.csv"
    assert shop.type("rejected", shop.load_id, "--out", str(saved)).exit_code == 0
    assert saved.read_bytes() == dry_run(CONTENT, key=KEY).rejected_content
    again = shop.type("rejected", shop.load_id, "--out", str(saved))
    assert (again.exit_code, "exists already" in again.stderr) == (2, True)


def test_a_part_that_cannot_be_read_leaves_no_half_file(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, last = cli.loads.rejected_rows._body, shop.parts[-1]

    def broken(pipeline: Pipeline, key: str) -> Any:
        if key == last:
            raise OSError("the connection broke")
        return read(pipeline, key)

    monkeypatch.setattr(cli.loads.rejected_rows, "_body", broken)
    assert "the connection broke" in shop.type("rejected", shop.load_id, "--out", str(tmp_path / "out.csv")).stderr
    assert list(tmp_path.iterdir()) == []


def test_each_part_is_a_drop_of_its_day_with_a_key_of_its_own(shop: Shop, tmp_path: Path) -> None:
    other = run_in_shards(CONTENT, version_id="v2")
    assert len(other.rejected_parts) == len(shop.parts)
    for run in (shop.run, other):
        for key, body in run.kept.items():
            if key.startswith("rejected/"):
                (tmp_path / key.rpartition("/")[2]).write_bytes(body)
    files = files_to_drop([tmp_path], None)
    assert len(files) == 2 * len(shop.parts)
    assert {file.key.rpartition("/")[0] for file in files} == {"transactions/year=2023/month=03/day=15"}
    healed = [
        dry_run(part.replace(b"NOBODY", b"C12345").replace(b"lost", b"shipped")).staged for part in other.rejected_parts
    ]
    assert sorted(row["transaction_id"] for rows in healed for row in rows) == sorted(f"B{n}" for n in range(60))


def test_a_deep_explanation_finds_the_reason_in_a_part(shop: Shop) -> None:
    (row,) = shop.json("explain", "B59", "--deep")["unloaded"]
    assert (row["source_line"], row["reason"]) == (82, "rejected: unknown_customer, invalid_status")
    (row,) = shop.json("explain", "T1", "--deep")["unloaded"]
    assert row["reason"] == "lost: another row of its file won"


def test_the_load_is_shown_and_replayed_as_any_other(shop: Shop) -> None:
    uri = f"s3://{WORK}/{rejected_folder(DAY, 'day.csv', shop.load_id)}"
    assert shop.json("show", shop.load_id)["rejected_uri"] == uri
    assert f"pipeline rejected {shop.load_id}" in shop.type("show", shop.load_id).stdout
    (planned,) = shop.json("replay", shop.load_id, "--dry-run")["loads"]
    assert planned["starts"]


def test_parts_that_have_expired_are_named(shop: Shop) -> None:
    for key in shop.parts:
        shop.cloud.s3.delete_object(Bucket=WORK, Key=key)
    refused = shop.type("rejected", shop.load_id)
    assert refused.exit_code == 2
    assert "the rejected rows of day.csv have expired; replay the load to get them again" in refused.stderr
    (row,) = shop.json("explain", "B59", "--deep")["unloaded"]
    assert "rejected" not in row["reason"]


@pytest.mark.parametrize("is_file_newer", [True, False])
def test_of_a_file_and_a_folder_the_newer_one_counts(shop: Shop, is_file_newer: bool) -> None:
    """One attempt was made by one worker, another by many."""
    file = rejected_key(DAY, "day.csv", shop.load_id)
    of_one_row = dry_run(sales(bad=1, good=1), key=KEY).rejected_content
    assert of_one_row is not None
    shop.cloud.s3.put_object(Bucket=WORK, Key=file, Body=of_one_row)
    for key in shop.parts if is_file_newer else [file]:
        shop.cloud.age(key, timedelta(hours=1), bucket=WORK)
    rows = shop.json("rejected", shop.load_id, "--limit", "100")["rows"]
    assert len(rows) == (2 if is_file_newer else 61)
