"""Calls sweep as its schedule does. The functions that sweep calls are the real ones."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

from lambdas.archive import handler as archive
from lambdas.notify import handler as notify
from lambdas.start_run import handler as start_run
from lambdas.sweep import handler
from schemas.drops import Drop
from schemas.messages import drop_message
from tests.lambdas.cloud import DROPS, Cloud, Invocation, recorded

FUNCTIONS = {"shop-archive": archive.handle, "shop-notify": notify.handle}


class Calls:
    """The invocations that the sweep requests. They are recorded and do not reach Lambda."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, str]]] = []

    def __call__(self, params: dict[str, Any], **_: Any) -> Any:
        assert params["headers"]["X-Amz-Invocation-Type"] == "Event"
        name = params["url_path"].split("/")[-2]
        self.asked.append((name, json.loads(params["body"])))
        return SimpleNamespace(status_code=202), {"StatusCode": 202}

    def run(self) -> None:
        """Run every requested function."""
        asked, self.asked = self.asked, []
        for name, payload in asked:
            FUNCTIONS[name](payload, Invocation())


def sweep(*, grace_seconds: float | None = 0) -> dict[str, int]:
    event = recorded("eventbridge_scheduled")
    swept: dict[str, int] = handler.handle(
        event if grace_seconds is None else {"grace_seconds": grace_seconds}, Invocation()
    )
    return swept


def deliver_what_was_sent(cloud: Cloud) -> None:
    for message in cloud.sent_messages():
        assert start_run.handle(cloud.batch(message.body), Invocation()) == {"batchItemFailures": []}


def started(cloud: Cloud, drop: Drop) -> Any:
    start_run.handle(cloud.batch(drop_message(drop)), Invocation())
    return cloud.runs()[-1]


def etag(cloud: Cloud, drop: Drop) -> str:
    return str(cloud.s3.head_object(Bucket=DROPS, Key=drop.key, VersionId=drop.version_id)["ETag"]).strip('"')
