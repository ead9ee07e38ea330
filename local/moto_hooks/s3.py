"""S3's events and delete markers, as on AWS.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-how-to-event-types-and-destinations.html
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

from moto.iam.access_control import PermissionResult
from moto.s3 import notifications
from moto.s3.models import FakeBucket, FakeDeleteMarker, FakeKey, FakeMultipart, S3Backend

from local.moto_hooks.account import ObjectEvent, hooks_of

_REMOVED = "s3:ObjectRemoved:"
_ETAG_OF_NOTHING = "d41d8cd98f00b204e9800998ecf8427e"


def install() -> None:
    notifications.send_event = _send_event(notifications.send_event)
    S3Backend.delete_object = _delete_object(S3Backend.delete_object)  # type: ignore[method-assign]
    FakeBucket.get_permission = _get_permission(FakeBucket.get_permission)  # type: ignore[method-assign]
    FakeKey.__deepcopy__ = _without_content  # type: ignore[attr-defined]
    # moto calls dispose on every deleted version, but its delete marker has no such method.
    FakeDeleteMarker.dispose = lambda _: None  # type: ignore[attr-defined]


def _without_content(key: FakeKey, _: Any) -> FakeKey:
    """A copy without the content: moto copies every version to list it, and would write gigabytes to disk."""
    copied = object.__new__(type(key))
    # The ETag is computed from the content when it is first asked for.
    copied.__dict__.update(
        key.__dict__ | {"_etag": key.etag.strip('"'), "_value_buffer": io.BytesIO(), "disposed": True}
    )
    return copied


@contextmanager
def only_content_of(account: str) -> Iterator[None]:
    """Limit moto's reset of S3 to the content of this account while the block runs; moto would close all accounts'."""
    models: tuple[Any, ...] = (FakeKey, FakeMultipart)
    others = [[instance for instance in model.instances_tracked if instance.account_id != account] for model in models]
    for model in models:
        model.instances_tracked = [instance for instance in model.instances_tracked if instance.account_id == account]
    try:
        yield
    finally:
        for model, kept in zip(models, others, strict=True):
            model.instances_tracked = kept


def _send_event(original: Callable[..., None]) -> Callable[..., None]:
    @wraps(original)
    def send_event(account_id: str, event_name: Any, bucket: Any, key: Any) -> None:
        hooks = hooks_of(account_id)
        if hooks is None:
            return original(account_id, event_name, bucket, key)
        if event_name.value.startswith(_REMOVED):
            return None  # moto sends events for some deletions only; _delete_object sends them for all
        etag = key.etag.strip('"')
        event = ObjectEvent(event_name.value, bucket.name, key.name, key.version_id, etag, key.size)
        return hooks.on_object_event(event)

    return send_event


def _delete_object(original: Callable[..., tuple[bool, dict[str, Any]]]) -> Callable[..., tuple[bool, dict[str, Any]]]:
    @wraps(original)
    def delete_object(
        self: S3Backend, bucket_name: str, key_name: str, version_id: str | None = None, bypass: bool = False
    ) -> tuple[bool, dict[str, Any]]:
        hooks = hooks_of(self.account_id)
        if hooks is None:
            return original(self, bucket_name, key_name, version_id=version_id, bypass=bypass)
        bucket = self.get_bucket(bucket_name)
        there = {str(version.version_id) for version in bucket.keys.getlist(key_name, [])}
        done, headers = original(self, bucket_name, key_name, version_id=version_id, bypass=bypass)
        if done and bucket.is_versioned and version_id is None:
            marker = headers["version-id"]
            name = f"{_REMOVED}DeleteMarkerCreated"
            hooks.on_object_event(ObjectEvent(name, bucket_name, key_name, marker, _ETAG_OF_NOTHING, None))
        elif done and there and (version_id is None or str(version_id) in there):
            name = f"{_REMOVED}Delete"
            hooks.on_object_event(ObjectEvent(name, bucket_name, key_name, version_id, None, None))
        return done, headers

    return delete_object


def _get_permission(original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def get_permission(self: FakeBucket, action: str, resource: str) -> Any:
        # The IAM middleware has already authorized the request.
        is_ours = hooks_of(self.account_id) is not None
        return PermissionResult.NEUTRAL if is_ours else original(self, action, resource)

    return get_permission
