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
    """Since its upload, by S3's own clock."""
    is_withdrawn: bool


def drop_versions(s3: S3Client, bucket: str, prefix: str = "") -> Iterator[DropVersion]:
    """Every version whose key begins with the prefix; versions of a key come newest first."""
    markers: dict[str, tuple[bool, datetime]] = {}
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix):
        now = server_time(page)
        # S3 lists a marker before the versions below it, so it is on this page or an earlier one.
        for marker in page.get("DeleteMarkers", []):
            is_latest, deleted_at = markers.get(marker["Key"], (False, marker["LastModified"]))
            newest = max(deleted_at, marker["LastModified"])
            markers[marker["Key"]] = (is_latest or marker["IsLatest"], newest)
        for version in page.get("Versions", []):
            key, uploaded_at = version["Key"], version["LastModified"]
            is_latest, deleted_at = markers.get(key, (False, uploaded_at))
            yield DropVersion(
                drop=Drop(bucket, key, version["VersionId"]),
                age_seconds=(now - uploaded_at).total_seconds(),
                # S3's times have whole seconds: a marker of the same second counts only while it is on top.
                is_withdrawn=is_latest or deleted_at > uploaded_at,
            )


def find_version(s3: S3Client, drop: Drop) -> DropVersion | None:
    """This very version; None when it is not in the drop bucket."""
    for version in drop_versions(s3, drop.bucket, drop.key):
        if version.drop == drop:
            return version
        if version.drop.key != drop.key:
            # The key itself sorts before every key that begins with it.
            return None
    return None
