"""Routes events as AWS does: S3 notifications, EventBridge rules and schedules, asynchronous invocations.

The router reads the routes from moto each time (bucket notifications, event source mappings,
rules and targets, function policies), so it delivers only what the program declares. AWS
delivers at least once. Here `delivery_policy` decides how often and when each delivery is
made: by default once, without delay.
"""

from __future__ import annotations

import json
import re
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from functools import partial
from typing import Any
from urllib.parse import quote_plus

from botocore.exceptions import ClientError
from moto.events.models import EventPattern, EventPatternParser
from moto.s3.models import s3_backends

from local.api.aws import Aws
from local.api.aws_requests import AwsRequest
from local.api.permissions import RequiredPermission, allows_service
from local.moto_hooks import ObjectEvent
from local.runtime.functions import FunctionFailed, Functions
from local.runtime.glue import Glue
from local.runtime.in_flight import InFlightCounter
from local.runtime.queue_reader import QueueReader

# The delays before Lambda's first and second retry of a failed asynchronous event.
RETRY_AFTER_SECONDS = (60.0, 120.0)
# On AWS the sweep ignores work that is younger than this.
SWEEP_GRACE_SECONDS = 15 * 60.0
_UNITS = {"minute": 60, "hour": 3600, "day": 86400}


@dataclass(frozen=True)
class Delivery:
    """An event or invocation that one AWS service sends to another."""

    kind: str
    """`object event`, `run event`, `schedule` or `invocation`."""
    to: str
    about: str


DeliveryPolicy = Callable[[Delivery], Sequence[float]]
"""The delays, in seconds, after which a delivery is made; several repeat it, and none loses it."""


def deliver_once(_: Delivery) -> Sequence[float]:
    return (0.0,)


