"""Decides which outcomes the digest of a backfill reports, so that they get no separate mail."""

from __future__ import annotations

from datetime import datetime

from lambdas.leases import LeaseStore
from lambdas.notifier import Mail
from schemas.backfills import Backfill
from schemas.counted import counted
from schemas.drops import Drop, parse_key
from schemas.work_bucket import BACKFILL_KEY


def is_in_digest(leases: LeaseStore, drop: Drop) -> bool:
    """True while a backfill with the drop's key runs."""
    note = leases.find(BACKFILL_KEY)
    return note is not None and not note.is_expired and drop.key in Backfill.from_payload(note.payload).keys


def stopped_mail(backfill: Backfill, last_batch_at: datetime, stack: str) -> Mail:
    """The mail about a backfill that was stopped and not continued: no digest has reported its outcomes."""
    files = counted(len(backfill.keys), "file")
    days = sorted(day for key in backfill.keys if (day := parse_key(key).partition_day) is not None)
    lines = [
        f"A backfill of {files} was stopped and not continued. Outcomes of the files that it uploaded were not mailed.",
        "What you need to do: run the same backfill again. It uploads the files that are left and mails one digest. If "
        "you have given it up, look at its loads (commands below).",
        "",
        f"  pipeline loads --stack {stack}",
        f"  pipeline loads --failed --stack {stack}",
        "",
        "-" * 60,
        f"  backfill  {backfill.name}",
        f"  days      {f'{days[0]} to {days[-1]}' if days else 'none'}",
        f"  stopped   after {last_batch_at:%Y-%m-%d %H:%M} UTC",
    ]
    return Mail(f"[{stack}] Backfill of {files} was stopped: its outcomes were not mailed", "\n".join(lines) + "\n")
