"""The job's edge to S3: fetching one object version, keeping what a load leaves behind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Callable

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from jobs.csv.file_format import is_gzip, unpack
from jobs.errors import DropGone, TerminalError
from jobs.room import refuse_too_large
from schemas.counted import counted
from schemas.drops import SOURCE_ETAG, SOURCE_UPLOADED_AT, Drop
from schemas.runs import ArchivedCopy

_GONE = {"404", "NoSuchKey", "NoSuchVersion", "MethodNotAllowed", "405"}


def s3_client(region: str) -> Any:
    """The Region is given: without it, boto3 would ask S3 in us-east-1, which a private subnet cannot reach."""
    return boto3.client("s3", region_name=region, config=Config(retries={"mode": "standard", "max_attempts": 5}))


@dataclass(frozen=True)
class Fetched:
    """A drop on local disk, unpacked."""

    path: Path
    bytes: int
    """Of the object, packed as it was dropped."""
    etag: str
    uploaded_at: datetime
    """S3's LastModified."""


def fetch(
    s3: Any,
    drop: Drop,
    folder: Path,
    archived: ArchivedCopy | None = None,
    booked_upload: Callable[[], datetime | None] = lambda: None,
) -> Fetched:
    """Download exactly the drop's version, or its copy in the archive where one is named.

    Raises DropGone or FileRefused. `uploaded_at` is when the drop was uploaded, not when it was copied:
    the copy has it as metadata, and for a copy without it `booked_upload` is asked.
    """
    path, name = folder / "drop", drop.key.rpartition("/")[2]
    source = archived or drop
    try:
        head = s3.head_object(Bucket=source.bucket, Key=source.key, VersionId=source.version_id)
        refuse_too_large(name, head["ContentLength"], folder)
        s3.download_file(source.bucket, source.key, str(path), ExtraArgs={"VersionId": source.version_id})
    except ClientError as reason:
        if reason.response["Error"]["Code"] in _GONE:
            raise DropGone(
                f"s3://{source.bucket}/{source.key} (version {source.version_id}) does not exist any more, "
                "so nothing was loaded; upload the file again if it should be loaded"
            ) from None
        raise
    if is_gzip(path):
        packed, path = path, unpack(path, folder / "unpacked", name)
        packed.unlink()
    metadata = head["Metadata"] if archived else {}
    return Fetched(
        path,
        bytes=head["ContentLength"],
        etag=metadata.get(SOURCE_ETAG, head["ETag"].strip('"')),
        uploaded_at=_uploaded_at(metadata, booked_upload) if archived else head["LastModified"],
    )


def _uploaded_at(metadata: Mapping[str, str], booked_upload: Callable[[], datetime | None]) -> datetime:
    """When the drop behind an archived copy was uploaded; raises TerminalError where no record has it."""
    if SOURCE_UPLOADED_AT in metadata:
        return datetime.fromisoformat(metadata[SOURCE_UPLOADED_AT])
    booked = booked_upload()
    if booked is None:
        raise TerminalError(
            f"the archived copy lacks the metadata {SOURCE_UPLOADED_AT}, so it is not known which uploads its rows "
            "replace; copy the object back into the drop bucket to load it as a new upload"
        )
    return booked


@dataclass(frozen=True)
class Prefix:
    """Everything below one prefix of the work bucket; no other attempt writes there."""

    s3: Any
    bucket: str
    prefix: str

    @property
    def uri(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}"

    def below(self, name: str) -> Prefix:
        """The folder of this name."""
        return Prefix(self.s3, self.bucket, f"{self.prefix}{name}/")

    def upload(self, path: Path, name: str) -> str:
        """Returns the object's URI."""
        self.s3.upload_file(str(path), self.bucket, self.prefix + name)
        return self.uri + name

    def put(self, name: str, body: str) -> str:
        self.s3.put_object(Bucket=self.bucket, Key=self.prefix + name, Body=body.encode("utf-8"))
        return self.uri + name

    def download(self, folder: Path) -> list[Path]:
        folder.mkdir()
        paths = []
        for position, key in enumerate(self._keys()):
            path = folder / f"{position:05d}.parquet"
            self.s3.download_file(self.bucket, key, str(path))
            paths.append(path)
        return paths

    def delete(self) -> None:
        keys = self._keys()
        for start in range(0, len(keys), 1000):
            batch = [{"Key": key} for key in keys[start : start + 1000]]
            response = self.s3.delete_objects(Bucket=self.bucket, Delete={"Objects": batch, "Quiet": True})
            # S3 calls it a success where nothing could be deleted, and names each object that was not.
            if response.get("Errors"):
                objects, first = counted(len(response["Errors"]), "object"), response["Errors"][0]
                raise TerminalError(
                    f"S3 did not delete {objects} below {self.uri}, the first of them "
                    f"s3://{self.bucket}/{first['Key']}: {first['Code']}; let the job's role delete them"
                )

    def _keys(self) -> list[str]:
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=self.prefix)
        return [entry["Key"] for page in pages for entry in page.get("Contents", ())]
