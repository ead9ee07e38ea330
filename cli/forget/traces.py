"""Finds the object versions that show a person, and rewrites, moves or deletes each of them.

A file in the archive is rewritten without the person, with the metadata of the same drop. Its old version is deleted
once the new one was read back. So a load keeps its identity and precedence, and a replay finds its file. A file that
was not loaded moves from the drop bucket to the archive in the same way. Files of customers come last, because the
next run reads the person's earlier addresses from them if this one is killed.
"""

from __future__ import annotations

import filecmp
import html
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import polars as pl
from botocore.exceptions import ClientError

from cli.drops.parts import put_file
from cli.drops.status import Phase
from cli.forget.person import Person
from cli.forget.redaction import FileKind, read_addresses, redact
from cli.loads.loads import Loads
from cli.pipelines.job_arguments import read_job_arguments
from cli.pipelines.pipeline import Pipeline
from cli.refusals import Failed, Refused
from jobs.errors import FileRefused
from lambdas.archive.archiver import KEPT_HEADERS, Archiver
from lambdas.drop_versions import drop_versions
from lambdas.leases import LeaseStore
from schemas.drops import CUSTOMERS, DIMENSIONS_PREFIX, TRANSACTIONS, Drop, KeyOutsideLayout, is_drop, parse_key
from schemas.sources import SourceSettings
from schemas.warehouse.person import PERSONAL_COLUMNS
from schemas.warehouse.tables import CUSTOMER_ID
from schemas.work_bucket import REJECTED, REPORTS, STAGING

REWRITTEN = "rewritten"
MOVED = "moved to the archive, rewritten"
DELETED = "deleted"

_CUSTOMERS_PREFIX = DIMENSIONS_PREFIX + CUSTOMERS


@dataclass(frozen=True)
class Version:
    """One version of an object."""

    bucket: str
    key: str
    version_id: str
    is_current: bool = True

    @property
    def uri(self) -> str:
        return f"s3://{self.bucket}/{self.key}"

    @property
    def named(self) -> dict[str, str]:
        return {"Bucket": self.bucket, "Key": self.key, "VersionId": self.version_id}


@dataclass(frozen=True)
class Trace:
    """One object version that shows the person."""

    version: Version
    action: str
    """REWRITTEN, MOVED or DELETED."""
    rows: int
    """The number of its rows, or lines, that show the person."""


