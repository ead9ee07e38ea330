"""Which files a backfill selects, and which of them it recognizes as dropped already."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import boto3
import pytest
from boto3.s3.transfer import TransferConfig
from moto import mock_aws

from cli.backfill.batches import BackfillRun, has_etag
from cli.backfill.sources import Selection, files_in_bucket, files_in_folder
from cli.drops.keys import FileToDrop
from cli.pipelines.pipeline import Pipeline
from cli.refusals import Refused
from lambdas.archived_copies import SOURCE_VERSION_ID

MIB = 1024 * 1024
KEY = "transactions/year=2023/month=04/day=02/till_02042023.csv"


@pytest.mark.parametrize(
    ("pattern", "inside", "key"),
    [
        ("till_%d%m%Y.csv", "till_02042023.csv", KEY),
        ("till_%d%m%Y.csv", "april/till_02042023.csv", KEY),
        ("till_%d%m%Y.csv", "till_2023-04-02.csv", None),
        ("till_%d%m%Y.csv", "till_31022023.csv", None),
        ("till_%d%m%Y.csv", "dim_products.csv", "dimensions/dim_products.csv"),
        ("till_%d%m%Y.csv", KEY, KEY),
        (None, "x_2023-04-02.csv.gz", "transactions/year=2023/month=04/day=02/x_2023-04-02.csv.gz"),
        (None, "notes.txt", None),
    ],
)
def test_names_say_the_day_as_the_pattern_has_it(pattern: str | None, inside: str, key: str | None) -> None:
    assert Selection(pattern).key(inside) == key


@pytest.mark.parametrize("pattern", ["till.csv", "till_%Y.csv", "till_%m%d.csv", "till_%Y%m.csv", ""])
def test_a_pattern_without_a_whole_day_is_refused(pattern: str) -> None:
    with pytest.raises(Refused, match="has no full day"):
        Selection(pattern)


def test_days_outside_the_range_are_left_out(tmp_path: Path) -> None:
    for day in range(1, 6):
        (tmp_path / f"x_2023-04-0{day}.csv").touch()
    selection = Selection(None, date(2023, 4, 2), date(2023, 4, 3))
    names = [file.path.name for file in files_in_folder(tmp_path, selection)]
    assert names == ["x_2023-04-02.csv", "x_2023-04-03.csv"]
    (tmp_path / "dim_products.csv").touch()
    with pytest.raises(Refused, match="has no file of transactions for the wanted days"):
        files_in_folder(tmp_path, Selection(None, date(2024, 1, 1)))
    with pytest.raises(Refused, match="has no file of transactions for the wanted days"):
        files_in_folder(tmp_path, Selection("till_%d%m%Y.csv"))


def test_a_range_that_ends_before_it_begins_is_refused() -> None:
    with pytest.raises(Refused, match="--from 2024-01-01 is later than --to 2023-01-01; give the earlier day to"):
        Selection(None, date(2024, 1, 1), date(2023, 1, 1))


def test_a_folder_of_dimensions_alone_is_a_backfill(tmp_path: Path) -> None:
    (tmp_path / "dim_products.csv").touch()
    assert [file.key for file in files_in_folder(tmp_path, Selection())] == ["dimensions/dim_products.csv"]


def test_files_of_a_bucket_are_those_below_the_prefix(tmp_path: Path) -> None:
    with mock_aws():
        s3 = boto3.client("s3", region_name="us-east-1")
        s3.create_bucket(Bucket="old-tills")
        for key in ("2023/till_02042023.csv", "2023/till_03042023.csv", "2022/till_02042022.csv", "2023/readme.csv"):
            s3.put_object(Bucket="old-tills", Key=key, Body=key.encode())
        files = files_in_bucket(
            s3, "s3://old-tills/2023/", Selection("till_%d%m%Y.csv", last=date(2023, 4, 2)), tmp_path
        )
    (file,) = files
    assert (file.key, file.path.read_bytes()) == (KEY, b"2023/till_02042023.csv")


@pytest.mark.parametrize("part_mib", [5, 6, 8, 11])
def test_a_file_that_was_uploaded_in_parts_is_known_again(tmp_path: Path, part_mib: int) -> None:
    content = bytes(range(256)) * (12 * MIB // 256) + b"the end"
    same, other = tmp_path / "same.csv", tmp_path / "other.csv"
    same.write_bytes(content)
    other.write_bytes(content[:-1] + b"!")
    with mock_aws():
        s3 = boto3.client("s3", region_name="us-east-1")
        s3.create_bucket(Bucket="drops")
        parts = TransferConfig(multipart_threshold=part_mib * MIB, multipart_chunksize=part_mib * MIB)
        s3.upload_file(str(same), "drops", "a.csv", Config=parts)
        (version,) = s3.list_objects_v2(Bucket="drops")["Contents"]
    assert "-" in version["ETag"]
    assert [has_etag(path, hashlib.md5(path.read_bytes()).hexdigest(), version) for path in (same, other)] == [
        True,
        False,
    ]


class _Moving:
    """An S3 in which a file is archived after the first listing of a bucket."""

    def __init__(self, s3: Any, move: Callable[[], None]) -> None:
        self._s3, self._moves = s3, [move]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._s3, name)

    def get_paginator(self, _: str) -> _Moving:
        return self

    def paginate(self, **where: str) -> Iterator[Any]:
        yield from self._s3.get_paginator("list_object_versions").paginate(**where)
        while self._moves:
            self._moves.pop()()


def test_a_file_that_is_archived_between_the_listings_is_known(tmp_path: Path) -> None:
    """A resumed backfill looks while the last files of the killed one still move."""
    path = tmp_path / "till_02042023.csv"
    path.write_bytes(b"rows")
    outputs = {"drop_bucket": "drops", "archive_bucket": "archive"}
    with mock_aws():
        s3 = boto3.client("s3", region_name="us-east-1")
        for bucket in outputs.values():
            s3.create_bucket(Bucket=bucket)
            s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        version_id = s3.put_object(Bucket="drops", Key=KEY, Body=b"rows")["VersionId"]

        def move() -> None:
            s3.put_object(Bucket="archive", Key=KEY, Body=b"rows", Metadata={SOURCE_VERSION_ID: version_id})
            s3.delete_object(Bucket="drops", Key=KEY, VersionId=version_id)

        pipeline = Pipeline("the stack", outputs, None, _clients={"s3": _Moving(s3, move)})
        run = BackfillRun(pipeline, [FileToDrop(path, KEY)], say=lambda _: None, timeout_seconds=60)
    assert run.left == []
    assert [drop.version_id for drop in run.dropped.values()] == [version_id]
