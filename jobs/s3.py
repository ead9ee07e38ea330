"""The job's access to S3: reads one object version, writes the files that a load keeps."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Callable

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as BotoConnectionError
from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from jobs.csv.content import Content, Streamed, read_once
from jobs.errors import DropGone, TerminalError
from jobs.map_ordered import map_ordered
from jobs.room import has_room_for_a_copy
from schemas.counted import counted
from schemas.drops import SOURCE_ETAG, SOURCE_UPLOADED_AT, Drop
from schemas.runs import ArchivedCopy

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client

FIRST_RANGE_BYTES = 64 * 1024
"""Many readers need only the beginning."""
MOST_RANGE_BYTES = 2 * 1024 * 1024
"""Larger ones take more memory and are no faster."""
_TRIES = 5

_GONE = {"404", "NoSuchKey", "NoSuchVersion", "MethodNotAllowed", "405"}


def s3_client(region: str) -> S3Client:
    """The Region is given: without it, boto3 would ask S3 in us-east-1, which a private subnet cannot reach."""
    return boto3.client("s3", region_name=region, config=Config(retries={"mode": "standard", "max_attempts": 5}))


_again_where_it_broke = retry(
    # botocore does not retry errors after the head of a response.
    retry=retry_if_exception_type((HTTPClientError, BotoConnectionError)),
    stop=stop_after_attempt(_TRIES),
    wait=wait_random_exponential(multiplier=0.5, max=30),
    reraise=True,
)


@dataclass(frozen=True)
class ObjectVersion:
    """One version of an object, as it is read; unlike a client, it can be sent to another process."""

    bucket: str
    key: str
    version_id: str
    etag: str
    """The object's own, as S3 wrote it: with quotes."""
    size: int
    """Bytes."""

    def read(self, s3: S3Client, start: int, stop: int) -> bytes:
        """The bytes from `start` up to `stop`; raises DropGone."""

        @_again_where_it_broke
        def get() -> bytes:
            answer = s3.get_object(
                Bucket=self.bucket,
                Key=self.key,
                VersionId=self.version_id,
                IfMatch=self.etag,
                Range=f"bytes={start}-{stop - 1}",
            )
            body: bytes = answer["Body"].read()
            return body

        with _raise_drop_gone(self):
            return get()

    def ranges(self, s3: S3Client, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """All bytes between two offsets; a range is on its way while the one before it is read."""
        bounds = _bounds(start, self.size if stop is None else stop)
        return map_ordered(lambda range_: self.read(s3, *range_), bounds)


@dataclass(frozen=True)
class Fetched:
    """A drop with its content, ready to be read."""

    content: Content
    """The content as it was uploaded."""
    object: ObjectVersion
    bytes: int
    etag: str
    uploaded_at: datetime
    """S3's LastModified."""


def fetch(
    s3: S3Client,
    drop: Drop,
    folder: Path,
    archived: ArchivedCopy | None = None,
    booked_upload: Callable[[], datetime | None] = lambda: None,
    *,
    may_download: bool = True,
) -> Fetched:
    """Fetch exactly the drop's version, or its copy in the archive if the run names one.

    It is downloaded if it may be and the disk has room for it, and otherwise read from S3 in ranges. Raises DropGone.
    `uploaded_at` is when the drop was uploaded, not when it was copied: the copy has it as metadata, and for a copy
    without it `booked_upload` is asked.
    """
    source = archived or drop
    with _raise_drop_gone(source):
        head = s3.head_object(Bucket=source.bucket, Key=source.key, VersionId=source.version_id)
        version = ObjectVersion(source.bucket, source.key, source.version_id, head["ETag"], head["ContentLength"])
        content: Content = folder / "drop"
        if may_download and has_room_for_a_copy(version.size, folder):
            extra = {"VersionId": source.version_id}
            s3.download_file(source.bucket, source.key, str(content), ExtraArgs=extra)
        else:
            content = Streamed(partial(version.ranges, s3))
    metadata = head["Metadata"] if archived else {}
    return Fetched(
        content,
        version,
        bytes=version.size,
        etag=metadata.get(SOURCE_ETAG, head["ETag"].strip('"')),
        uploaded_at=_uploaded_at(metadata, booked_upload) if archived else head["LastModified"],
    )


def _bounds(start: int, stop: int) -> Iterator[tuple[int, int]]:
    length = FIRST_RANGE_BYTES
    while start < stop:
        yield start, min(start + length, stop)
        start, length = start + length, min(length * 2, MOST_RANGE_BYTES)


@contextmanager
def _raise_drop_gone(source: Drop | ArchivedCopy | ObjectVersion) -> Iterator[None]:
    """Raises DropGone if S3 reports that the version does not exist."""
    try:
        yield
    except ClientError as reason:
        if reason.response["Error"]["Code"] in _GONE:
            raise DropGone(
                f"s3://{source.bucket}/{source.key} (version {source.version_id}) does not exist any more, "
                "so nothing was loaded; upload the file again if it should be loaded"
            ) from None
        raise


def _uploaded_at(metadata: Mapping[str, str], booked_upload: Callable[[], datetime | None]) -> datetime:
    """The upload time of the drop behind an archived copy; raises TerminalError if no record has it."""
    if SOURCE_UPLOADED_AT in metadata:
        return datetime.fromisoformat(metadata[SOURCE_UPLOADED_AT])
    booked = booked_upload()
    if booked is None:
        raise TerminalError(
            f"the archived copy lacks the metadata {SOURCE_UPLOADED_AT}, so it is not known which uploads its rows "
            "replace; copy the object back into the drop bucket to load it as a new upload"
        )
    return booked


def upload_blocks(s3: S3Client, blocks: Iterable[bytes], bucket: str, key: str, content_type: str) -> None:
    """Put an object part by part while it is made; it exists when all of it does."""
    # In this thread: more threads would make parts before earlier ones are uploaded, and need more memory.
    config = TransferConfig(use_threads=False)
    s3.upload_fileobj(read_once(blocks), bucket, key, ExtraArgs={"ContentType": content_type}, Config=config)


@dataclass(frozen=True)
class Prefix:
    """Everything below one prefix of the work bucket; no other attempt writes there."""

    s3: S3Client
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

    def read(self, name: str, start: int = 0, stop: int | None = None) -> bytes:
        """An object, or its bytes from `start` up to `stop`."""
        key = self.prefix + name

        @_again_where_it_broke
        def get() -> bytes:
            if stop is None:
                return self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read()
            return self.s3.get_object(Bucket=self.bucket, Key=key, Range=f"bytes={start}-{stop - 1}")["Body"].read()

        return get()

    def upload_blocks(self, blocks: Iterable[bytes], name: str, content_type: str) -> None:
        """Put an object part by part while it is made."""
        upload_blocks(self.s3, blocks, self.bucket, self.prefix + name, content_type)

    def copy_from(self, other: Prefix, name: str, new_name: str) -> None:
        """Copy an object of another prefix of this bucket inside S3, up to 5 GB."""
        self.s3.copy_object(
            Bucket=self.bucket,
            Key=self.prefix + new_name,
            CopySource={"Bucket": other.bucket, "Key": other.prefix + name},
        )

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
            response = self.s3.delete_objects(
                Bucket=self.bucket,
                Delete={"Objects": [{"Key": key} for key in keys[start : start + 1000]], "Quiet": True},
            )
            # S3 responds with success even when it deleted nothing, and lists each object that failed.
            if response.get("Errors"):
                objects, first = counted(len(response["Errors"]), "object"), response["Errors"][0]
                raise TerminalError(
                    f"S3 did not delete {objects} below {self.uri}, the first of them "
                    f"s3://{self.bucket}/{first['Key']}: {first['Code']}; let the job's role delete them"
                )

    def _keys(self) -> list[str]:
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=self.prefix)
        return [entry["Key"] for page in pages for entry in page.get("Contents", ())]
