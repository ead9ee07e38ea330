"""The messages of the queue, and the event with which `sweep` asks a function to examine a run.

The queue holds S3's notifications and our own requests for one more attempt at a drop.
S3, `sweep`, `archive` and the operator's command write them; `start_run` reads them.

`{"replay": {"bucket": …, "key": …, "version_id": …}}` asks for the next attempt at a
drop. `"flow_in"` in place of `"replay"` asks that its waiting rows are loaded, `"retract"`
that the load is taken back. `request` (without it, the message's own id) names the request:
the claim stores it, so the same request sent twice counts once. With
`after_attempt: n` a replay asks to retry attempt n, whatever attempt n did.

S3's `sequencer` is not read: each object version is a load of its own, and the order of
loads does not matter to the table.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote_plus, unquote_plus

from schemas.drops import Drop
from schemas.runs import FLOW_IN, LOAD, RETRACT

_OPERATIONS = {"replay": LOAD, "flow_in": FLOW_IN, "retract": RETRACT}
"""The name of a request -> the operation of its attempt."""


class UnreadableMessage(ValueError):
    """A message that neither S3 nor this product sends; the text describes it and says what to do."""


@dataclass(frozen=True)
class Replay:
    """A request for one more attempt."""

    request: str
    """The same for every delivery of the same request."""
    after_attempt: int | None = None
    """The attempt to retry; None for a new request."""
    operation: str = LOAD
    """The operation of the attempt (schemas.runs.OPERATIONS)."""


@dataclass(frozen=True)
class Request:
    """A request to load one object."""

    bucket: str
    key: str
    version_id: str | None
    """None where the event names no version."""
    replay: Replay | None = None

    def as_message(self) -> str:
        """This one request as the body of a message."""
        if self.replay is None:
            return _notification(self.bucket, self.key, self.version_id)
        version = (self.bucket, self.key, self.version_id)
        return _replay(version, self.replay.operation, self.replay.request, self.replay.after_attempt)


def drop_message(drop: Drop) -> str:
    """The message that S3 should have sent when the drop was uploaded."""
    return _notification(drop.bucket, drop.key, drop.version_id)


def replay_message(drop: Drop, *, request: str | None = None, after_attempt: int | None = None) -> str:
    """The message that asks for one more attempt at a drop."""
    return _replay((drop.bucket, drop.key, drop.version_id), LOAD, request, after_attempt)


def flow_in_message(drop: Drop, *, request: str) -> str:
    """The message that asks to load the rows of a drop that waited for a dimension."""
    return _replay((drop.bucket, drop.key, drop.version_id), FLOW_IN, request, None)


def retract_message(drop: Drop, *, request: str | None = None) -> str:
    """The message that asks to take back the load of a drop."""
    return _replay((drop.bucket, drop.key, drop.version_id), RETRACT, request, None)


def run_request(
    job_name: str, run_id: str, *, is_last: bool = False, forgotten: tuple[Drop, int] | None = None
) -> dict[str, Any]:
    """The event by which `sweep` asks a function to look at a run.

    `is_last` says that no attempt follows it. `forgotten` is the drop and attempt of a run that Glue no longer knows.
    """
    request: dict[str, Any] = {"job_name": job_name, "run_id": run_id}
    if is_last:
        request["is_last"] = True
    if forgotten is not None:
        drop, attempt = forgotten
        request["forgotten"] = {
            "bucket": drop.bucket,
            "key": drop.key,
            "version_id": drop.version_id,
            "attempt": attempt,
        }
    return request


BACKFILL_STOPPED = {"backfill": "stopped"}
"""The event by which `sweep` asks `notify` to mail that a backfill was stopped and not continued."""


def is_last(event: Mapping[str, Any]) -> bool:
    """True when `sweep` says that no other attempt follows."""
    return event.get("is_last") is True


def read_message(body: str, *, message_id: str) -> list[Request]:
    """The requests in a message's body; an empty list for a message that asks for nothing.

    Raises UnreadableMessage for a message that neither S3 nor we send.
    """
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise UnreadableMessage(f"message {message_id} is not a JSON object but {body[:200]!r}; check the sender")
    if content.get("Event") == "s3:TestEvent":
        return []
    try:
        if content.get("Type") == "Notification" and "TopicArn" in content:
            return read_message(content["Message"], message_id=message_id)
        for name, operation in _OPERATIONS.items():
            if name in content:
                return [_read_replay(content[name], message_id, operation)]
        if "Records" in content:
            return _read_notification(content["Records"])
    except UnreadableMessage:
        raise
    except (LookupError, TypeError, AttributeError, ValueError, OverflowError) as error:
        raise UnreadableMessage(
            f"message {message_id} lacks a field of its kind ({error}): {body[:200]!r}; check the sender"
        ) from error
    if "detail-type" in content:
        # EventBridge does not encode keys as the bucket's own notification does; guessing could load another object.
        raise UnreadableMessage(
            f"message {message_id} is an EventBridge event ({content['detail-type']!r}), which this queue does not "
            "accept; connect the bucket to the queue by its own notification"
        )
    raise UnreadableMessage(
        f"message {message_id} is neither an S3 notification nor a replay: {body[:200]!r}; check the sender"
    )


def _read_notification(records: list[dict[str, Any]]) -> list[Request]:
    requests = []
    for record in records:
        if record["eventSource"] != "aws:s3":
            raise UnreadableMessage(
                f"a record comes from {record['eventSource']!r}, but this queue accepts only what S3 and "
                "`pipeline replay` send; check the sender"
            )
        if not record["eventName"].startswith("ObjectCreated:"):
            continue
        s3 = record["s3"]
        # Bytes that are not UTF-8 become lone surrogates, and parse_key refuses the key. Replaced, they could
        # name another object.
        key = unquote_plus(s3["object"]["key"], errors="surrogateescape")
        requests.append(Request(s3["bucket"]["name"], key, _version(s3["object"].get("versionId"))))
    return requests


def _read_replay(replay: Mapping[str, Any], message_id: str, operation: str) -> Request:
    after_attempt = replay.get("after_attempt")
    return Request(
        bucket=str(replay["bucket"]),
        key=str(replay["key"]),
        version_id=_version(str(replay["version_id"])),
        replay=Replay(
            request=str(replay.get("request") or message_id),
            after_attempt=None if after_attempt is None else int(after_attempt),
            operation=operation,
        ),
    )


def _version(version_id: str | None) -> str | None:
    if version_id is not None and re.fullmatch(r"[!-~]{1,1024}", version_id) is None:
        raise ValueError(f"{version_id[:100]!a} cannot be a version id of S3")
    return version_id


def _replay(
    version: tuple[str, str, str | None], operation: str, request: str | None, after_attempt: int | None
) -> str:
    bucket, key, version_id = version
    replay: dict[str, Any] = {"bucket": bucket, "key": key, "version_id": version_id}
    if request is not None:
        replay["request"] = request
    if after_attempt is not None:
        replay["after_attempt"] = after_attempt
    return json.dumps({next(name for name, does in _OPERATIONS.items() if does == operation): replay})


def _notification(bucket: str, key: str, version_id: str | None) -> str:
    described = {"key": quote_plus(key, safe="/")}
    if version_id is not None:
        described["versionId"] = version_id
    record = {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "eventName": "ObjectCreated:Put",
        "s3": {"s3SchemaVersion": "1.0", "bucket": {"name": bucket}, "object": described},
    }
    return json.dumps({"Records": [record]})
