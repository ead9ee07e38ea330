"""The accounts of local clouds, and the settings of the hooks for each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class ObjectEvent:
    """An event of S3 about an object version."""

    name: str
    """The event's name, such as `s3:ObjectCreated:Put`."""
    bucket: str
    key: str
    version_id: str | None
    etag: str | None
    """None for a deleted version, for which S3 names no ETag."""
    bytes: int | None
    """The size; None where nothing was written."""


@dataclass(frozen=True)
class Hooks:
    """The settings and callbacks of the hooks for one account."""

    on_object_event: Callable[[ObjectEvent], None]
    pace: float
    """The number of seconds of waiting in a queue that pass in one second."""
    on_mail: Callable[[str, str, str], None] = lambda _to, _subject, _body: None
    """Called with address, subject and body of each mail that SNS delivers."""
    confirms_subscriptions: bool = True
    """False when new e-mail subscriptions stay pending, as if no recipient followed the confirmation link."""
    has_job_queuing: Callable[[str], bool] = lambda _job: False
    """True for a Glue job whose runs wait in Glue while MaxConcurrentRuns are running."""


_hooks: dict[str, Hooks] = {}


def hooks_of(account: str) -> Hooks | None:
    """The hooks of the account; None for an account that only moto emulates."""
    return _hooks.get(account)


def set_hooks(account: str, hooks: Hooks) -> None:
    _hooks[account] = hooks


def forget_hooks(account: str) -> None:
    _hooks.pop(account, None)
