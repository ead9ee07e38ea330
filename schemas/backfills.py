"""The note that a backfill runs: its outcomes are not mailed one by one, but in one digest at the end.

`pipeline backfill` writes the note, `notify` reads it; its key is schemas.work_bucket.BACKFILL_KEY.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

QUIET_SECONDS = 24 * 60 * 60
"""How long the note counts once it was written. A backfill writes it again for each batch. When it was killed and not
continued for so long, a mail says so, and outcomes are mailed one by one again."""


@dataclass(frozen=True)
class Backfill:
    """A running backfill."""

    name: str
    """The backfill's id: the same for the same files."""
    keys: Collection[str]
    """The keys of its drops in the drop bucket."""

    def to_payload(self) -> dict[str, Any]:
        """The note, with the lifetime of a lease."""
        return {"name": self.name, "keys": sorted(self.keys), "lease_seconds": QUIET_SECONDS}

    @classmethod
    def from_payload(cls, payload: Mapping[str, Any]) -> Backfill:
        """The backfill in a payload of `to_payload`; raises LookupError for any other payload."""
        return cls(str(payload["name"]), frozenset(payload["keys"]))
