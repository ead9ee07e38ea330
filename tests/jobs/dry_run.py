"""The job without AWS: S3 in memory, and a warehouse that returns dimensions and records the load.

Everything between fetching a drop and sending SQL is the job's own code. Only the job's wheel and the
oracle are needed, so it runs wherever the job does.
"""

from __future__ import annotations

import functools
import io
import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, redirect_stdout
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any, BinaryIO
from unittest import mock

import polars as pl
from botocore.exceptions import ClientError

import jobs.attempt
import jobs.page
import jobs.process_transactions
import jobs.shards.work
import jobs.validators
from jobs.arguments import parse_arguments
from jobs.errors import JobError
from jobs.load.ledger import AmountChange
from jobs.load.transactions import Batch, Committed
from jobs.shards.runner import TaskRunner
from schemas.counts import Counts
from schemas.drops import Drop
from schemas.reports import Report
from schemas.runs import RunArguments, encode_job_arguments
from schemas.sources import DEFAULT, SourceSettings
from tests import oracle
from tests.oracle.files import read_cells
from tests.strategies.hostile_content import SOUND_CUSTOMERS, SOUND_DAY, SOUND_PRODUCTS

UPLOADED_AT = datetime(2023, 3, 16, 6, tzinfo=timezone.utc)
AMOUNT_CLASSES = ",".join(f"{label}:{bound}" for label, bound in oracle.AMOUNT_CLASSES)

_WORDS = {
    "is not a whole gzip file": "broken_gzip",
    "and upload that; nothing was loaded": "other_format",
    "is empty: it has no header": "empty_file",
    "is not UTF-8": "not_utf8",
    "the line is longer than": "line_too_long",
    "is a row of its own, so rows would be lost": "hidden_row",
    "its columns are separated by": "other_delimiter",
    "a quote in the header is out of place": "malformed_header",
    "two spellings of one heading, so it is unclear which is meant": "duplicate_column",
    "the header lacks": "missing_column",
    "the header is not here": "missing_column",
    "the header has NUL characters": "missing_column",
    "it has carriage returns without line feeds": "missing_column",
    "the header is written a second time": "second_header",
    "max_reject_ratio allows": "too_many_rejected",
}
"""Words of exactly one of the job's sentences -> the oracle's kind of that refusal."""


def refusal_kinds(error: Exception) -> set[str]:
    """The oracle's names for the fault in the job's refusal."""
    kinds = {kind for words, kind in _WORDS.items() if words in str(error)}
    assert kinds, str(error)
    return kinds


@dataclass
class S3InMemory:
    """The part of a boto3 client that the job uses."""

    objects: dict[tuple[str, str], bytes] = field(default_factory=dict)

    def head_object(self, *, Bucket: str, Key: str, VersionId: str) -> dict[str, Any]:
        body = self._get(Bucket, f"{Key}@{VersionId}", "HeadObject")
        return {"ContentLength": len(body), "ETag": '"etag"', "LastModified": UPLOADED_AT, "Metadata": {}}

    def download_file(self, bucket: str, key: str, path: str, ExtraArgs: Mapping[str, str] | None = None) -> None:
        version = f"@{ExtraArgs['VersionId']}" if ExtraArgs else ""
        Path(path).write_bytes(self._get(bucket, key + version, "GetObject"))

    def upload_file(self, path: str, bucket: str, key: str, **_: object) -> None:
        self.objects[bucket, key] = Path(path).read_bytes()

    def upload_fileobj(self, file: BinaryIO, bucket: str, key: str, **_: object) -> None:
        self.objects[bucket, key] = file.read()

    def get_object(
        self, *, Bucket: str, Key: str, VersionId: str = "", IfMatch: str = "", Range: str = ""
    ) -> dict[str, Any]:
        assert IfMatch == ('"etag"' if VersionId else "")
        body = self._get(Bucket, f"{Key}@{VersionId}" if VersionId else Key, "GetObject")
        first, _, last = Range.replace("bytes=", "").partition("-")
        return {"Body": io.BytesIO(body[int(first or 0) : int(last or len(body)) + 1])}

    def copy_object(self, *, Bucket: str, Key: str, CopySource: Mapping[str, str]) -> None:
        self.objects[Bucket, Key] = self._get(CopySource["Bucket"], CopySource["Key"], "CopyObject")

    def put_object(self, *, Bucket: str, Key: str, Body: bytes, **_: str) -> None:
        self.objects[Bucket, Key] = Body

    def get_paginator(self, _: str) -> S3InMemory:
        return self

    def paginate(self, *, Bucket: str, Prefix: str) -> list[dict[str, Any]]:
        keys = [key for bucket, key in sorted(self.objects) if bucket == Bucket and key.startswith(Prefix)]
        return [{"Contents": [{"Key": key}]} for key in keys]

    def delete_objects(self, *, Bucket: str, Delete: Mapping[str, Any]) -> dict[str, Any]:
        for entry in Delete["Objects"]:
            del self.objects[Bucket, entry["Key"]]
        return {}

    def _get(self, bucket: str, key: str, operation: str) -> bytes:
        if (bucket, key) not in self.objects:
            raise ClientError({"Error": {"Code": "404"}}, operation)
        return self.objects[bucket, key]


