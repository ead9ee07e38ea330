"""The part of S3, Glue, SQS, SNS and Lambda that the functions call, in memory, and a clock that the model moves.

Every call passes `Clients.before` and `Clients.after`. There the model stops, kills or disturbs
the calling worker.
"""

from __future__ import annotations

import hashlib
import io
import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import lru_cache
from types import SimpleNamespace
from typing import Any

from botocore.exceptions import ClientError

from schemas.drops import Drop

DROPS, WORK, ARCHIVE = "drops", "work", "archive"
LIVE = ("RUNNING", "WAITING")


def refusal(operation: str, code: str, status: int) -> ClientError:
    """The error that boto3 raises for a response with this status."""
    answer: Any = {"Error": {"Code": code, "Message": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(answer, operation)


@lru_cache
def http_date(second: datetime) -> str:
    """The time as AWS's responses write it."""
    return format_datetime(second, usegmt=True)


@dataclass
class Clock:
    now: datetime = datetime(2026, 3, 1, tzinfo=UTC)

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@dataclass
class Version:
    version_id: str
    body: bytes
    metadata: Mapping[str, str]
    written_at: datetime
    is_marker: bool = False

    @property
    def etag(self) -> str:
        return f'"{hashlib.md5(self.body).hexdigest()}"'


@dataclass
class S3:
    """Versioned buckets. The last version of a key is its current object."""

    clock: Clock
    before: Callable[[str], None]
    after: Callable[[str], None]
    conflicts: Callable[[], bool]
    """True when a conditional write must be refused with 409 although there is no other writer."""
    buckets: dict[str, dict[str, list[Version]]] = field(default_factory=dict)
    numbers: Iterator[int] = field(default_factory=itertools.count)

    def put(self, bucket: str, key: str, body: bytes, metadata: Mapping[str, str] | None = None) -> str:
        """Store a new version without any worker's call."""
        version = Version(f"v{next(self.numbers)}", body, metadata or {}, self.clock.now)
        self.buckets.setdefault(bucket, {}).setdefault(key, []).append(version)
        return version.version_id

    def withdraw(self, bucket: str, key: str) -> None:
        """A plain DELETE: a marker above the versions."""
        marker = Version(f"m{next(self.numbers)}", b"", {}, self.clock.now, is_marker=True)
        self.buckets[bucket][key].append(marker)

    def current(self, bucket: str, key: str) -> Version | None:
        versions = self.buckets.get(bucket, {}).get(key, [])
        return versions[-1] if versions and not versions[-1].is_marker else None

    def version(self, bucket: str, key: str, version_id: str | None) -> Version | None:
        if version_id is None:
            return self.current(bucket, key)
        versions = self.buckets.get(bucket, {}).get(key, [])
        return next((version for version in versions if version.version_id == version_id), None)

    def keys(self, bucket: str, prefix: str = "") -> list[str]:
        held = self.buckets.get(bucket, {})
        return sorted(key for key in held if key.startswith(prefix) and self.current(bucket, key) is not None)

    # what boto3 offers

    def get_paginator(self, operation: str) -> Any:
        pages = {"list_objects_v2": self._list_objects, "list_object_versions": self._list_versions}
        return SimpleNamespace(paginate=pages[operation])

    def _list_objects(self, Bucket: str, Prefix: str = "") -> list[dict[str, Any]]:
        self.before(f"ListObjectsV2 {Prefix}")
        contents = []
        for key in self.keys(Bucket, Prefix):
            version = self.current(Bucket, key)
            assert version is not None
            contents.append({"Key": key, "LastModified": version.written_at})
        return [{"Contents": contents, **self._metadata()}]

    def _list_versions(self, Bucket: str, Prefix: str = "") -> list[dict[str, Any]]:
        return [self.list_object_versions(Bucket, Prefix)]

    def list_object_versions(
        self, Bucket: str, Prefix: str = "", KeyMarker: str | None = None, VersionIdMarker: str | None = None
    ) -> dict[str, Any]:
        """Newest first; with a marker, only those after it."""
        self.before(f"ListObjectVersions {Prefix}")
        listed: dict[bool, list[dict[str, Any]]] = {False: [], True: []}
        is_reached = KeyMarker is None
        for key, versions in sorted(self.buckets.get(Bucket, {}).items()):
            if key.startswith(Prefix):
                for version in reversed(versions):
                    if not is_reached:
                        is_reached = (key, version.version_id) == (KeyMarker, VersionIdMarker)
                        continue
                    listed[version.is_marker].append(
                        {
                            "Key": key,
                            "VersionId": version.version_id,
                            "Size": len(version.body),
                            "LastModified": version.written_at,
                            "IsLatest": version is versions[-1],
                        }
                    )
        return {"Versions": listed[False], "DeleteMarkers": listed[True], **self._metadata()}

    def get_object(self, Bucket: str, Key: str, VersionId: str | None = None) -> dict[str, Any]:
        self.before(f"GetObject {Key}")
        version = self._existing("GetObject", Bucket, Key, VersionId)
        return {**self._described(version), "Body": io.BytesIO(version.body)}

    def head_object(self, Bucket: str, Key: str, VersionId: str | None = None, **_: Any) -> dict[str, Any]:
        self.before(f"HeadObject {Key}")
        return self._described(self._existing("HeadObject", Bucket, Key, VersionId))

    def put_object(
        self, Bucket: str, Key: str, Body: bytes, IfMatch: str | None = None, IfNoneMatch: str | None = None, **_: Any
    ) -> dict[str, Any]:
        self.before(f"PutObject {Key}")
        current = self.current(Bucket, Key)
        if self.conflicts():
            raise refusal("PutObject", "ConditionalRequestConflict", 409)
        if IfNoneMatch and current is not None:
            raise refusal("PutObject", "PreconditionFailed", 412)
        if IfMatch and (current is None or current.etag != IfMatch):
            raise refusal("PutObject", "PreconditionFailed", 412 if current else 404)
        # Old versions of notes are never read, so none is kept.
        self.buckets.setdefault(Bucket, {})[Key] = []
        self.put(Bucket, Key, Body)
        self.after(f"PutObject {Key}")
        stored = self.current(Bucket, Key)
        assert stored is not None
        return {"ETag": stored.etag, "VersionId": stored.version_id, **self._metadata()}

    def delete_object(self, Bucket: str, Key: str, VersionId: str | None = None) -> None:
        self.before(f"DeleteObject {Key}")
        held = self.buckets.get(Bucket, {})
        if VersionId is None:
            held.pop(Key, None)
        elif Key in held:
            held[Key] = [version for version in held[Key] if version.version_id != VersionId]
        self.after(f"DeleteObject {Key}")

    def copy(
        self, CopySource: Mapping[str, str], Bucket: str, Key: str, ExtraArgs: Mapping[str, Any], **_: Any
    ) -> None:
        self.before(f"CopyObject {Key}")
        source = self._existing("CopyObject", CopySource["Bucket"], CopySource["Key"], CopySource["VersionId"])
        self.put(Bucket, Key, source.body, ExtraArgs["Metadata"])
        self.after(f"CopyObject {Key}")

    def get_object_tagging(self, **_: Any) -> dict[str, Any]:
        return {"TagSet": []}

    def get_bucket_versioning(self, **_: Any) -> dict[str, Any]:
        return {"Status": "Enabled"}

    def _existing(self, operation: str, bucket: str, key: str, version_id: str | None) -> Version:
        version = self.version(bucket, key, version_id)
        if version is None:
            raise refusal(operation, "NoSuchKey", 404)
        return version

    def _described(self, version: Version) -> dict[str, Any]:
        return {
            "ETag": version.etag,
            "LastModified": version.written_at,
            "ContentLength": len(version.body),
            "VersionId": version.version_id,
            "Metadata": dict(version.metadata),
            **self._metadata(),
        }

    def _metadata(self) -> dict[str, Any]:
        return {"ResponseMetadata": {"HTTPHeaders": {"date": http_date(self.clock.now.replace(microsecond=0))}}}


@dataclass
class GlueRun:
    run_id: str
    job_name: str
    arguments: Mapping[str, str]
    started_on: datetime
    get_visible_at: datetime
    """GetJobRun does not know the run before this time. The list may show it earlier."""
    list_visible_at: datetime
    fate: str
    reads_dimension: bool
    """The dimension was loaded when the run began, so its rows do not wait for it."""
    awaited_by: list[Drop] = field(default_factory=list)
    """The loads whose rows need not wait any longer."""
    state: str = "RUNNING"
    steps: int = 0
    has_reported: bool = False

    @property
    def is_live(self) -> bool:
        return self.state in LIVE

    def described(self) -> dict[str, Any]:
        return {
            "Id": self.run_id,
            "JobName": self.job_name,
            "JobRunState": self.state,
            "Arguments": dict(self.arguments),
            "StartedOn": self.started_on,
        }


class UnknownJob(Exception):
    """The error of GetJobRuns for a job that was removed; the model removes none."""


@dataclass
class Glue:
    clock: Clock
    before: Callable[[str], None]
    after: Callable[[str], None]
    new_run: Callable[[str, str, Mapping[str, str]], GlueRun]
    places: int = 2
    runs: list[GlueRun] = field(default_factory=list)
    meta: Any = field(default_factory=lambda: SimpleNamespace(region_name="eu-west-1"))
    exceptions: Any = field(default_factory=lambda: SimpleNamespace(EntityNotFoundException=UnknownJob))

    def start_job_run(self, JobName: str, Arguments: Mapping[str, str]) -> dict[str, str]:
        self.before("StartJobRun")
        if sum(run.is_live for run in self.runs) >= self.places:
            raise refusal("StartJobRun", "ConcurrentRunsExceededException", 400)
        run = self.new_run(f"jr_{len(self.runs)}", JobName, Arguments)
        self.runs.append(run)
        self.after("StartJobRun")
        return {"JobRunId": run.run_id}

    def get_job_run(self, RunId: str, **_: Any) -> dict[str, Any]:
        self.before("GetJobRun")
        for run in self.runs:
            if run.run_id == RunId and run.get_visible_at <= self.clock.now:
                return {"JobRun": run.described()}
        raise refusal("GetJobRun", "EntityNotFoundException", 400)

    def get_paginator(self, operation: str) -> Any:
        assert operation == "get_job_runs"
        return SimpleNamespace(paginate=self._job_runs)

    def _job_runs(self, JobName: str, **_: Any) -> list[dict[str, Any]]:
        self.before("GetJobRuns")
        runs = [run for run in self.runs if run.job_name == JobName and run.list_visible_at <= self.clock.now]
        return [{"JobRuns": [run.described() for run in reversed(runs)]}]
