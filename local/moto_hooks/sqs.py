"""SQS's queues: delays pass at the local cloud's pace, and moto's own call of Lambda is disabled."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from moto.core.utils import unix_time_millis
from moto.sqs.models import Message, Queue, SQSBackend

from local.moto_hooks.account import hooks_of


def install() -> None:
    SQSBackend.send_message = _send_message(SQSBackend.send_message)  # type: ignore[method-assign]
    SQSBackend.receive_message = _receive_message(SQSBackend.receive_message)  # type: ignore[method-assign]
    Queue.add_message = _add_message(Queue.add_message)  # type: ignore[method-assign]


def _send_message(original: Callable[..., Message]) -> Callable[..., Message]:
    @wraps(original)
    def send_message(self: SQSBackend, *arguments: Any, **named: Any) -> Message:
        message = original(self, *arguments, **named)
        hooks = hooks_of(self.account_id)
        if hooks is not None and message.delayed:
            now = unix_time_millis()
            message.delayed_until = now + (message.delayed_until - now) / hooks.pace
        return message

    return send_message


def _receive_message(original: Callable[..., list[Message]]) -> Callable[..., list[Message]]:
    @wraps(original)
    def receive_message(self: SQSBackend, queue_name: str, *arguments: Any, **named: Any) -> list[Message]:
        received = original(self, queue_name, *arguments, **named)
        hooks = hooks_of(self.account_id)
        if hooks is not None and received:
            now, ids = unix_time_millis(), {message.id for message in received}
            for message in self.get_queue(queue_name)._messages:
                if message.id in ids:
                    message.visible_at = now + (message.visible_at - now) / hooks.pace
        return received

    return receive_message


def _add_message(original: Callable[..., None]) -> Callable[..., None]:
    @wraps(original)
    def add_message(self: Queue, message: Message) -> None:
        # Lambda's API still lists the mapping, but moto no longer invokes the function.
        if hooks_of(self.account_id) is not None:
            self.lambda_event_source_mappings.clear()
        original(self, message)

    return add_message