class PersonTraces:
    """A search for one person in the three buckets of a pipeline."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self._s3 = pipeline.client("s3")
        self._drop, self._work, self._archive = (
            pipeline.output(f"{name}_bucket") for name in ("drop", "work", "archive")
        )
        self._archiver = Archiver(self._s3, self._archive, LeaseStore(self._s3, self._work))
        self._settings = SourceSettings.from_argument(read_job_arguments(pipeline).source_settings)

    def addresses(self, person: Person) -> list[str]:
        """All values of the column email in the person's rows of all files of customers."""
        values: list[str] = []
        for bucket in (self._archive, self._drop):
            for version in self._versions(bucket, _CUSTOMERS_PREFIX):
                with self._downloaded(version) as path, _refusing(version):
                    values += read_addresses(path, FileKind(CUSTOMERS, self._settings), person)
        return values

    def find(self, person: Person) -> Iterator[Trace]:
        """Every version that shows the person; the caller may erase each one before it takes the next.

        Raises Refused, before the first one, while a file that shows the person is not settled.
        """
        dropped = list(self._in_drop_bucket(person))
        yield from self._in_work_bucket(person)
        for is_last in (False, True):
            yield from self._in_archive(person, of_customers=is_last)
            yield from (trace for trace in dropped if trace.version.key.startswith(_CUSTOMERS_PREFIX) is is_last)

    def erase(self, trace: Trace, person: Person) -> None:
        """Remove the person from one version; raises Failed, with nothing deleted, if the new one is not as written."""
        version = trace.version
        if trace.action == DELETED:
            self._s3.delete_object(**version.named)
            return
        try:
            head = self._s3.head_object(**version.named)
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
                return
            raise
        bucket, metadata = version.bucket, head["Metadata"]
        if trace.action == MOVED:
            self._archiver.refuse_without_versions()
            drop = Drop(version.bucket, version.key, version.version_id)
            bucket, metadata = self._archive, {**metadata, **self._archiver.origin_of(drop, head)}
        with self._downloaded(version) as path:
            target, _ = self._redacted(version, path, person)
            if target is not None:
                self._replace(version, target, bucket, head, metadata)
        if bucket == self._archive:
            self._archiver.put_in_order(version.key)

    def _replace(self, version: Version, content: Path, bucket: str, head: Any, metadata: dict[str, str]) -> None:
        """Write the content under the version's key, read it back, and delete the old version."""
        tags = self._s3.get_object_tagging(**version.named)["TagSet"]
        kept = {name: head[name] for name in KEPT_HEADERS if name in head}
        tagging = urlencode([(tag["Key"], tag["Value"]) for tag in tags])
        version_id = put_file(
            self._s3, content, bucket=bucket, key=version.key, Metadata=metadata, Tagging=tagging, **kept
        )
        copy = Version(bucket, version.key, str(version_id))
        with self._downloaded(copy) as path:
            if not filecmp.cmp(path, content, shallow=False):
                raise Failed(f"{copy.uri} is not as it was written, so its old version was not deleted; try again")
        self._s3.delete_object(**version.named)

    def _in_drop_bucket(self, person: Person) -> Iterator[Trace]:
        loads = Loads(self._pipeline)
        for listed in drop_versions(self._s3, self._drop):
            drop = listed.drop
            version = Version(drop.bucket, drop.key, drop.version_id)
            rows = self._rows_in(version, person)
            if rows == 0:
                continue
            status = loads.of(drop).status
            if (
                not listed.is_withdrawn
                and is_drop(drop.key)
                and not (status.is_settled and status.phase is Phase.FAILED)
            ):
                raise Refused(
                    f"{drop.uri} names {person.customer_id} and is {status.phase.value}; "
                    "wait until it is archived or has failed, then forget the customer"
                )
            yield Trace(version, DELETED if listed.is_withdrawn else MOVED, rows)

    def _in_archive(self, person: Person, *, of_customers: bool) -> Iterator[Trace]:
        # The oldest first, so that versions of one key stay in their order.
        for version in reversed(list(self._versions(self._archive))):
            if version.key.startswith(_CUSTOMERS_PREFIX) is of_customers:
                rows = self._rows_in(version, person)
                if rows:
                    yield Trace(version, REWRITTEN, rows)

    def _in_work_bucket(self, person: Person) -> Iterator[Trace]:
        for prefix in (REJECTED, REPORTS, STAGING):
            for version in self._versions(self._work, prefix):
                # Staged rows are current only while their attempt runs.
                if prefix == STAGING and version.is_current:
                    continue
                rows = self._rows_in(version, person)
                if rows:
                    yield Trace(version, REWRITTEN if version.is_current else DELETED, rows)

    def _rows_in(self, version: Version, person: Person) -> int:
        with self._downloaded(version) as path, _refusing(version):
            if version.bucket == self._work and version.key.startswith(STAGING):
                return _rows_staged(path, person) if version.key.endswith(".parquet") else 0
            return self._redacted(version, path, person)[1]

    def _redacted(self, version: Version, path: Path, person: Person) -> tuple[Path | None, int]:
        """A file with the redacted content, or None where nothing changes, and the number of changed rows."""
        target = path.with_name("without-the-person")
        if version.bucket == self._work and version.key.startswith(REPORTS):
            rows = _redact_report(path, target, person)
        elif version.bucket == self._work:
            rows = redact(path, target, FileKind(TRANSACTIONS, self._settings, is_loaded_again=False), person)
        else:
            rows = redact(path, target, FileKind(_kind_of(version.key), self._settings), person)
        return (target if rows else None), rows

    @contextmanager
    def _downloaded(self, version: Version) -> Iterator[Path]:
        """The version on local disk, in a folder of its own."""
        with tempfile.TemporaryDirectory(prefix="forget-") as folder:
            path = Path(folder) / "object"
            extra = {"VersionId": version.version_id}
            try:
                self._s3.download_file(version.bucket, version.key, str(path), ExtraArgs=extra)
            except ClientError as error:
                if error.response["ResponseMetadata"]["HTTPStatusCode"] != 404:
                    raise
                # Deleted meanwhile, as a lifecycle rule may do.
                path.touch()
            yield path

    def _versions(self, bucket: str, prefix: str = "") -> Iterator[Version]:
        """All versions below the prefix; those of one key come newest first."""
        for page in self._s3.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix):
            for listed in page.get("Versions", []):
                yield Version(bucket, listed["Key"], listed["VersionId"], listed["IsLatest"])


@contextmanager
def _refusing(version: Version) -> Iterator[None]:
    """Raises Refused for a damaged file: it may show the person, and cannot be rewritten."""
    try:
        yield
    except FileRefused as reason:
        raise Refused(
            f"{version.uri} cannot be read, so it may show the customer: {reason}; "
            f"delete its version {version.version_id}, then forget the customer"
        ) from None


def _kind_of(key: str) -> str | None:
    try:
        return parse_key(key).kind
    except KeyOutsideLayout:
        return None


def _redact_report(path: Path, target: Path, person: Person) -> int:
    """Remove the addresses from a report or its page. Only HTML changes an address: it escapes special characters."""
    as_html = Person(person.customer_id, person.addresses | set(map(html.escape, person.addresses)))
    before = path.read_bytes().decode("utf-8").splitlines(keepends=True)
    after = [as_html.without_addresses(line) for line in before]
    target.write_bytes("".join(after).encode("utf-8"))
    return sum(old != new for old, new in zip(before, after, strict=True))


def _rows_staged(path: Path, person: Person) -> int:
    """The number of the person's rows in a staged Parquet file of a load of customers."""
    frame = pl.read_parquet(path)
    columns = [name for name in PERSONAL_COLUMNS if name in frame.columns]
    if not columns:
        return 0
    named = frame.filter(pl.any_horizontal(pl.col(columns).is_not_null()))
    return sum(
        row[CUSTOMER_ID.name] == person.customer_id or person.has_address_in(str(row["email"] or ""))
        for row in named.iter_rows(named=True)
    )
