"""SNS's e-mail subscriptions: each is pending, and gets no mail, until it is confirmed.

https://docs.aws.amazon.com/sns/latest/dg/sns-email-notifications.html
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import wraps
from typing import Any

from moto.sns.models import SNSBackend, Subscription, sns_backends

from local.moto_hooks.account import hooks_of

_PENDING = "PendingConfirmation"


def install() -> None:
    SNSBackend.subscribe = _subscribe(SNSBackend.subscribe)  # type: ignore[method-assign]
    for name in ("list_subscriptions", "list_subscriptions_by_topic"):
        setattr(SNSBackend, name, _list(getattr(SNSBackend, name)))
    Subscription.publish = _publish(Subscription.publish)  # type: ignore[method-assign]


def confirm_subscriptions(account: str, region: str) -> None:
    """Confirm every pending subscription."""
    for subscription in sns_backends[account][region].subscriptions.values():
        if not subscription.confirmed:
            _confirm(subscription)
            subscription.topic.subscriptions_pending -= 1


def _confirm(subscription: Subscription) -> None:
    subscription.confirmed = True
    subscription.attributes["PendingConfirmation"] = "false"
    subscription.topic.subscriptions_confimed += 1


def _subscribe(original: Callable[..., Subscription]) -> Callable[..., Subscription]:
    @wraps(original)
    def subscribe(self: SNSBackend, *arguments: Any, **named: Any) -> Subscription:
        known = set(self.subscriptions)
        subscription = original(self, *arguments, **named)
        hooks = hooks_of(self.account_id)
        if hooks is not None and subscription.arn not in known:
            if hooks.confirms_subscriptions or subscription.protocol != "email":
                _confirm(subscription)
            else:
                subscription.attributes["PendingConfirmation"] = "true"
                subscription.topic.subscriptions_pending += 1
        return subscription

    return subscribe


def _list(original: Callable[..., tuple[list[Subscription], Any]]) -> Callable[..., tuple[list[Subscription], Any]]:
    """The hook that lists a pending subscription without its ARN."""

    @wraps(original)
    def listed(self: SNSBackend, *arguments: Any, **named: Any) -> tuple[list[Subscription], Any]:
        subscriptions, token = original(self, *arguments, **named)
        if hooks_of(self.account_id) is None:
            return subscriptions, token
        return [
            subscription if subscription.confirmed else _nameless(subscription) for subscription in subscriptions
        ], token

    return listed


def _nameless(subscription: Subscription) -> Subscription:
    shown = copy.copy(subscription)
    shown.arn = _PENDING
    return shown


def _publish(original: Callable[..., None]) -> Callable[..., None]:
    @wraps(original)
    def publish(self: Subscription, message: str, message_id: str, subject: str | None = None, **named: Any) -> None:
        hooks = hooks_of(self.account_id)
        if hooks is None or self.protocol != "email":
            return original(self, message, message_id, subject=subject, **named)
        if self.confirmed:
            hooks.on_mail(self.endpoint, str(subject or ""), message)
        return None

    return publish
