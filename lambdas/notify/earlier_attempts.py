"""What is known, when an attempt is told, of the attempts before it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lambdas.leases import LeaseStore
from schemas.work_bucket import deferred_key, notified_prefix, parse_attempt_key, parse_deferred_key


@dataclass(frozen=True)
class EarlierAttempts:
    are_told: bool
    """True when there was a mail about one of them."""
    unnotified: Mapping[int, str]
    """What became of those since then that failed and were tried again without a mail, by their number."""


def note_deferred(leases: LeaseStore, load_id: str, attempt: int, *, became: str) -> None:
    """Note that an attempt failed in this way and is tried again."""
    leases.create(deferred_key(load_id, attempt), {"became": became})


def earlier_attempts(leases: LeaseStore, load_id: str, attempt: int) -> EarlierAttempts:
    """What was noted of the attempts before this one."""
    names = leases.names(notified_prefix(load_id))
    told = max((number for _, number in filter(None, map(parse_attempt_key, names)) if number < attempt), default=0)
    deferred = sorted(number for _, number in filter(None, map(parse_deferred_key, names)) if told < number < attempt)
    return EarlierAttempts(
        are_told=told > 0,
        unnotified={number: str(leases.read(deferred_key(load_id, number)).facts["became"]) for number in deferred},
    )
