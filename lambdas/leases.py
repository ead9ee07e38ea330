"""Small JSON objects in the work bucket that two workers cannot both write.

S3's conditional writes decide who wrote first. A lease says how long its holder can live (`lease_seconds`). After that
time, by S3's own clock, the lease has expired and another worker may take it over. `lease_seconds` of 0 means that the
holder released it and left no unfinished work.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client

# 412: the condition does not hold. 404: there is nothing to replace.
_ANOTHER_WAS_FIRST = {409, 412, 404}
_CONFLICT = 409
"""Another write of this key was under way. S3 asks for another try (PutObject, ConditionalRequestConflict)."""
_TRIES = 3


@dataclass(frozen=True)
class Lease:
    """A lease as it was read or written."""

    key: str
    etag: str
    payload: Mapping[str, Any]
    written_at: datetime
    age_seconds: float

    @property
    def was_released(self) -> bool:
        return self.payload.get("lease_seconds") == 0

    @property
    def is_expired(self) -> bool:
        """True when the lease has expired."""
        return self.is_expired_for(0)

    def is_expired_for(self, seconds: float) -> bool:
        """True when the lease expired at least so many seconds ago; a lease without a limit never expires."""
        limit = self.payload.get("lease_seconds")
        return limit is not None and self.age_seconds >= limit + seconds


@dataclass(frozen=True)
class Listed:
    """An object as a listing shows it."""

    key: str
    age_seconds: float


def leased(lease_seconds: float) -> dict[str, Any]:
    """The payload of a held lease; the holder's random name makes it unique."""
    return {"holder": uuid.uuid4().hex, "lease_seconds": lease_seconds}


def released() -> dict[str, Any]:
    """The payload of a released lease."""
    return leased(0)


@dataclass(frozen=True)
class LeaseStore:
    """The leases and notes of one bucket."""

    s3: S3Client
    bucket: str

    def names(self, prefix: str) -> list[str]:
        """Every key under a prefix."""
        return [listed.key for listed in self.listing(prefix)]

    def listing(self, prefix: str) -> Iterator[Listed]:
        """Every object under a prefix, with its age by S3's own clock."""
        for page in self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix):
            now = server_time(page)
            for listed in page.get("Contents", []):
                yield Listed(listed["Key"], (now - listed["LastModified"]).total_seconds())

    def find(self, key: str) -> Lease | None:
        """The lease at a key; None when there is none.

        The key is listed first. Without s3:ListBucket on the whole bucket S3 responds with 403, not 404,
        for a key that does not exist, and this code must work with such a role too.
        """
        return self.read(key) if key in self.names(key) else None

    def read(self, key: str) -> Lease:
        """The lease at a key that exists."""
        response = self.s3.get_object(Bucket=self.bucket, Key=key)
        written_at = response["LastModified"]
        age_seconds = (server_time(response) - written_at).total_seconds()
        return Lease(key, response["ETag"], json.loads(response["Body"].read()), written_at, age_seconds)

    def create(self, key: str, payload: Mapping[str, Any]) -> Lease | None:
        """Write a lease that must not exist yet; None when another worker was first."""
        return self._write(key, payload, {"IfNoneMatch": "*"})

    def replace(self, lease: Lease, payload: Mapping[str, Any]) -> Lease | None:
        """Write over exactly this lease; None when another worker has changed it since."""
        return self._write(lease.key, payload, {"IfMatch": lease.etag})

    def delete(self, key: str) -> None:
        """Delete a note, whether or not it exists."""
        self.s3.delete_object(Bucket=self.bucket, Key=key)

    def _write(
        self, key: str, payload: Mapping[str, Any], condition: Mapping[str, Any], tries: int = _TRIES
    ) -> Lease | None:
        body = json.dumps(payload, indent=2, sort_keys=True).encode("utf-8")
        try:
            written = self.s3.put_object(
                Bucket=self.bucket, Key=key, Body=body, ContentType="application/json", **condition
            )
        except ClientError as error:
            status = error.response["ResponseMetadata"]["HTTPStatusCode"]
            if status not in _ANOTHER_WAS_FIRST:
                raise
            if status == _CONFLICT and tries > 1:
                return self._write(key, payload, condition, tries - 1)
            return self._if_it_is_ours(key, payload)
        return Lease(key, written["ETag"], dict(payload), server_time(written), 0.0)

    def _if_it_is_ours(self, key: str, payload: Mapping[str, Any]) -> Lease | None:
        # botocore sends a write again when its response was lost; the second is then refused because of the first.
        lease = self.find(key)
        return lease if lease is not None and lease.payload == payload else None


def server_time(response: Mapping[str, Any]) -> datetime:
    """S3's own time, so that a function's wrong clock cannot expire a lease."""
    date = response["ResponseMetadata"]["HTTPHeaders"].get("date")
    return parsedate_to_datetime(date) if date else datetime.now(UTC)
