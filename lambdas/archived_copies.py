"""Which version in the archive is the copy of which drop.

Every copy says in its metadata which load and which source version it is. The index of a
key (`archiving/<digest>.json` in the work bucket) says the same for all copies of the key,
so that nobody has to ask for the metadata of each version. The index may lag behind the
archive when its writer died: whatever it does not know is looked up in the archive.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from lambdas.leases import LeaseStore
from schemas.drops import Drop
from schemas.runs import ArchivedCopy
from schemas.work_bucket import archive_index_key

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client

COPIES = "copies"
"""The field of the index that holds its copies, by load_id."""


@dataclass(frozen=True)
class CopyEntry:
    """What the index knows of one copy."""

    version_id: str
    """Of the copy, in the archive."""
    source_version_id: str
    uploaded_at: str | None = None
    """When the drop was uploaded, ISO 8601; None for a copy that is known from its metadata alone."""
    above: tuple[str, ...] = ()
    """Source versions of the key that were uploaded later within the same second."""
    below: tuple[str, ...] = ()
    """Source versions of the key that were uploaded earlier within the same second."""

    def is_newer_than(self, other: CopyEntry) -> bool:
        """True when its drop was uploaded after the other's."""
        if other.source_version_id in self.below or self.source_version_id in other.above:
            return True
        if other.source_version_id in self.above or self.source_version_id in other.below:
            return False
        if self.uploaded_at is None or other.uploaded_at is None:
            return other.uploaded_at is None and self.uploaded_at is not None
        return (self.uploaded_at, self.source_version_id) > (other.uploaded_at, other.source_version_id)


def origin_of(drop: Drop) -> dict[str, str]:
    """The metadata by which a copy says where it comes from."""
    return {"load-id": drop.load_id, "source-version-id": drop.version_id}


def read_copies(payload: Mapping[str, Any]) -> dict[str, CopyEntry]:
    """The copies in an index, by load_id."""
    return {
        load_id: CopyEntry(**{**entry, "above": tuple(entry["above"]), "below": tuple(entry["below"])})
        for load_id, entry in payload.get(COPIES, {}).items()
    }


def write_copies(copies: Mapping[str, CopyEntry]) -> dict[str, Any]:
    """The field of an index that `read_copies` reads."""
    return {COPIES: {load_id: asdict(entry) for load_id, entry in copies.items()}}


def archived_versions(s3: S3Client, archive_bucket: str, key: str) -> Iterator[str]:
    """The ids of every version that is archived under a key, the newest first."""
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=archive_bucket, Prefix=key):
        for version in page.get("Versions", []):
            if version["Key"] != key:
                # The key itself sorts before every key that begins with it.
                return
            yield version["VersionId"]


def find_copy(s3: S3Client, leases: LeaseStore, archive_bucket: str, drop: Drop) -> ArchivedCopy | None:
    """The copy of this very drop; None when it was never archived."""
    index = leases.find(archive_index_key(drop.key))
    known = read_copies(index.payload) if index is not None else {}
    entry = known.get(drop.load_id)
    if entry is not None:
        return ArchivedCopy(archive_bucket, drop.key, entry.version_id)
    indexed = {entry.version_id for entry in known.values()}
    for version_id in archived_versions(s3, archive_bucket, drop.key):
        if version_id in indexed:
            continue
        response = s3.head_object(Bucket=archive_bucket, Key=drop.key, VersionId=version_id)
        if origin_of(drop).items() <= response["Metadata"].items():
            return ArchivedCopy(archive_bucket, drop.key, version_id)
    return None
