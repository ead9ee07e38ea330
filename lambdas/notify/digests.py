"""Decides which outcomes the digest of a backfill reports, so that they get no separate mail."""

from __future__ import annotations

from lambdas.leases import LeaseStore
from schemas.backfills import Backfill
from schemas.drops import Drop
from schemas.work_bucket import BACKFILL_KEY


def is_in_digest(leases: LeaseStore, drop: Drop) -> bool:
    """True while a backfill with the drop's key runs."""
    note = leases.find(BACKFILL_KEY)
    return note is not None and not note.is_expired and drop.key in Backfill.from_payload(note.payload).keys
