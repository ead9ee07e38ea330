"""A file that needs parts is uploaded, planned and rewritten like a smaller one. S3's limits are lowered."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import moto.s3.models
import pytest

import cli.forget.forgetting
from cli.backfill.batches import has_etag
from cli.drops import parts
from cli.drops.keys import FileToDrop
from cli.drops.plans import make_plan
from cli.drops.uploads import upload
from cli.forget.forgetting import forget_customer
from cli.pipelines.pipeline import Pipeline
from cli.pipelines.statements import Result
from cli.refusals import Failed
from lambdas.archived_copies import find_copy
from lambdas.leases import LeaseStore
from schemas.runs import JobArguments, encode_job_arguments
from schemas.sources import DEFAULT
from tests.lambdas.archive.archiving import archive, loaded
from tests.lambdas.cloud import (
    ARCHIVE,
    DAY_KEY,
    DIMENSIONS_JOB,
    DROPS,
    LARGE_JOB,
    SESSION,
    TRANSACTIONS_JOB,
    WORK,
    Cloud,
    running_cloud,
)

MIB = 1024**2
ROWS = "".join(f"T{number},C{number % 7},P1,1,2023-03-15,completed,note {number}\n" for number in range(70_000))
TEXT = "transaction_id,customer_id,product_id,quantity,transaction_date,status,note\n" + ROWS


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    """A cloud whose S3 takes at most one MiB in one request, and parts of one MiB."""
    monkeypatch.setattr(parts, "LARGEST_PUT_BYTES", MIB)
    monkeypatch.setattr(parts, "_LEAST_PART_BYTES", MIB)
    monkeypatch.setattr(moto.s3.models, "S3_UPLOAD_PART_MIN_SIZE", MIB)
    with running_cloud() as cloud:
        yield cloud


@pytest.fixture
def pipeline(cloud: Cloud) -> Pipeline:
    outputs: dict[str, Any] = {
        "drop_bucket": DROPS,
        "work_bucket": WORK,
        "archive_bucket": ARCHIVE,
        "transactions_job": TRANSACTIONS_JOB,
        "dimensions_job": DIMENSIONS_JOB,
        "large_job": LARGE_JOB,
        "large_file_bytes": 2 * MIB,
    }
    pipeline = Pipeline("the shop", outputs, SESSION)

    def refuse_too_large(params: dict[str, Any], **_: Any) -> None:
        assert int(params["headers"].get("Content-Length", 0)) <= MIB, "EntityTooLarge"
        body = params["body"]
        if hasattr(body, "seek"):
            assert body.seek(0, 2) <= MIB, "EntityTooLarge"
            body.seek(0)

    for operation in ("PutObject", "UploadPart"):
        pipeline.client("s3").meta.events.register(f"before-call.s3.{operation}", refuse_too_large)
    return pipeline


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "transactions_2023-03-15.csv"
    path.write_text(TEXT, encoding="utf-8")
    assert 2 * MIB < path.stat().st_size < 4 * MIB
    return path


def content(cloud: Cloud, **named: str) -> bytes:
    return bytes(cloud.s3.get_object(**named)["Body"].read())


def test_the_limit_is_that_of_s3() -> None:
    assert parts.LARGEST_PUT_BYTES == 5_368_709_120


def test_an_upload_in_parts_is_one_version_that_a_backfill_knows(cloud: Cloud, pipeline: Pipeline, path: Path) -> None:
    drop = upload(pipeline, path, DAY_KEY)
    assert cloud.versions(DROPS) == [drop.version_id]
    assert content(cloud, Bucket=DROPS, Key=DAY_KEY, VersionId=drop.version_id) == TEXT.encode()
    [version] = cloud.s3.list_object_versions(Bucket=DROPS)["Versions"]
    assert version["ETag"].endswith('-4"')
    assert has_etag(path, "", version)


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_upload_that_breaks_off_leaves_no_parts(
    cloud: Cloud, pipeline: Pipeline, path: Path, error: type[BaseException]
) -> None:
    def break_off(params: dict[str, Any], **_: Any) -> None:
        if params["PartNumber"] == 2:
            raise error

    pipeline.client("s3").meta.events.register("before-parameter-build.s3.UploadPart", break_off)
    with pytest.raises(error):
        upload(pipeline, path, DAY_KEY)
    assert cloud.versions(DROPS) == []
    assert cloud.s3.list_multipart_uploads(Bucket=DROPS).get("Uploads", []) == []


def planned_by(pipeline: Pipeline, path: Path, key: str = DAY_KEY) -> str:
    """The job whose run should make the plan; no run ends here."""
    with pytest.raises(Failed, match=r"the run \S+ of \S+ still runs") as failed:
        make_plan(pipeline, FileToDrop(path, key), timeout_seconds=0)
    [job] = re.findall(r"the run \S+ of (\S+) still runs", str(failed.value))
    return str(job)


def test_the_job_that_would_load_a_file_also_plans_it(cloud: Cloud, pipeline: Pipeline, path: Path) -> None:
    assert planned_by(pipeline, path) == LARGE_JOB
    assert planned_by(pipeline, path, f"{DAY_KEY}.gz") == TRANSACTIONS_JOB
    assert planned_by(pipeline, path, "dimensions/dim_customers.csv") == DIMENSIONS_JOB
    path.write_text(TEXT[:MIB], encoding="utf-8")
    assert planned_by(pipeline, path) == TRANSACTIONS_JOB
    without = Pipeline("the shop", {**pipeline.outputs, "large_job": "", "large_file_bytes": 0}, SESSION)
    assert planned_by(without, path) == TRANSACTIONS_JOB
    assert cloud.versions(WORK, "staging/") == [], "the uploaded files are deleted"


def test_a_large_archived_file_is_rewritten_in_parts(
    cloud: Cloud, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = {**dict.fromkeys(JobArguments.__dataclass_fields__, "1"), "source_settings": DEFAULT.to_argument()}
    command = {"Name": "pythonshell", "ScriptLocation": "s3://shop-work/code/glue_entry.py"}
    fixed = encode_job_arguments(arguments)
    cloud.glue.create_job(Name="sales", Role="job", Command=command, NonOverridableArguments=fixed)
    pipeline = replace(pipeline, outputs={**pipeline.outputs, "transactions_job": "sales"})
    statement: Callable[..., Result] = lambda *_, **__: Result([], [], None, False)  # noqa: E731
    monkeypatch.setattr(cli.forget.forgetting, "run_statement", statement)
    drop = cloud.drop(body=TEXT.encode(), ContentType="text/csv", Metadata={"sent-by": "shop"}, Tagging="owner=shop")
    assert archive(loaded(cloud, drop))
    for run in cloud.runs():
        run.status = "SUCCEEDED"

    assert forget_customer(pipeline, "C3", is_dry_run=False).traces[0].rows == 10_000

    copy = find_copy(cloud.s3, LeaseStore(cloud.s3, WORK), ARCHIVE, drop)
    assert copy is not None, "a replay finds the file"
    named = {"Bucket": copy.bucket, "Key": copy.key, "VersionId": copy.version_id}
    expected = [line.rpartition(",")[0] + "," if ",C3," in line else line for line in TEXT.splitlines()]
    assert content(cloud, **named).decode().splitlines() == expected
    head = cloud.s3.head_object(**named)
    assert "-" in head["ETag"], "it was written in parts"
    assert (head["ContentType"], head["Metadata"]["sent-by"]) == ("text/csv", "shop")
    assert cloud.s3.get_object_tagging(**named)["TagSet"] == [{"Key": "owner", "Value": "shop"}]
    assert cloud.versions(ARCHIVE) == [copy.version_id], "the old version is gone"
