"""What may stand in the queue: S3's notifications, and our own requests to replay a drop.

Written by S3, by `sweep` and by the operator's command; read by `start_run`.

`{"replay": {"bucket": …, "key": …, "version_id": …}}` asks for the next attempt at a
drop. With `after_attempt: n` it asks for attempt n+1 and nothing else, so that the same
wish said twice is one wish; without it, `request` (at first the message's own id) is
remembered in the claim to the same end.

S3's `sequencer` is not read: each object version is a load of its own and the order of
loads does not matter to the table.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote_plus, unquote_plus

from aws_lambda_powertools.utilities.data_classes import S3Event

from lambdas.errors import TerminalError
from lambdas.printable import printable
from schemas.drops import Drop


@dataclass(frozen=True)
class Replay:
    """The wish for one more attempt."""

    request: str
    after_attempt: int | None = None


@dataclass(frozen=True)
class Request:
    """That one object is to be loaded."""

    bucket: str
    key: str
    version_id: str | None
    """None where the event names no version."""
    replay: Replay | None = None

    def as_message(self) -> str:
        """This one request as the body of a message."""
        if self.replay is None:
            return _as_notification(self.bucket, self.key, self.version_id)
        wish = {"bucket": self.bucket, "key": self.key, "version_id": self.version_id, "request": self.replay.request}
        if self.replay.after_attempt is not None:
            wish["after_attempt"] = self.replay.after_attempt  # type: ignore[assignment]
        return json.dumps({"replay": wish})


def drop_message(drop: Drop) -> str:
    """The message that S3 should have sent when the drop was made."""
    return _as_notification(drop.bucket, drop.key, drop.version_id)


def replay_message(drop: Drop, *, after_attempt: int | None = None) -> str:
    """The message that asks for one more attempt at a drop."""
    wish: dict[str, Any] = {"bucket": drop.bucket, "key": drop.key, "version_id": drop.version_id}
    if after_attempt is not None:
        wish["after_attempt"] = after_attempt
    return json.dumps({"replay": wish})


def read_message(body: str, *, message_id: str) -> list[Request]:
    """The requests in a message's body; none for what asks for nothing, an error that names what nobody sends us."""
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise TerminalError(f"message {message_id} is not a JSON object but {body[:200]!r}; find out who sent it")
    if content.get("Event") == "s3:TestEvent":
        return []
    try:
        if content.get("Type") == "Notification" and "TopicArn" in content:
            return read_message(content["Message"], message_id=message_id)
        if "replay" in content:
            return [_read_replay(content["replay"], message_id)]
        if "Records" in content:
            return _read_notification(content)
    except (LookupError, TypeError, AttributeError, ValueError, OverflowError) as error:
        raise TerminalError(
            f"message {message_id} lacks what its kind must have ({error}): {body[:200]!r}; find out who sent it"
        ) from error
    if "detail-type" in content:
        # EventBridge does not encode keys as the bucket's own notification does; guessing could load another object.
        raise TerminalError(
            f"message {message_id} is an EventBridge event ({content['detail-type']!r}), which this queue does not "
            "take; connect the bucket to the queue by its own notification"
        )
    raise TerminalError(
        f"message {message_id} is neither an S3 notification nor a replay: {body[:200]!r}; find out who sent it"
    )


def _read_notification(content: dict[str, Any]) -> list[Request]:
    requests = []
    for record in S3Event(content).records:
        if record.event_source != "aws:s3":
            raise TerminalError(
                f"a record comes from {record.event_source!r}, but this queue takes only what S3 and `pipeline replay` "
                "send; find out who sent it"
            )
        if not record.event_name.startswith("ObjectCreated:"):
            continue
        found = record.s3.get_object
        # Bytes that are no UTF-8 become lone surrogates, by which parse_key refuses the key; replaced, they could
        # name another object.
        key = unquote_plus(found.key, errors="surrogateescape")
        requests.append(Request(record.s3.bucket.name, key, _version(found.version_id)))
    return requests


def _read_replay(wish: Mapping[str, Any], message_id: str) -> Request:
    after_attempt = wish.get("after_attempt")
    return Request(
        bucket=str(wish["bucket"]),
        key=str(wish["key"]),
        version_id=_version(str(wish["version_id"])),
        replay=Replay(
            request=str(wish.get("request") or message_id),
            after_attempt=None if after_attempt is None else int(after_attempt),
        ),
    )


def _version(version_id: str | None) -> str | None:
    if version_id is not None and re.fullmatch(r"[!-~]{1,1024}", version_id) is None:
        raise ValueError(f"S3 gives no version the id {printable(version_id, 100)}")
    return version_id


def _as_notification(bucket: str, key: str, version_id: str | None) -> str:
    found = {"key": quote_plus(key, safe="/")}
    if version_id is not None:
        found["versionId"] = version_id
    record = {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "eventName": "ObjectCreated:Put",
        "s3": {"s3SchemaVersion": "1.0", "bucket": {"name": bucket}, "object": found},
    }
    return json.dumps({"Records": [record]})