@dataclass
class EventRouter:
    """Delivers the events of one account until it is stopped."""

    aws: Aws
    functions: Functions
    glue: Glue
    pace: float
    """The number of seconds of AWS's own waiting (schedules, retries) that pass in one second."""
    on_warning: Callable[[str], None] = lambda _: None
    delivery_policy: DeliveryPolicy = deliver_once
    warnings: list[str] = field(default_factory=list)
    """A sentence about each failure, the oldest first."""
    _threads: list[threading.Thread] = field(default_factory=list)
    _pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(64, thread_name_prefix="event-router"))
    _closing: threading.Event = field(default_factory=threading.Event)
    _in_flight: InFlightCounter = field(default_factory=InFlightCounter)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _sequence: int = 0

    def start(self) -> None:
        """Start to poll the queues and to fire the schedules that exist now."""
        for mapping in self.aws.client("lambda").list_event_source_mappings()["EventSourceMappings"]:
            reader = QueueReader(self.aws, self.functions, mapping["UUID"], self._in_flight, self._warn, self._closing)
            self._in_thread(reader.read)
        for rule in self._rules():
            if rule.get("ScheduleExpression"):
                self._in_thread(partial(self._keep_schedule, rule["Name"]))

    def stop(self) -> None:
        self._closing.set()
        for thread in self._threads:
            thread.join()
        self._pool.shutdown(wait=True, cancel_futures=True)

    @property
    def is_idle(self) -> bool:
        """True when no delivery, run or invocation is in flight; queues may still hold messages."""
        return self._in_flight.is_idle

    def object_event(self, event: ObjectEvent) -> None:
        """Deliver an event of S3 to the queues that the bucket notifies."""
        if s3_backends[self.aws.account]["aws"].buckets[event.bucket].notification_configuration is None:
            return
        self._deliver(Delivery("object event", event.bucket, event.key), lambda: self._notify(event))

    def run_due(self, job_name: str, run_id: str) -> None:
        """Start a run that Glue allows to start."""
        self._in_pool(lambda: self.glue.execute(job_name, run_id))

    def run_ended(self, event: dict[str, Any]) -> None:
        """Deliver an event of Glue to the targets of all rules that match it."""
        self._deliver(
            Delivery("run event", event["detail"]["jobName"], event["detail"]["jobRunId"]), lambda: self._route(event)
        )

    def invoked(self, request: AwsRequest) -> bytes:
        """Lambda's Invoke: returns the payload of the response, empty for an asynchronous invocation."""
        event = json.loads(request.parameters["Payload"] or b"{}")
        if request.parameters["InvocationType"] == "Event":
            self.invoke_later(request.parameters["FunctionName"], event)
            return b""
        return json.dumps(self.functions.invoke(request.parameters["FunctionName"], event)).encode("utf-8")

    def invoke_later(self, function: str, event: Any, *, failures: int = 0, wait: float = 0.0) -> None:
        """Invoke asynchronously: two retries, then the event goes to the function's dead-letter queue."""
        name = function.rpartition(":")[2]
        self._deliver(
            Delivery("invocation", name, f"try {failures + 1}"),
            lambda: self._invoke(function, event, failures),
            wait=wait,
        )

    def scheduled_event(self, rule: Mapping[str, Any], grace_seconds: float) -> dict[str, Any]:
        event = self.aws.event("Scheduled Event", "aws.events", {}, resources=[rule["Arn"]])
        # A field of our own, not EventBridge's: the sweep's grace time must pass at the local pace, too.
        return {**event, "grace_seconds": grace_seconds}

    def tick(self, *, grace_seconds: float) -> None:
        """Fire every schedule now; the sweep ignores work that is younger than `grace_seconds`."""
        for rule in self._rules():
            if rule.get("ScheduleExpression"):
                self._to_targets(rule, self.scheduled_event(rule, grace_seconds))

    # S3 and EventBridge

    def _notify(self, event: ObjectEvent) -> None:
        notifications = self.aws.client("s3").get_bucket_notification_configuration(Bucket=event.bucket)
        others = set(notifications) - {"ResponseMetadata", "QueueConfigurations"}
        if others:
            raise NotImplementedError(f"the local cloud's buckets notify queues only, not {', '.join(sorted(others))}")
        for wanted in notifications.get("QueueConfigurations", []):
            if _wants(wanted, event):
                record = self._record(event, wanted["Id"])
                self._send(
                    wanted["QueueArn"],
                    json.dumps({"Records": [record]}),
                    service="s3.amazonaws.com",
                    source_arn=f"arn:aws:s3:::{event.bucket}",
                )

    def _record(self, event: ObjectEvent, notification: str) -> dict[str, Any]:
        with self._lock:
            self._sequence += 1
            sequencer = f"{time.time_ns() >> 16:012X}{self._sequence:06X}"
        s3_object: dict[str, Any] = {"key": quote_plus(event.key, safe="/")}
        object_fields = {"size": event.bytes, "eTag": event.etag, "versionId": event.version_id}
        s3_object |= {name: value for name, value in object_fields.items() if value is not None}
        return {
            "eventVersion": "2.1",
            "eventSource": "aws:s3",
            "awsRegion": self.aws.region,
            "eventTime": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "eventName": event.name.removeprefix("s3:"),
            "userIdentity": {"principalId": "AWS:LAPTOP"},
            "requestParameters": {"sourceIPAddress": "127.0.0.1"},
            "responseElements": {"x-amz-request-id": uuid.uuid4().hex[:16].upper(), "x-amz-id-2": "laptop"},
            "s3": {
                "s3SchemaVersion": "1.0",
                "configurationId": notification,
                "bucket": {
                    "name": event.bucket,
                    "ownerIdentity": {"principalId": "LAPTOP"},
                    "arn": f"arn:aws:s3:::{event.bucket}",
                },
                "object": {**s3_object, "sequencer": sequencer},
            },
        }

    def _send(self, queue_arn: str, body: str, *, service: str, source_arn: str) -> None:
        """Send a message on behalf of a service, if the queue's policy allows it."""
        sqs, url = self.aws.client("sqs"), self._queue_url(queue_arn)
        policy = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["Policy"]).get("Attributes", {}).get("Policy")
        context = {"aws:SourceArn": source_arn, "aws:SourceAccount": self.aws.account}
        if not allows_service(policy, service=service, need=RequiredPermission("sqs:SendMessage", queue_arn, context)):
            self._warn(f"{source_arn} may not send to {queue_arn}: the queue's policy does not allow {service}")
            return
        sqs.send_message(QueueUrl=url, MessageBody=body)

    def _queue_url(self, arn: str) -> str:
        return str(self.aws.client("sqs").get_queue_url(QueueName=arn.rpartition(":")[2])["QueueUrl"])

    def _rules(self) -> list[dict[str, Any]]:
        pages = self.aws.client("events").get_paginator("list_rules").paginate()
        return [rule for page in pages for rule in page["Rules"] if rule["State"] == "ENABLED"]

    def _route(self, event: dict[str, Any]) -> None:
        for rule in self._rules():
            pattern = rule.get("EventPattern")
            if pattern and EventPattern(pattern, EventPatternParser(pattern).parse()).matches_event(event):  # type: ignore[arg-type]
                self._to_targets(rule, event)

    def _to_targets(self, rule: Mapping[str, Any], event: dict[str, Any]) -> None:
        for target in self.aws.client("events").list_targets_by_rule(Rule=rule["Name"])["Targets"]:
            if ":lambda:" not in target["Arn"]:
                raise NotImplementedError(f"the local cloud's rules call functions only, not {target['Arn']}")
            if self._may_invoke(target["Arn"], rule["Arn"]):
                self.invoke_later(target["Arn"], event)
                continue
            self._warn(f"the rule {rule['Name']} may not invoke {target['Arn']}: the function's policy forbids it")
            if "DeadLetterConfig" in target:
                self._send(
                    target["DeadLetterConfig"]["Arn"],
                    json.dumps(event),
                    service="events.amazonaws.com",
                    source_arn=rule["Arn"],
                )

    def _may_invoke(self, function_arn: str, rule_arn: str) -> bool:
        try:
            policy = self.aws.client("lambda").get_policy(FunctionName=function_arn)["Policy"]
        except ClientError:
            return False
        need = RequiredPermission(
            "lambda:InvokeFunction", function_arn, {"aws:SourceArn": rule_arn, "AWS:SourceArn": rule_arn}
        )
        return allows_service(policy, service="events.amazonaws.com", need=need)

    def _keep_schedule(self, rule_name: str) -> None:
        rule = self.aws.client("events").describe_rule(Name=rule_name)
        seconds = rate_seconds(rule["ScheduleExpression"]) / self.pace
        while not self._closing.wait(seconds):
            for current in self._rules():
                if current["Name"] == rule_name:
                    self._deliver(
                        Delivery("schedule", rule_name, ""),
                        lambda current=current: self._to_targets(  # type: ignore[misc]
                            current, self.scheduled_event(current, SWEEP_GRACE_SECONDS / self.pace)
                        ),
                    )

    # Lambda

    def _invoke(self, function_name: str, event: Any, failures: int) -> None:
        try:
            self.functions.invoke(function_name, event)
        except (FunctionFailed, ClientError) as error:
            self._warn(f"{error} (try {failures + 1} of {len(RETRY_AFTER_SECONDS) + 1})")
            if failures < len(RETRY_AFTER_SECONDS):
                wait = RETRY_AFTER_SECONDS[failures] / self.pace
                self.invoke_later(function_name, event, failures=failures + 1, wait=wait)
            else:
                self._send_to_dead_letters(function_name, event)

    def _send_to_dead_letters(self, function_name: str, event: Any) -> None:
        function = self.functions.describe(function_name)
        queue_arn = self.functions.gaps.dead_letter_of_function.get(function.arn)
        if queue_arn is not None:
            sqs = self.aws.client_as("sqs", self.functions.credentials(function))
            sqs.send_message(QueueUrl=self._queue_url(queue_arn), MessageBody=json.dumps(event))

    # Deliveries

    def _deliver(self, delivery: Delivery, act: Callable[[], None], *, wait: float = 0.0) -> None:
        for delay in self.delivery_policy(delivery):
            self._in_pool(act, after=delay + wait)

    def _in_pool(self, act: Callable[[], None], *, after: float = 0.0) -> None:
        if self._closing.is_set():
            return
        self._in_flight.begin()

        def run() -> None:
            try:
                if not self._closing.is_set():
                    act()
            except Exception as error:
                if not self._closing.is_set():
                    self._warn(f"{type(error).__name__}: {error}")
            finally:
                self._in_flight.end()

        def submit() -> None:
            try:
                self._pool.submit(run)
            except RuntimeError:
                # The pool is closed: the local cloud is shutting down.
                self._in_flight.end()

        if after <= 0:
            submit()
        else:
            timer = threading.Timer(after, submit)
            timer.daemon = True
            timer.start()

    def _in_thread(self, work: Callable[[], None]) -> None:
        thread = threading.Thread(target=work, name="event-router", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _warn(self, sentence: str) -> None:
        if not self._closing.is_set():
            self.warnings.append(sentence)
            self.on_warning(sentence)


def rate_seconds(expression: str) -> float:
    """`rate(15 minutes)` -> 900."""
    match = re.fullmatch(r"rate\((\d+) (minute|hour|day)s?\)", expression)
    if match is None:
        raise NotImplementedError(f"the local cloud keeps schedules such as rate(15 minutes), not {expression!r}")
    return int(match[1]) * _UNITS[match[2]]


def _wants(configuration: Mapping[str, Any], event: ObjectEvent) -> bool:
    rules = configuration.get("Filter", {}).get("Key", {}).get("FilterRules", [])
    ends = {"prefix": event.key.startswith, "suffix": event.key.endswith}
    return any(fnmatchcase(event.name, wanted) for wanted in configuration["Events"]) and all(
        ends[rule["Name"].lower()](rule["Value"]) for rule in rules
    )
