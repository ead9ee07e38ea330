"""Lambda's event source mapping: reads a queue with the function's rights and invokes the function."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from local.api.aws import Aws
from local.runtime.functions import Function, FunctionFailed, Functions
from local.runtime.in_flight import InFlightCounter

_POLL_SECONDS = 0.1
# The time for which a mapping and its function are cached.
_EVENT_SOURCE_SECONDS = 1.0
# Temporary credentials last an hour.
_FRESH_SECONDS = 45 * 60
_AWS_BATCHES_AT_ONCE = 5


@dataclass(frozen=True)
class _EventSource:
    mapping: Mapping[str, Any]
    function: Function
    queue_url: str
    read_at: float


@dataclass
class QueueReader:
    """Reads one event source mapping's queue until it is closed."""

    aws: Aws
    functions: Functions
    mapping_id: str
    in_flight: InFlightCounter
    on_warning: Callable[[str], None]
    closing: threading.Event
    _free: threading.BoundedSemaphore = field(init=False)
    _batches: ThreadPoolExecutor = field(init=False)
    _sqs: Any = None
    _signed_in: tuple[float, str] = (0.0, "")

    def __post_init__(self) -> None:
        at_once = self.functions.gaps.concurrency_of_mapping.get(self.mapping_id, _AWS_BATCHES_AT_ONCE)
        self._free = threading.BoundedSemaphore(at_once)
        self._batches = ThreadPoolExecutor(at_once, thread_name_prefix="batch")

    def read(self) -> None:
        """Read the queue; returns once `closing` is set and every batch is done."""
        source: _EventSource | None = None
        while not self.closing.wait(_POLL_SECONDS):
            try:
                if source is None or time.monotonic() - source.read_at > _EVENT_SOURCE_SECONDS:
                    source = self._read_event_source()
                if source is not None:
                    self._sign_in(source.function)
                    self._receive(source)
            except (ClientError, BotoCoreError) as error:
                self._warn(f"the queue of {self.mapping_id} could not be read: {error}")
                self.closing.wait(_EVENT_SOURCE_SECONDS)
        self._batches.shutdown(wait=True)

    def _read_event_source(self) -> _EventSource | None:
        """The mapping, its function and its queue; None while there is no such mapping or it is disabled."""
        mappings = self.aws.client("lambda").list_event_source_mappings()["EventSourceMappings"]
        for mapping in mappings:
            if mapping["UUID"] == self.mapping_id and mapping["State"] == "Enabled":
                queue = mapping["EventSourceArn"].rpartition(":")[2]
                url = self.aws.client("sqs").get_queue_url(QueueName=queue)["QueueUrl"]
                return _EventSource(mapping, self.functions.describe(mapping["FunctionArn"]), url, time.monotonic())
        return None

    def _sign_in(self, function: Function) -> None:
        signed_in_at, role = self._signed_in
        if self._sqs is None or role != function.role or time.monotonic() - signed_in_at > _FRESH_SECONDS:
            self._sqs = self.aws.client_as("sqs", self.functions.credentials(function))
            self._signed_in = (time.monotonic(), function.role)

    def _receive(self, source: _EventSource) -> None:
        """Receive messages and start batches while there are messages and free slots."""
        while not self.closing.is_set() and self._free.acquire(blocking=False):
            self.in_flight.begin()
            try:
                received = self._sqs.receive_message(
                    QueueUrl=source.queue_url,
                    MaxNumberOfMessages=min(10, source.mapping["BatchSize"]),
                    MessageSystemAttributeNames=["All"],
                    MessageAttributeNames=["All"],
                )
                messages = received.get("Messages", [])
                if messages:
                    self._batches.submit(self._handle, source, self._sqs, messages)
            except BaseException:
                self._done()
                raise
            if not messages:
                self._done()
                return

    def _handle(self, source: _EventSource, sqs: Any, messages: Sequence[dict[str, Any]]) -> None:
        """Invoke the function for a batch and delete the messages that it does not report as failed."""
        mapping, name = source.mapping, source.function.name
        try:
            queue_arn = mapping["EventSourceArn"]
            event = {"Records": [sqs_record(message, queue_arn, self.aws.region) for message in messages]}
            failed = {message["MessageId"] for message in messages}
            try:
                response = self.functions.invoke(source.function.arn, event)
            except FunctionFailed as error:
                self._warn(str(error))
            else:
                is_partial = "ReportBatchItemFailures" in mapping.get("FunctionResponseTypes", [])
                failed = failed_items(response, failed) if is_partial else set()
            for message in messages:
                if message["MessageId"] not in failed:
                    sqs.delete_message(QueueUrl=source.queue_url, ReceiptHandle=message["ReceiptHandle"])
            if failed:
                self._warn(f"{name}: {len(failed)} of {len(messages)} messages are delivered again")
        except (ClientError, BotoCoreError) as error:
            self._warn(f"{name}: {error}")
        finally:
            self._done()

    def _done(self) -> None:
        self._free.release()
        self.in_flight.end()

    def _warn(self, sentence: str) -> None:
        self.on_warning(sentence)


def failed_items(response: Any, known: set[str]) -> set[str]:
    """The ids that a partial batch response reports as failed; all ids if the response is malformed."""
    if response is None:
        return set()
    if not isinstance(response, Mapping):
        return known
    items = response.get("batchItemFailures") or []
    named = {item.get("itemIdentifier") if isinstance(item, Mapping) else None for item in items}
    return {str(name) for name in named} if named <= known else known


def sqs_record(message: Mapping[str, Any], queue_arn: str, region: str) -> dict[str, Any]:
    """A received message in the form in which Lambda passes it to a function."""
    attributes = {
        name: {
            **{key[0].lower() + key[1:]: value for key, value in attribute.items()},
            "stringListValues": [],
            "binaryListValues": [],
        }
        for name, attribute in message.get("MessageAttributes", {}).items()
    }
    return {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": message.get("Attributes", {}),
        "messageAttributes": attributes,
        "md5OfBody": message["MD5OfBody"],
        "eventSource": "aws:sqs",
        "eventSourceARN": queue_arn,
        "awsRegion": region,
    }
