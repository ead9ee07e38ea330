"""Outcomes that the digest of a backfill reports, so that they get no mail of their own."""

from __future__ import annotations

from lambdas.leases import LeaseStore
from schemas.backfills import Backfill
from schemas.drops import Drop
from schemas.work_bucket import BACKFILL_KEY


def is_told_by_digest(leases: LeaseStore, drop: Drop) -> bool:
    """True while a backfill of the drop's key runs."""
    note = leases.find(BACKFILL_KEY)
    return note is not None and not note.is_expired and drop.key in Backfill.from_payload(note.payload).keys
