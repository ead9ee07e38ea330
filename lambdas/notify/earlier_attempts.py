"""The earlier attempts at a load, for the mail about the last one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lambdas.attempts import read_report
from lambdas.leases import LeaseStore
from schemas.reports import SUCCEEDED
from schemas.work_bucket import deferred_key, notified_prefix, parse_attempt_key, parse_deferred_key


@dataclass(frozen=True)
class EarlierAttempts:
    were_mailed: bool
    """True when there was a mail about one of them."""
    last_mail_was_failure: bool
    """True when the last of these mails said that the load had failed."""
    deferred: Mapping[int, str]
    """The failures since that mail which were retried without a mail of their own, by attempt number."""


def note_deferred(leases: LeaseStore, load_id: str, attempt: int, *, failure: str) -> None:
    """Note that an attempt failed with `failure` and is retried."""
    leases.create(deferred_key(load_id, attempt), {"failure": failure})


def earlier_attempts(leases: LeaseStore, load_id: str, attempt: int) -> EarlierAttempts:
    """The notes about the attempts before this one."""
    names = leases.names(notified_prefix(load_id))
    mailed = [number for _, number in filter(None, map(parse_attempt_key, names)) if number < attempt]
    last = max(mailed, default=0)
    deferred = sorted(number for _, number in filter(None, map(parse_deferred_key, names)) if last < number < attempt)
    report = read_report(leases, load_id, last) if last else None
    return EarlierAttempts(
        were_mailed=last > 0,
        last_mail_was_failure=last > 0 and (report is None or report.outcome != SUCCEEDED),
        deferred={number: str(leases.read(deferred_key(load_id, number)).payload["failure"]) for number in deferred},
    )
