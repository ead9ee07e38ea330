"""What moto plays differently from AWS, taken over for the accounts of local clouds and left alone for others.

moto's S3 events name no version and have no sequencer, and deletions in a versioned bucket
make none. It takes a bucket's Deny for every request, whatever the condition says. Its Glue
runs succeed when they are looked at twice and never wait. Its e-mail subscriptions need no
confirmation. Its queues would call Lambda through Docker.
"""

from __future__ import annotations

from moto.core.base_backend import BackendDict

from local.moto_hooks import glue, s3, sns, sqs
from local.moto_hooks.account import Hooks, ObjectEvent, forget_hooks, set_hooks
from local.moto_hooks.glue import EmulatedRun

__all__ = ["EmulatedRun", "Hooks", "ObjectEvent", "remove_account", "use_hooks"]

_is_installed = False


def use_hooks(account: str, hooks: Hooks) -> None:
    """Play the account by these hooks from now on."""
    global _is_installed
    if not _is_installed:
        for service in (glue, s3, sns, sqs):
            service.install()
        _is_installed = True
    set_hooks(account, hooks)


def remove_account(account: str) -> None:
    """Forget the account and all that moto holds of it."""
    forget_hooks(account)
    with s3.only_content_of(account):
        for backends in list(BackendDict._instances):  # type: ignore[misc]
            if account in backends:
                backends[account].reset()
                del backends[account]
