"""What moto plays by itself and the laptop plays better: taken over for the laptop's account, left alone for others.

moto's S3 events name no version and have no sequencer, and it swallows what goes wrong
with them. It takes a bucket's Deny for every request, whatever the condition says. Its
Glue runs succeed when they are looked at twice. Its queues would call Lambda through
Docker. What is taken over here is played by local/iam_middleware.py and local/event_router.py.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any

from moto.core.base_backend import BackendDict
from moto.core.utils import unix_time_millis, utcnow
from moto.glue.models import FakeJob, FakeJobRun
from moto.iam.access_control import PermissionResult
from moto.s3 import notifications
from moto.s3.models import FakeBucket
from moto.sqs.models import Message, Queue, SQSBackend


@dataclass(frozen=True)
class ObjectEvent:
    """Something happened to an object version."""

    name: str
    """Such as `s3:ObjectCreated:Put`."""
    bucket: str
    key: str
    version_id: str | None
    etag: str
    bytes: int


@dataclass(frozen=True)
class Hooks:
    """How one account is played."""

    on_object_event: Callable[[ObjectEvent], None]
    pace: float
    """How many seconds of waiting in a queue pass in one second."""


_hooks: dict[str, Hooks] = {}
_one_run_at_a_time = threading.Lock()


def take_over(account: str, hooks: Hooks) -> None:
    """From now on the account is played by us."""
    _install()
    _hooks[account] = hooks


def let_go(account: str) -> None:
    """Forget the account and all that moto holds of it."""
    _hooks.pop(account, None)
    for backends in list(BackendDict._instances):  # type: ignore[misc]
        if account in backends:
            backends[account].reset()
            del backends[account]


class PlayedRun(FakeJobRun):
    """A Glue run whose state is what the laptop's Glue says."""

    _status: str
    error_message: str = ""
    has_ended: bool = False

    @property
    def status(self) -> str:
        return self._status

    @status.setter
    def status(self, state: str) -> None:
        self._status = state
        self.modified_on = utcnow()

    def end(self, state: str, error_message: str) -> None:
        self.error_message, self.completed_on, self.has_ended = error_message, utcnow(), True
        self.status = state

    def advance(self) -> None:
        """Looking at a run does not change it."""

    def as_dict(self) -> dict[str, Any]:
        facts = super().as_dict()
        seconds = (self.completed_on - self.started_on).total_seconds() if self.has_ended else 0
        facts |= {"ExecutionTime": round(seconds), "LogGroupName": "/aws-glue/python-jobs", "GlueVersion": "3.0"}
        if not self.has_ended:
            del facts["CompletedOn"]
        if self.error_message:
            facts["ErrorMessage"] = self.error_message
        return facts


def _install() -> None:
    if hasattr(notifications.send_event, "__wrapped__"):
        return
    notifications.send_event = _send_event(notifications.send_event)
    FakeJob.start_job_run = _start_job_run(FakeJob.start_job_run)  # type: ignore[method-assign]
    SQSBackend.send_message = _send_message(SQSBackend.send_message)  # type: ignore[method-assign]
    SQSBackend.receive_message = _receive_message(SQSBackend.receive_message)  # type: ignore[method-assign]
    Queue.add_message = _add_message(Queue.add_message)  # type: ignore[method-assign]
    FakeBucket.get_permission = _get_permission(FakeBucket.get_permission)  # type: ignore[method-assign]


def _send_event(original: Callable[..., None]) -> Callable[..., None]:
    @wraps(original)
    def send_event(account_id: str, event_name: Any, bucket: Any, key: Any) -> None:
        hooks = _hooks.get(account_id)
        if hooks is None:
            return original(account_id, event_name, bucket, key)
        etag = key.etag.strip('"')
        event = ObjectEvent(event_name.value, bucket.name, key.name, key.version_id, etag, key.size)
        return hooks.on_object_event(event)

    return send_event


def _start_job_run(original: Callable[..., str]) -> Callable[..., str]:
    @wraps(original)
    def start_job_run(self: FakeJob, *arguments: Any, **named: Any) -> str:
        if self.backend.account_id not in _hooks:
            return original(self, *arguments, **named)
        # moto counts the live runs first and adds this one afterwards.
        with _one_run_at_a_time:
            run_id = original(self, *arguments, **named)
            self.job_runs[-1].__class__ = PlayedRun
        return run_id

    return start_job_run


def _send_message(original: Callable[..., Message]) -> Callable[..., Message]:
    @wraps(original)
    def send_message(self: SQSBackend, *arguments: Any, **named: Any) -> Message:
        message = original(self, *arguments, **named)
        hooks = _hooks.get(self.account_id)
        if hooks is not None and message.delayed:
            now = unix_time_millis()
            message.delayed_until = now + (message.delayed_until - now) / hooks.pace
        return message

    return send_message


def _receive_message(original: Callable[..., list[Message]]) -> Callable[..., list[Message]]:
    @wraps(original)
    def receive_message(self: SQSBackend, queue_name: str, *arguments: Any, **named: Any) -> list[Message]:
        received = original(self, queue_name, *arguments, **named)
        hooks = _hooks.get(self.account_id)
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
        # The mapping stays where Lambda's API lists it; that moto acts on it by itself is what ends here.
        if self.account_id in _hooks:
            self.lambda_event_source_mappings.clear()
        original(self, message)

    return add_message


def _get_permission(original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def get_permission(self: FakeBucket, action: str, resource: str) -> Any:
        # The gate has judged the request.
        return PermissionResult.NEUTRAL if self.account_id in _hooks else original(self, action, resource)

    return get_permission
