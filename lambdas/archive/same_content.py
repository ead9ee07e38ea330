"""Whether two S3 objects hold the same bytes.

Their sizes must agree. Then a checksum that S3 keeps of both decides, or an equal ETag
where it is a digest of the content. Where neither can decide (a copy made in one piece
has another kind of checksum than an upload made in parts, and an ETag under KMS is no
digest), both are read again and compared by SHA-256.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

_CHECKSUMS = ("ChecksumCRC64NVME", "ChecksumSHA256", "ChecksumCRC32C", "ChecksumCRC32", "ChecksumSHA1")
_CHUNK_BYTES = 8 * 1024 * 1024

ObjectVersion = Mapping[str, str]
"""Bucket, Key and VersionId, as boto3 takes them."""


def head(s3: Any, version: ObjectVersion) -> dict[str, Any]:
    """What S3 knows of an object version, checksums included."""
    found: dict[str, Any] = s3.head_object(**version, ChecksumMode="ENABLED")
    return found


def is_same_content(s3: Any, one: ObjectVersion, other: ObjectVersion) -> bool:
    one_head, other_head = head(s3, one), head(s3, other)
    if one_head["ContentLength"] != other_head["ContentLength"]:
        return False
    decided = compare_checksums(one_head, other_head)
    return _sha256(s3, one) == _sha256(s3, other) if decided is None else decided


def compare_checksums(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool | None:
    """What the checksums and ETags of two objects of one size say; None when they say nothing."""
    for name in _CHECKSUMS:
        if _is_of_whole_object(one, name) and _is_of_whole_object(other, name):
            return bool(one[name] == other[name])
    is_digest = "-" not in one["ETag"] and one["ETag"] == other["ETag"]
    return True if is_digest else None


def _is_of_whole_object(found: Mapping[str, Any], name: str) -> bool:
    # A composite checksum ("…-3") is one of the parts' checksums and changes with their size.
    return name in found and found.get("ChecksumType") != "COMPOSITE" and "-" not in found[name]


def _sha256(s3: Any, version: ObjectVersion) -> str:
    digest = hashlib.sha256()
    for chunk in s3.get_object(**version)["Body"].iter_chunks(_CHUNK_BYTES):
        digest.update(chunk)
    return digest.hexdigest()
