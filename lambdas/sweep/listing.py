"""The three listings of a sweep: the drops, the open attempts, and the notes of earlier sweeps."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from lambdas.drop_versions import DropVersion, drop_versions
from lambdas.leases import LeaseStore, Listed
from schemas.drops import is_drop
from schemas.work_bucket import OPEN, SWEEP, parse_attempt_key, parse_open_key, parse_settled_key

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client


@dataclass(frozen=True)
class Listing:
    """The data that a sweep has before it examines any load."""

    open_notes: Mapping[tuple[str, int], tuple[Listed, ...]]
    """Open attempt (load_id, number) -> the notes about it."""
    versions: Mapping[str, DropVersion]
    """Every version in the drop bucket that a job would load, by load_id."""
    drops: Mapping[str, DropVersion]
    """The versions that must be loaded and whose event must have arrived already."""
    notes: tuple[Listed, ...]
    """The sweep's own notes."""

    def open_attempts(self) -> dict[str, list[int]]:
        """The open attempts of every load, the first one first."""
        attempts: dict[str, list[int]] = {}
        for load_id, attempt in sorted(self.open_notes):
            attempts.setdefault(load_id, []).append(attempt)
        return attempts

    def open_age_seconds(self, load_id: str, attempt: int) -> float:
        """Seconds since a starter last began this attempt; infinite for one that is not open."""
        return min((note.age_seconds for note in self.open_notes.get((load_id, attempt), ())), default=math.inf)

    def settled(self) -> set[str]:
        """Loads whose drops need no more work."""
        return {load_id for note in self.notes if (load_id := parse_settled_key(note.key)) is not None}

    def times_sent(self, load_id: str) -> tuple[int, float]:
        """How often a drop was sent to the queue by a sweep, and the seconds since the last time."""
        sent = [
            (parsed[1], note.age_seconds)
            for note in self.notes
            if (parsed := parse_attempt_key(note.key)) is not None and parsed[0] == load_id
        ]
        return max(sent, default=(0, 0.0))

    def outdated(self) -> list[str]:
        """The keys of notes about drops that are gone."""
        open_loads = {load_id for load_id, _ in self.open_notes}
        keys = []
        for note in self.notes:
            parsed = parse_attempt_key(note.key)
            load_id = parsed[0] if parsed is not None else parse_settled_key(note.key)
            if load_id is not None and load_id not in self.versions and load_id not in open_loads:
                keys.append(note.key)
        return keys


def read_listing(s3: S3Client, leases: LeaseStore, drop_bucket: str, *, grace: timedelta) -> Listing:
    """List the drop bucket and the two prefixes of the work bucket that stay small."""
    open_notes: dict[tuple[str, int], tuple[Listed, ...]] = {}
    for listed in leases.listing(OPEN):
        attempt = parse_open_key(listed.key)
        if attempt is not None:
            open_notes[attempt] = (*open_notes.get(attempt, ()), listed)
    versions = {
        version.drop.load_id: version for version in drop_versions(s3, drop_bucket) if is_drop(version.drop.key)
    }
    drops = {
        load_id: version
        for load_id, version in versions.items()
        if not version.is_withdrawn and version.age_seconds >= grace.total_seconds()
    }
    return Listing(open_notes, versions, drops, tuple(leases.listing(SWEEP)))
