"""Small JSON objects in the work bucket that two workers cannot both write.

S3's conditional writes decide who wrote first. A marker may be held for a time: its
holder states how long it can live (`lifetime_seconds`), and once that long has passed,
by S3's own clock, the holder is dead and another may take the marker over. A lifetime
of 0 means that the holder gave it back and left nothing half done.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from botocore.exceptions import ClientError

# 412: the condition does not hold. 409: another write of this key is under way. 404: nothing there to replace.
_ANOTHER_WAS_FIRST = {409, 412, 404}


@dataclass(frozen=True)
class Lease:
    """A marker as it was read or written."""

    key: str
    etag: str
    facts: Mapping[str, Any]
    age_seconds: float

    @property
    def was_released(self) -> bool:
        return self.facts.get("lifetime_seconds") == 0

    @property
    def is_expired(self) -> bool:
        """True when whoever held it cannot be alive any more."""
        lifetime = self.facts.get("lifetime_seconds")
        return lifetime is not None and self.age_seconds >= lifetime


def held_for(lifetime_seconds: float) -> dict[str, Any]:
    """The facts of a marker that is held; the holder's name makes it unlike any other's."""
    return {"holder": uuid.uuid4().hex, "lifetime_seconds": lifetime_seconds}


def released() -> dict[str, Any]:
    return held_for(0)


@dataclass(frozen=True)
class LeaseStore:
    """The markers of one bucket."""

    s3: Any
    bucket: str

    def names(self, prefix: str) -> list[str]:
        """Every key under a prefix.

        Asked instead of trying to read: without s3:ListBucket on the whole bucket S3 answers
        403, not 404, for a key that is not there, and a role must not need to tell them apart.
        """
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix)
        return [found["Key"] for page in pages for found in page.get("Contents", [])]

    def read(self, key: str) -> Lease:
        """The marker at a key that exists."""
        found = self.s3.get_object(Bucket=self.bucket, Key=key)
        age = _clock(found) - found["LastModified"]
        return Lease(key, found["ETag"], json.loads(found["Body"].read()), age.total_seconds())

    def create(self, key: str, facts: Mapping[str, Any]) -> Lease | None:
        """Write a marker that must not exist yet; None when another was first."""
        return self._write(key, facts, {"IfNoneMatch": "*"})

    def replace(self, marker: Lease, facts: Mapping[str, Any]) -> Lease | None:
        """Write over exactly this marker; None when another has changed it since."""
        return self._write(marker.key, facts, {"IfMatch": marker.etag})

    def _write(self, key: str, facts: Mapping[str, Any], condition: dict[str, str]) -> Lease | None:
        body = json.dumps(facts, indent=2, sort_keys=True).encode("utf-8")
        try:
            written = self.s3.put_object(
                Bucket=self.bucket, Key=key, Body=body, ContentType="application/json", **condition
            )
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] not in _ANOTHER_WAS_FIRST:
                raise
            return self._if_it_is_ours(key, facts)
        return Lease(key, written["ETag"], dict(facts), 0.0)

    def _if_it_is_ours(self, key: str, facts: Mapping[str, Any]) -> Lease | None:
        # botocore sends a write again when its answer was lost; the second is then refused because of the first.
        if not self.names(key):
            return None
        found = self.read(key)
        return found if found.facts == facts else None


def _clock(response: Mapping[str, Any]) -> datetime:
    """S3's own time, so that a function's wrong clock cannot expire a marker."""
    date = response["ResponseMetadata"]["HTTPHeaders"].get("date")
    return parsedate_to_datetime(date) if date else datetime.now(UTC)
