"""Copies, verifies and deletes a drop, in this order; each step can be repeated if it was interrupted.

A drop is deleted only when its copy is verified, and only its pinned version: a later upload under the same key is
another drop.

Two workers at the same moment would both find no copy and leave two. So the right to copy
a drop is a lease in the work bucket. A condition on S3's copy would not help: the key may exist already, archived
before.

After every copy the versions of the key are put in order: one copy of each load, and the
newest upload is the current object, in whatever order the drops were archived. A worker that dies before this has not
deleted its drop, so the next one does it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError

from lambdas.archive.same_content import ObjectVersion, head, is_same_content
from lambdas.archived_copies import Copy, archived_copies, origin_metadata, remember_copies
from lambdas.errors import TerminalError, TransientError
from lambdas.leases import Lease, LeaseStore, leased, released
from schemas.drops import Drop
from schemas.work_bucket import archiving_key

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client

LARGEST_SINGLE_COPY_BYTES = 5 * 1024**3
"""S3 copies no more than this in one request."""
_PART_BYTES = 256 * 1024**2

# S3 copies several times as fast. A slower worker is presumed dead. If it is not, the archive gets a second
# equal version, which is removed when the versions are put in order.
_LEASE_SECONDS = 30
_LEASED_BYTES_PER_SECOND = 20 * 1024**2

KEPT_HEADERS = (
    "CacheControl",
    "ContentDisposition",
    "ContentEncoding",
    "ContentLanguage",
    "ContentType",
    "Expires",
)


class Archived(Enum):
    """The result of archiving a loaded drop."""

    MOVED = "the drop is in the archive and deleted from the drop bucket"
    WAS_THERE = "the drop was already archived"
    BY_ANOTHER = "another worker is archiving the drop; if it dies, the sweep calls again"


@dataclass(frozen=True)
class Archiver:
    """Moves loaded drops from one bucket to another."""

    s3: S3Client
    archive_bucket: str
    leases: LeaseStore
    multipart_threshold: int = LARGEST_SINGLE_COPY_BYTES
    part_bytes: int = _PART_BYTES

    def archive(self, drop: Drop, *, etag: str | None) -> Archived:
        """Move the drop. `etag` is that of the loaded bytes, if the report has it."""
        source: ObjectVersion = {"Bucket": drop.bucket, "Key": drop.key, "VersionId": drop.version_id}
        source_head = self._find(source)
        copy = self._own_copy(drop)
        if source_head is None:
            if copy is None:
                raise TerminalError(
                    f"{drop.uri} (version {drop.version_id}) is loaded, but it is neither in the drop bucket nor in "
                    f"the archive {self.archive_bucket}; it was deleted: check the access log of the drop bucket"
                )
            return Archived.WAS_THERE
        if etag is not None and source_head["ETag"].strip('"') != etag.strip('"'):
            raise TerminalError(
                f"{drop.uri} (version {drop.version_id}) has the ETag {source_head['ETag']} but was loaded with "
                f"{etag}: its bytes were replaced, so it is not archived; turn versioning on for the drop bucket and "
                "upload the file again"
            )
        if copy is None:
            lease = self._claim(drop, source_head["ContentLength"])
            if lease is None:
                return Archived.BY_ANOTHER
            self._copy_claimed(lease, drop, source, source_head)
        copy = self.put_in_order(drop.key).get(drop.load_id)
        if copy is None:
            raise TransientError(
                f"the copy of {drop.uri} in {self.archive_bucket} cannot be found; nothing was deleted"
            )
        try:
            is_same = is_same_content(self.s3, source, self._archived(drop.key, copy))
        except ClientError:
            if self._find(source) is None:
                return Archived.WAS_THERE
            raise
        if not is_same:
            raise TerminalError(
                f"the copy of {drop.uri} (version {drop.version_id}) in {self.archive_bucket} is not equal to it; "
                f"nothing was deleted: remove the copy's version {copy.version_id} and the next sweep copies it again"
            )
        self.s3.delete_object(**source)
        return Archived.MOVED

    def _find(self, source: ObjectVersion) -> dict[str, Any] | None:
        try:
            return head(self.s3, source)
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
                return None
            raise

    def _own_copy(self, drop: Drop) -> Copy | None:
        """The archived version that is the copy of exactly this drop."""
        copies = archived_copies(self.s3, self.leases, self.archive_bucket, drop.key)
        return next((copy for copy in copies if copy.load_id == drop.load_id), None)

    def _claim(self, drop: Drop, size: int) -> Lease | None:
        """The right to copy the drop; None while another worker has it."""
        key = archiving_key(drop.load_id)
        held = leased(_LEASE_SECONDS + size / _LEASED_BYTES_PER_SECOND)
        lease = self.leases.find(key)
        if lease is None:
            return self.leases.create(key, held)
        return self.leases.replace(lease, held) if lease.is_expired else None

    def _copy_claimed(self, lease: Lease, drop: Drop, source: ObjectVersion, source_head: Mapping[str, Any]) -> None:
        """Copy the drop, unless another worker copied it before our claim."""
        if self._own_copy(drop) is not None:
            return
        try:
            self.refuse_without_versions()
            self._copy(drop.key, source, source_head, self.origin_of(drop, source_head))
        except Exception:
            self.leases.replace(lease, released())
            raise

    def put_in_order(self, key: str) -> dict[str, Copy]:
        """One copy of each load, the newest upload on top; returns the copies by load_id."""
        copies: dict[str, Copy] = {}
        versions = archived_copies(self.s3, self.leases, self.archive_bucket, key)
        for copy in versions:
            if copy.load_id in copies:
                self._remove_double(key, copy, kept=copies[copy.load_id])
            elif copy.load_id:
                copies[copy.load_id] = copy
        newest = _newest(copies)
        if newest is None or newest == versions[0]:
            remember_copies(self.leases, key, versions)
            return copies
        version = self._archived(key, newest)
        self._copy(key, version, head(self.s3, version), {})
        return self.put_in_order(key)

    def _remove_double(self, key: str, copy: Copy, *, kept: Copy) -> None:
        """Delete the lower of two equal copies. The upper one stays, so two workers never delete both."""
        version = self._archived(key, copy)
        try:
            is_same = is_same_content(self.s3, version, self._archived(key, kept))
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
                return
            raise
        if is_same:
            self.s3.delete_object(**version)

    def _uploaded_in_same_second(
        self, drop: Drop, source_head: Mapping[str, Any]
    ) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The versions of the key uploaded after and before the drop within the same second, which S3's times cannot
        order."""
        uploaded_at = source_head["LastModified"].replace(microsecond=0)
        version_ids = [
            version["VersionId"]
            for page in self.s3.get_paginator("list_object_versions").paginate(Bucket=drop.bucket, Prefix=drop.key)
            for version in page.get("Versions", [])
            if version["Key"] == drop.key and version["LastModified"].replace(microsecond=0) == uploaded_at
        ]
        if drop.version_id not in version_ids:
            return (), ()
        place = version_ids.index(drop.version_id)
        return tuple(version_ids[:place]), tuple(version_ids[place + 1 :])

    def origin_of(self, drop: Drop, source_head: Mapping[str, Any]) -> dict[str, str]:
        """The metadata for the copy of a drop that is still in the drop bucket."""
        above, below = self._uploaded_in_same_second(drop, source_head)
        return origin_metadata(drop, source_head, above=above, below=below)

    def refuse_without_versions(self) -> None:
        status = self.s3.get_bucket_versioning(Bucket=self.archive_bucket).get("Status")
        if status != "Enabled":
            raise TerminalError(
                f"the archive bucket {self.archive_bucket} keeps no versions ({status or 'never enabled'}), so a copy "
                "could overwrite another drop's; turn versioning on (`pulumi up` does) and the sweep archives the drop"
            )

    def _archived(self, key: str, copy: Copy) -> ObjectVersion:
        return {"Bucket": self.archive_bucket, "Key": key, "VersionId": copy.version_id}

    def _copy(
        self,
        key: str,
        source: ObjectVersion,
        source_head: Mapping[str, Any],
        origin: Mapping[str, str],
    ) -> None:
        tags = self.s3.get_object_tagging(**source)["TagSet"]
        # A multipart copy inherits nothing, so everything is set each time.
        kept = {
            **{name: source_head[name] for name in KEPT_HEADERS if name in source_head},
            "MetadataDirective": "REPLACE",
            "Metadata": {**source_head["Metadata"], **origin},
            "TaggingDirective": "REPLACE",
            "Tagging": urlencode([(tag["Key"], tag["Value"]) for tag in tags]),
            "CopySourceIfMatch": source_head["ETag"],
        }
        if source_head.get("ServerSideEncryption", "").startswith("aws:kms"):
            kept["ServerSideEncryption"] = source_head["ServerSideEncryption"]
            kept["SSEKMSKeyId"] = source_head["SSEKMSKeyId"]
        self.s3.copy(
            {"Bucket": source["Bucket"], "Key": source["Key"], "VersionId": source["VersionId"]},
            self.archive_bucket,
            key,
            ExtraArgs=kept,
            Config=TransferConfig(multipart_threshold=self.multipart_threshold, multipart_chunksize=self.part_bytes),
        )


def _newest(copies: Mapping[str, Copy]) -> Copy | None:
    """The copy of the newest upload; copies come in the archive's order, its current object first."""
    newest: Copy | None = None
    for copy in copies.values():
        if newest is None or copy.is_newer_than(newest):
            newest = copy
    return newest
