"""The versions in the drop bucket, and which of them their owner has withdrawn.

The bucket is versioned: a plain DELETE leaves the version where it is and puts a delete
marker above it. A version below a marker is withdrawn: it can still be read, but its owner
does not want it loaded.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from lambdas.leases import server_time
from schemas.drops import Drop

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client


@dataclass(frozen=True)
class DropVersion:
    """One version in the drop bucket."""

    drop: Drop
    age_seconds: float
    """The age since its upload, by S3's own clock."""
    is_withdrawn: bool
    bytes: int
    """Its size."""


@dataclass(frozen=True)
class _Marker:
    """The newest delete marker of a key."""

    key: str
    version_id: str
    is_latest: bool
    deleted_at: datetime


def drop_versions(s3: S3Client, bucket: str, prefix: str = "") -> Iterator[DropVersion]:
    """Every version whose key begins with the prefix; versions of a key come newest first."""
    markers: dict[str, _Marker] = {}
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix):
        now = server_time(page)
        # S3 lists a marker before the versions below it, so it is on this page or an earlier one.
        for listed in page.get("DeleteMarkers", []):
            marker = _Marker(listed["Key"], listed["VersionId"], listed["IsLatest"], listed["LastModified"])
            markers.setdefault(marker.key, marker)
        for version in page.get("Versions", []):
            drop, uploaded_at = Drop(bucket, version["Key"], version["VersionId"]), version["LastModified"]
            yield DropVersion(
                drop=drop,
                age_seconds=(now - uploaded_at).total_seconds(),
                is_withdrawn=_is_below(s3, drop, uploaded_at, markers.get(drop.key)),
                bytes=version["Size"],
            )


def _is_below(s3: S3Client, drop: Drop, uploaded_at: datetime, marker: _Marker | None) -> bool:
    """True for a version that is older than the marker of its key.

    S3's times have whole seconds. Within one second, only a listing that begins at the marker shows the order: it has
    just the versions below it.
    """
    if marker is None:
        return False
    if marker.is_latest or marker.deleted_at != uploaded_at:
        return marker.is_latest or marker.deleted_at > uploaded_at
    after: str | None = marker.version_id
    while after is not None:
        page = s3.list_object_versions(Bucket=drop.bucket, Prefix=drop.key, KeyMarker=drop.key, VersionIdMarker=after)
        for version in page.get("Versions", []):
            if (version["Key"], version["VersionId"]) == (drop.key, drop.version_id):
                return True
            if version["Key"] != drop.key or version["LastModified"] < uploaded_at:
                return False
        after = page.get("NextVersionIdMarker") if page.get("NextKeyMarker") == drop.key else None
    return False


def find_version(s3: S3Client, drop: Drop) -> DropVersion | None:
    """Exactly this version; None when it is not in the drop bucket."""
    for version in drop_versions(s3, drop.bucket, drop.key):
        if version.drop == drop:
            return version
        if version.drop.key != drop.key:
            # The key itself sorts before every key that begins with it.
            return None
    return None