@dataclass(frozen=True)
class DryRun:
    """The rows that a run would have loaded, and everything that it wrote."""

    report: Report
    error: JobError | None
    staged: list[dict[str, Any]]
    """The rows of the Parquet parts in the manifest."""
    duplicate: int
    kept: dict[str, bytes]
    """The work bucket when the run is over, by key."""

    @property
    def left_staged(self) -> list[str]:
        return [key for key in self.kept if key.startswith("staging/")]

    @property
    def rejected_parts(self) -> list[bytes]:
        """The rejected file, or the files in its folder."""
        named = (self.report.rejected_uri or "").replace("s3://work-bucket/", "")
        if named.endswith("/"):
            return [body for key, body in sorted(self.kept.items()) if key.startswith(named)]
        return [self.kept[named]] if named else []

    @property
    def rejected_content(self) -> bytes | None:
        """The rejected rows as one file, although each part has the header."""
        if not self.rejected_parts:
            return None
        first, *others = self.rejected_parts
        header = first[: first.index(b"source_text\n") + len(b"source_text\n")]
        assert all(part.startswith(header) and part != header for part in others)
        return first + b"".join(part[len(header) :] for part in others)

    @property
    def rejected(self) -> oracle.RejectedFile | None:
        if self.rejected_content is None:
            return None
        header, *lines = read_cells(self.rejected_content)
        return oracle.RejectedFile(header, tuple(lines))


def dry_run(
    content: bytes,
    *,
    gz: bool = False,
    products: oracle.Products = SOUND_PRODUCTS,
    customers: oracle.Customers = SOUND_CUSTOMERS,
    partition_day: date = SOUND_DAY,
    amount_classes: str = AMOUNT_CLASSES,
    max_reject_ratio: str = "1",
    source: SourceSettings = DEFAULT,
    key: str | None = None,
    version_id: str = "v1",
    runner: TaskRunner | None = None,
) -> DryRun:
    """Run process_transactions on these bytes. With a runner, a file larger than a shard is run in shards."""
    if key is None:
        day = partition_day
        key = f"transactions/year={day:%Y}/month={day:%m}/day={day:%d}/day.csv{'.gz' if gz else ''}"
    drop = Drop("drop-bucket", key, version_id)
    s3 = S3InMemory({(drop.bucket, f"{key}@{version_id}"): content})
    warehouse = _NotedWarehouse(products, customers)
    arguments = parse_arguments(command_line(drop, amount_classes, max_reject_ratio, source))
    error: JobError | None = None
    with ExitStack() as patches:
        patches.enter_context(mock.patch.object(jobs.attempt, "s3_client", return_value=s3))
        patches.enter_context(mock.patch.object(jobs.shards.work, "s3_client", return_value=s3))
        patches.enter_context(mock.patch.object(jobs.validators, "unload", warehouse.unload))
        patches.enter_context(mock.patch.object(jobs.process_transactions, "load", warehouse.load))
        # No test needs these, and each is slower than everything else: sign-in to a warehouse, and the page.
        patches.enter_context(mock.patch.object(jobs.attempt, "read_past_loads", return_value=[]))
        patches.enter_context(mock.patch.object(jobs.attempt, "find_same_content", return_value=None))
        patches.enter_context(mock.patch.object(jobs.page, "render_load", return_value=""))
        log = patches.enter_context(redirect_stdout(io.StringIO()))
        try:
            jobs.process_transactions.process_transactions(arguments, runner)
        except JobError as refused:
            error = refused
    # What only readers need may fail unnoticed, after a minute of tries to reach a warehouse that is not there.
    assert "could not be made" not in log.getvalue(), log.getvalue()
    report = Report.from_json(s3.objects["work-bucket", f"reports/{drop.load_id}/1.json"].decode("utf-8"))
    return DryRun(
        report=report,
        error=error,
        staged=warehouse.staged,
        duplicate=warehouse.duplicate,
        kept={key: body for (bucket, key), body in s3.objects.items() if bucket == "work-bucket"},
    )


