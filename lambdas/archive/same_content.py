"""Checks whether two S3 objects hold the same bytes. Their sizes must agree. Then a checksum that S3 keeps of both
decides, or an equal ETag that is a digest of the content. If neither can decide, both are read again and compared by
SHA-256. That happens when one was uploaded in parts and the other in one piece (their kinds of checksum differ), or
under KMS (an ETag is then no digest).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypedDict

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client

_CHECKSUMS = ("ChecksumCRC64NVME", "ChecksumSHA256", "ChecksumCRC32C", "ChecksumCRC32", "ChecksumSHA1")
_CHUNK_BYTES = 8 * 1024 * 1024


class ObjectVersion(TypedDict):
    """One version of an object, as boto3 takes it."""

    Bucket: str
    Key: str
    VersionId: str


def head(s3: S3Client, version: ObjectVersion) -> dict[str, Any]:
    """The metadata of an object version, checksums included."""
    return dict(s3.head_object(**version, ChecksumMode="ENABLED"))


def is_same_content(s3: S3Client, left: ObjectVersion, right: ObjectVersion) -> bool:
    """True when both versions hold the same bytes."""
    left_head, right_head = head(s3, left), head(s3, right)
    if left_head["ContentLength"] != right_head["ContentLength"]:
        return False
    decided = compare_checksums(left_head, right_head)
    return _sha256(s3, left) == _sha256(s3, right) if decided is None else decided


def compare_checksums(left: Mapping[str, Any], right: Mapping[str, Any]) -> bool | None:
    """Whether the checksums and ETags of two objects of one size agree; None when they cannot decide."""
    for name in _CHECKSUMS:
        if _is_of_whole_object(left, name) and _is_of_whole_object(right, name):
            return bool(left[name] == right[name])
    is_digest = "-" not in left["ETag"] and left["ETag"] == right["ETag"]
    return True if is_digest else None


def _is_of_whole_object(described: Mapping[str, Any], name: str) -> bool:
    # A composite checksum ("…-3") is one of the parts' checksums and changes with their size.
    return name in described and described.get("ChecksumType") != "COMPOSITE" and "-" not in described[name]


def _sha256(s3: S3Client, version: ObjectVersion) -> str:
    digest = hashlib.sha256()
    for chunk in s3.get_object(**version)["Body"].iter_chunks(_CHUNK_BYTES):
        digest.update(chunk)
    return digest.hexdigest()
