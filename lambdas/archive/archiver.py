"""Copy, verify, delete: in this order, each step safe to find half done.

The copy says in its metadata which version of which drop it is, so a second run finds
its own copy whatever else was archived under the same key since. Only a verified copy
lets the drop be deleted, and only the pinned version of it is deleted: what was uploaded
under the same key since then is a drop of its own.

Two runs at the same moment would both find no copy and leave two equal versions, which
nobody may delete. So whoever copies claims the right to first, in the work bucket.
S3's own condition on the copy would not do: the key may well be there, archived before.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any
from urllib.parse import urlencode

from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError

from lambdas.archive.same_content import ObjectVersion, head, is_same_content
from lambdas.errors import TerminalError, TransientError
from lambdas.leases import Lease, LeaseStore, held_for, released
from schemas.drops import Drop
from schemas.work_bucket import archiving_key

LARGEST_SINGLE_COPY_BYTES = 5 * 1024**3
"""S3 copies no more than this in one request."""
_PART_BYTES = 256 * 1024**2

# S3 copies several times as fast. Whoever takes longer is taken for dead; should he live, the
# archive gets a second equal version, which costs room but loses nothing.
_CLAIM_SECONDS = 30
_CLAIMED_BYTES_PER_SECOND = 20 * 1024**2

_KEPT_HEADERS = (
    "CacheControl",
    "ContentDisposition",
    "ContentEncoding",
    "ContentLanguage",
    "ContentType",
    "Expires",
)


class Archived(Enum):
    """What became of a loaded drop."""

    MOVED = "the drop is in the archive and gone from the drop bucket"
    WAS_THERE = "the drop was archived before"
    BY_ANOTHER = "another run is archiving the drop; should it die, the sweep finds it"


@dataclass(frozen=True)
class Archiver:
    """Moves loaded drops from one bucket to another."""

    s3: Any
    archive_bucket: str
    leases: LeaseStore
    multipart_threshold: int = LARGEST_SINGLE_COPY_BYTES
    part_bytes: int = _PART_BYTES

    def archive(self, drop: Drop, *, etag: str | None) -> Archived:
        """Move the drop. `etag` is that of the bytes that were loaded, where the report knows it."""
        source: ObjectVersion = {"Bucket": drop.bucket, "Key": drop.key, "VersionId": drop.version_id}
        found = self._find(source)
        copy = self._own_copy(drop)
        if found is None:
            if copy is None:
                raise TerminalError(
                    f"{drop.uri} (version {drop.version_id}) is loaded, but it is neither in the drop bucket nor in "
                    f"the archive {self.archive_bucket}; somebody deleted it: look at the access log of the drop bucket"
                )
            return Archived.WAS_THERE
        if etag is not None and found["ETag"].strip('"') != etag.strip('"'):
            raise TerminalError(
                f"{drop.uri} (version {drop.version_id}) has the ETag {found['ETag']} but was loaded with {etag}: its "
                "bytes were replaced, so it is not archived; turn versioning on for the drop bucket and drop it again"
            )
        if copy is None:
            claim = self._claim(drop, found["ContentLength"])
            if claim is None:
                return Archived.BY_ANOTHER
            copy = self._copy_claimed(claim, drop, source, found)
        try:
            is_same = is_same_content(self.s3, source, copy)
        except ClientError:
            if self._find(source) is None:
                return Archived.WAS_THERE
            raise
        if not is_same:
            raise TerminalError(
                f"the copy of {drop.uri} (version {drop.version_id}) in {self.archive_bucket} is not equal to it; "
                f"nothing was deleted: remove the copy's version {copy['VersionId']} and the next sweep copies it again"
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

    def _own_copy(self, drop: Drop) -> ObjectVersion | None:
        """The version in the archive that is the copy of this very drop."""
        pages = self.s3.get_paginator("list_object_versions").paginate(Bucket=self.archive_bucket, Prefix=drop.key)
        for page in pages:
            for found in page.get("Versions", []):
                if found["Key"] != drop.key:
                    # The key itself sorts before whatever begins with it.
                    return None
                version = {"Bucket": self.archive_bucket, "Key": drop.key, "VersionId": found["VersionId"]}
                if _origin(drop).items() <= self.s3.head_object(**version)["Metadata"].items():
                    return version
        return None

    def _claim(self, drop: Drop, size: int) -> Lease | None:
        """The right to copy the drop; None while another has it."""
        key = archiving_key(drop.load_id)
        held = held_for(_CLAIM_SECONDS + size / _CLAIMED_BYTES_PER_SECOND)
        if key not in self.leases.names(key):
            return self.leases.create(key, held)
        claim = self.leases.read(key)
        return self.leases.replace(claim, held) if claim.is_expired else None

    def _copy_claimed(self, claim: Lease, drop: Drop, source: ObjectVersion, found: dict[str, Any]) -> ObjectVersion:
        # Another may have copied it between our look and our claim.
        copy = self._own_copy(drop)
        if copy is None:
            try:
                self._copy(drop, source, found)
            except Exception:
                self.leases.replace(claim, released())
                raise
            copy = self._own_copy(drop)
        if copy is None:
            raise TransientError(
                f"the copy of {drop.uri} in {self.archive_bucket} cannot be found; nothing was deleted"
            )
        return copy

    def _copy(self, drop: Drop, source: ObjectVersion, found: dict[str, Any]) -> None:
        tags = self.s3.get_object_tagging(**source)["TagSet"]
        # A copy in parts takes nothing over by itself, so everything is said each time.
        what_is_kept = {
            **{name: found[name] for name in _KEPT_HEADERS if name in found},
            "MetadataDirective": "REPLACE",
            "Metadata": {**found["Metadata"], **_origin(drop)},
            "TaggingDirective": "REPLACE",
            "Tagging": urlencode([(tag["Key"], tag["Value"]) for tag in tags]),
            "CopySourceIfMatch": found["ETag"],
        }
        if found.get("ServerSideEncryption", "").startswith("aws:kms"):
            what_is_kept["ServerSideEncryption"] = found["ServerSideEncryption"]
            what_is_kept["SSEKMSKeyId"] = found["SSEKMSKeyId"]
        self.s3.copy(
            dict(source),
            self.archive_bucket,
            drop.key,
            ExtraArgs=what_is_kept,
            Config=TransferConfig(multipart_threshold=self.multipart_threshold, multipart_chunksize=self.part_bytes),
        )


def _origin(drop: Drop) -> dict[str, str]:
    """What the copy says of where it comes from."""
    return {"load-id": drop.load_id, "source-version-id": drop.version_id}