def command_line(
    drop: Drop,
    amount_classes: str = AMOUNT_CLASSES,
    max_reject_ratio: str = "1",
    source: SourceSettings = DEFAULT,
) -> list[str]:
    """A run's arguments as Glue passes them."""
    job = encode_job_arguments(
        {
            "job": "process_transactions",
            "work_bucket": "work-bucket",
            "workgroup": "workgroup",
            "host": "warehouse.example",
            "port": "5439",
            "database": "dev",
            "account_id": "123456789012",
            "region": "us-east-1",
            "copy_role_arn": "arn:aws:iam::123456789012:role/copy",
            "max_reject_ratio": max_reject_ratio,
            "amount_classes": amount_classes,
            "source_settings": source.to_argument(),
        }
    )
    given = {**RunArguments(drop, 1).encode(), **job}
    return [token for pair in given.items() for token in pair]


@functools.lru_cache(maxsize=16)
def _parquet(rows: tuple[object, ...], columns: tuple[tuple[str, pl.DataType], ...]) -> bytes:
    """Cached, because nearly all runs of a property have the same dimensions."""
    body = io.BytesIO()
    values = {name: [getattr(row, name) for row in rows] for name, _ in columns}
    pl.DataFrame(values, schema=dict(columns)).write_parquet(body)
    return body.getvalue()


class _NotedWarehouse:
    def __init__(self, products: oracle.Products, customers: oracle.Customers) -> None:
        self.staged: list[dict[str, Any]] = []
        self.duplicate = 0
        self._rows = {"dim_products": list(products.values()), "dim_customers": list(customers.values())}

    def unload(self, _session: object, dimension: Any, columns: Any, prefix: Any) -> None:
        rows = self._rows[dimension.table.name]
        if rows:
            body = _parquet(tuple(rows), tuple((column, dimension.table[column].polars) for column in columns))
            prefix.s3.put_object(Bucket=prefix.bucket, Key=prefix.prefix + "000.parquet", Body=body)
        self._s3 = prefix.s3

    def load(
        self,
        _session: object,
        batch: Batch,
        ledger: Mapping[str, object],
        _rules: object,
    ) -> Committed:
        staged = batch.staged
        entries = json.loads(self._object(staged.manifest_uri))["entries"] if staged.rows else []
        for entry in entries:
            body = self._object(entry["url"])
            assert entry["meta"]["content_length"] == len(body)
            self.staged.extend(pl.read_parquet(io.BytesIO(body)).rows(named=True))
        assert len(self.staged) == staged.rows
        assert len(self.staged) + batch.duplicate + batch.rejected == batch.rows_read
        self.duplicate = batch.duplicate
        counts = Counts(batch.rows_read, staged.rows, duplicate=batch.duplicate, rejected=batch.rejected)
        changes = [AmountChange(row["amount_class"], row["status"], 1, row["total_amount"]) for row in self.staged]
        assert ledger["staged_amount"] == sum((change.amount for change in changes), Decimal(0))
        return Committed("load", counts, changes)

    def _object(self, uri: str) -> bytes:
        bucket, _, key = uri.replace("s3://", "").partition("/")
        return bytes(self._s3.objects[bucket, key])


@contextmanager
def small_pieces(
    *,
    chunk_bytes: int = 64,
    chunk_values: int = 20,
    bytes_per_bucket: int = 100,
    rows_per_bucket: int = 2,
    held_bytes: int = 100,
    batch_rows: int = 3,
    groups: int = 4,
    range_bytes: int = 0,
    shard_bytes: int = 1,
) -> Iterator[None]:
    """Make a file of a few rows span chunks, buckets on disk and ranges on S3, as a file of many gigabytes does.

    `range_bytes` is the length of the first range; with 0 the file is fetched as a whole.
    """
    with ExitStack() as patches:
        for place, value in {
            "jobs.csv.blocks.CHUNK_BYTES": chunk_bytes,
            "jobs.csv.blocks.CHUNK_VALUES": chunk_values,
            "jobs.rows.marks._BYTES_PER_BUCKET": bytes_per_bucket,
            "jobs.rows.marks._ROWS_PER_BUCKET": rows_per_bucket,
            "jobs.rows.duplicates._HELD_HASHES": held_bytes,
            "jobs.buckets.HELD_BYTES": held_bytes,
            "jobs.buckets.BATCH_ROWS": batch_rows,
            "jobs.buckets.GROUPS": groups,
            "jobs.room._DISKS_PER_COPY": 1 << 60 if range_bytes else 0,
            "jobs.shards.survey.SHARD_BYTES": shard_bytes,
            "jobs.s3.FIRST_RANGE_BYTES": range_bytes,
            "jobs.s3.MOST_RANGE_BYTES": 3 * range_bytes,
        }.items():
            patches.enter_context(mock.patch(place, value))
        yield


@contextmanager
def read_exactly() -> Iterator[None]:
    """Make the job read every file as one with quotes, even a plain one."""
    seen = jobs.csv.reader.inspect
    not_plain = mock.patch("jobs.csv.reader.inspect", lambda *given: replace(seen(*given), is_unquoted=False))
    with not_plain:
        yield
