"""Which accounts are taken over, and what the hooks into moto do for them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class ObjectEvent:
    """Something happened to an object version."""

    name: str
    """Such as `s3:ObjectCreated:Put`."""
    bucket: str
    key: str
    version_id: str | None
    etag: str | None
    """None where S3 names none: when a version is deleted."""
    bytes: int | None
    """None where nothing was written."""


@dataclass(frozen=True)
class Hooks:
    """How one account is played."""

    on_object_event: Callable[[ObjectEvent], None]
    pace: float
    """How many seconds of waiting in a queue pass in one second."""
    on_mail: Callable[[str, str, str], None] = lambda _to, _subject, _body: None
    """Called with address, subject and body of each mail that SNS delivers."""
    confirms_subscriptions: bool = True
    """False: nobody follows the link in the confirmation mail, so new e-mail subscriptions stay pending."""
    has_job_queuing: Callable[[str], bool] = lambda _job: False
    """Whether runs of the Glue job wait in Glue while as many as may run at once are running."""


_hooks: dict[str, Hooks] = {}


def hooks_of(account: str) -> Hooks | None:
    """How the account is played; None for one that moto plays alone."""
    return _hooks.get(account)


def set_hooks(account: str, hooks: Hooks) -> None:
    _hooks[account] = hooks


def forget_hooks(account: str) -> None:
    _hooks.pop(account, None)
