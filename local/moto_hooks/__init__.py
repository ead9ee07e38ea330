"""Hooks into moto that replace behaviour in which it differs from AWS, only in the accounts of local clouds.

moto's S3 events have no version and no sequencer, and a deletion in a versioned bucket sends
none. moto ignores the condition of a Deny in a bucket's policy. Its Glue runs succeed when
they are described twice, and never wait. Its e-mail subscriptions need no confirmation. Its
queues would call Lambda through Docker.
"""

from __future__ import annotations

from moto.core.base_backend import BackendDict

from local.moto_hooks import glue, s3, sns, sqs
from local.moto_hooks.account import Hooks, ObjectEvent, forget_hooks, set_hooks
from local.moto_hooks.glue import EmulatedRun

__all__ = ["EmulatedRun", "Hooks", "ObjectEvent", "remove_account", "use_hooks"]

_is_installed = False


def use_hooks(account: str, hooks: Hooks) -> None:
    """Use these hooks for the account from now on."""
    global _is_installed
    if not _is_installed:
        for service in (glue, s3, sns, sqs):
            service.install()
        _is_installed = True
    set_hooks(account, hooks)


def remove_account(account: str) -> None:
    """Remove the account's hooks and all its resources in moto."""
    forget_hooks(account)
    with s3.only_content_of(account):
        for backends in list(BackendDict._instances):  # type: ignore[misc]
            if account in backends:
                backends[account].reset()
                del backends[account]
