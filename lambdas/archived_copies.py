"""The copies in the archive: which version is the copy of which drop. The metadata of each copy names its drop and the
time of the upload. The index of a
key (`archived/<digest>.json` in the work bucket) remembers the metadata of its versions,
so that no function has to ask for all of them again. It is a cache: missing versions are looked up, and the entry of a
version never changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from lambdas.leases import Lease, LeaseStore
from schemas.drops import SOURCE_ETAG, SOURCE_UPLOADED_AT, Drop
from schemas.runs import ArchivedCopy
from schemas.work_bucket import archived_key

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client

LOAD_ID = "load-id"
SOURCE_VERSION_ID = "source-version-id"
_SOURCE_ABOVE = "source-above"
_SOURCE_BELOW = "source-below"

_MOST_TIED = 10
"""S3 keeps 2 KB of metadata; version ids have 32 characters."""


@dataclass(frozen=True)
class Copy:
    """One version in the archive and the drop that it is a copy of."""

    version_id: str
    load_id: str
    """Empty for a version that is not our copy."""
    source_version_id: str
    uploaded_at: str
    """When the drop was uploaded, ISO 8601 in UTC; empty if the copy's metadata lacks it."""
    above: tuple[str, ...] = ()
    """Source versions of the key that were uploaded later within the same second."""
    below: tuple[str, ...] = ()
    """Source versions of the key that were uploaded earlier within the same second."""

    def is_newer_than(self, other: Copy) -> bool:
        """True when its drop was uploaded after the other's."""
        if other.source_version_id in self.below or self.source_version_id in other.above:
            return True
        if other.source_version_id in self.above or self.source_version_id in other.below:
            return False
        return self.uploaded_at > other.uploaded_at


def origin_metadata(
    drop: Drop, source_head: Mapping[str, Any], *, above: tuple[str, ...], below: tuple[str, ...]
) -> dict[str, str]:
    """The metadata of a copy, which describes its drop. A replay needs the original upload for its precedence."""
    metadata = {
        LOAD_ID: drop.load_id,
        SOURCE_VERSION_ID: drop.version_id,
        SOURCE_UPLOADED_AT: source_head["LastModified"].replace(microsecond=0).isoformat(),
        SOURCE_ETAG: source_head["ETag"].strip('"'),
    }
    if above:
        metadata[_SOURCE_ABOVE] = " ".join(above[-_MOST_TIED:])
    if below:
        metadata[_SOURCE_BELOW] = " ".join(below[:_MOST_TIED])
    return metadata


def archived_copies(s3: S3Client, leases: LeaseStore, archive_bucket: str, key: str) -> list[Copy]:
    """Every version that is archived under a key, the current object first."""
    index = _read(leases.find(archived_key(key)))
    copies: list[Copy] = []
    for version_id in _version_ids(s3, archive_bucket, key):
        copy = index.get(version_id) or _described(s3, archive_bucket, key, version_id)
        if copy is not None:
            copies.append(copy)
    return copies


def remember_copies(leases: LeaseStore, key: str, copies: list[Copy]) -> None:
    """Write the index of a key if it has changed. If another worker is faster, its index is equally good."""
    index = leases.find(archived_key(key))
    if {copy.version_id for copy in copies} == set(_read(index)):
        return
    payload = {"key": key, "copies": [asdict(copy) for copy in copies]}
    if index is None:
        leases.create(archived_key(key), payload)
    else:
        leases.replace(index, payload)


def find_copy(s3: S3Client, leases: LeaseStore, archive_bucket: str, drop: Drop) -> ArchivedCopy | None:
    """The copy of exactly this drop; None when it was never archived."""
    for copy in archived_copies(s3, leases, archive_bucket, drop.key):
        if copy.load_id == drop.load_id:
            return ArchivedCopy(archive_bucket, drop.key, copy.version_id)
    return None


def _version_ids(s3: S3Client, archive_bucket: str, key: str) -> list[str]:
    version_ids: list[str] = []
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=archive_bucket, Prefix=key):
        for version in page.get("Versions", []):
            if version["Key"] != key:
                # The key itself sorts before every key that begins with it.
                return version_ids
            version_ids.append(version["VersionId"])
    return version_ids


def _described(s3: S3Client, archive_bucket: str, key: str, version_id: str) -> Copy | None:
    """The version by its own metadata; None when it was removed meanwhile."""
    try:
        metadata = s3.head_object(Bucket=archive_bucket, Key=key, VersionId=version_id)["Metadata"]
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
            return None
        raise
    return Copy(
        version_id=version_id,
        load_id=metadata.get(LOAD_ID, ""),
        source_version_id=metadata.get(SOURCE_VERSION_ID, ""),
        uploaded_at=metadata.get(SOURCE_UPLOADED_AT, ""),
        above=tuple(metadata.get(_SOURCE_ABOVE, "").split()),
        below=tuple(metadata.get(_SOURCE_BELOW, "").split()),
    )


def _read(index: Lease | None) -> dict[str, Copy]:
    if index is None:
        return {}
    return {
        copy["version_id"]: Copy(**{**copy, "above": tuple(copy["above"]), "below": tuple(copy["below"])})
        for copy in index.payload["copies"]
    }
