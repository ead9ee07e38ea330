"""Writes a file of any size as one version of an object: in one request, or in parts where S3 requires them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client

# https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html
LARGEST_PUT_BYTES = 5 * 1024**3
_MOST_PARTS = 10_000
_MIB = 1024**2
_LEAST_PART_BYTES = 64 * _MIB


def put_file(s3: S3Client, path: Path, *, bucket: str, key: str, **settings: Any) -> str | None:
    """Write the file and return its version id, or None where the bucket keeps no versions.

    `settings` are arguments of put_object, such as Metadata. A file that broke off leaves no parts.
    """
    target: Any = {"Bucket": bucket, "Key": key}
    if path.stat().st_size <= LARGEST_PUT_BYTES:
        with path.open("rb") as content:
            return s3.put_object(**target, Body=content, **settings).get("VersionId")
    target["UploadId"] = s3.create_multipart_upload(**target, **settings)["UploadId"]
    try:
        parts: Any = [
            {"PartNumber": number, "ETag": s3.upload_part(**target, PartNumber=number, Body=part)["ETag"]}
            for number, part in enumerate(_parts(path), 1)
        ]
        return s3.complete_multipart_upload(**target, MultipartUpload={"Parts": parts}).get("VersionId")
    except BaseException:
        s3.abort_multipart_upload(**target)
        raise


def _parts(path: Path) -> Iterator[bytes]:
    """The file in parts of a whole number of MiB, by which a later backfill recognizes its ETag."""
    least = -(-path.stat().st_size // _MOST_PARTS)
    part_bytes = max(_LEAST_PART_BYTES, -(-least // _MIB) * _MIB)
    with path.open("rb") as content:
        while part := content.read(part_bytes):
            yield part
