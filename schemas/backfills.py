"""The note that a backfill runs: its outcomes are not mailed one by one, but in one digest at the end.

`pipeline backfill` writes the note, `notify` reads it; its key is schemas.work_bucket.BACKFILL_KEY.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

QUIET_SECONDS = 24 * 60 * 60
"""How long the note counts once it was written. A backfill writes it again for each batch; where it was killed and
never resumed, outcomes are mailed one by one again after this."""


@dataclass(frozen=True)
class Backfill:
    """A backfill that runs."""

    name: str
    """The same for the same files."""
    keys: Collection[str]
    """Those of its drops in the drop bucket."""

    def to_payload(self) -> dict[str, Any]:
        """The note, with the lifetime of a lease."""
        return {"name": self.name, "keys": sorted(self.keys), "lease_seconds": QUIET_SECONDS}

    @classmethod
    def from_payload(cls, payload: Mapping[str, Any]) -> Backfill:
        """What `to_payload` wrote; raises LookupError for anything else."""
        return cls(str(payload["name"]), frozenset(payload["keys"]))
