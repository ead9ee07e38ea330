"""One schedule: the events of up to four drops, byte by byte, and the properties that must hold after any of them.

One of the drops is a dimension. Transactions that are loaded before it wait for it, and flow in after it.

A schedule is a string of bytes. Each decision takes the next byte: what happens next, and
how the calling worker is disturbed. After the last byte there are no more disturbances,
and all work must end. The workers run the real handlers.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from jobs.attempt import describe
from jobs.errors import DropGone
from schemas.drops import TRANSACTIONS, Drop, parse_key
from schemas.messages import drop_message, flow_in_message, replay_message, retract_message
from schemas.reports import FAILED, SUCCEEDED, Error, Report
from schemas.runs import RETRACT, RunArguments, decode_run
from schemas.work_bucket import OPEN, REPORTS, report_key
from tests.model.memory_aws import DROPS, S3, WORK, Glue, GlueRun
from tests.model.settled import check
from tests.model.workers import Broken, Workers

KEYS = (
    "transactions/year=2026/month=03/day=01/a.csv",
    "dimensions/dim_customers.csv",
    "transactions/year=2026/month=03/day=01/a.csv",
    "transactions/year=2026/month=03/day=01/b.csv",
)
FATES = {
    "succeeds": ("commit", "report", "end"),
    "fails": ("report", "end"),
    "fails for now": ("report", "end"),
    "finds no drop": ("report", "end"),
    "meets the limit": ("report", "end"),
    "dies": ("end",),
    "dies after its commit": ("commit", "end"),
    "dies after its report": ("commit", "report", "end"),
}
ENDS_WELL = "succeeds"
DELIVERIES = 5
"""The number of deliveries before SQS moves a message to the dead-letter queue."""
LAMBDA_TRIES = 3
_LOAD = re.compile(r"\bload +([0-9a-f]{16}), attempt ([0-9]+)")


@dataclass
class Message:
    body: str
    due_at: Any
    deliveries: int = 0
    waits: int = 0


@dataclass
class Event:
    function: str
    payload: dict[str, Any]
    tries: int = 0


@dataclass(kw_only=True)
class World(Workers):
    functions: Mapping[str, Callable[[dict[str, Any]], Any]]
    messages: list[Message] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    uploads: list[Drop] = field(default_factory=list)
    withdrawn: dict[str, Any] = field(default_factory=dict)
    """The load ids of deleted files, and since when."""
    committed: set[str] = field(default_factory=set)
    asked: Counter[str] = field(default_factory=Counter)
    """How often another attempt at a load was requested."""
    requests: list[tuple[str, Drop, datetime]] = field(default_factory=list)
    """The names, drops and times of requests. Each must be met, or refused with a mail."""
    waiting: set[str] = field(default_factory=set)
    """The load ids of transactions that wait for the dimension."""
    is_dimension_loaded: bool = False
    reported: set[str] = field(default_factory=set)
    """The load ids whose rows a run loaded and reported."""
    unasked: Counter[str] = field(default_factory=Counter)
    """The number of attempts that followed a final one."""
    mails: list[tuple[str, int]] = field(default_factory=list)
    dead_letters: int = 0
    waits_until: dict[str, datetime] = field(default_factory=dict)
    """Run that reached the daily limit -> when the next day begins."""

    def __post_init__(self) -> None:
        self.s3 = S3(self.clock, self.before, self.after, self.conflicts)
        self.glue = Glue(self.clock, self.before, self.after, self.new_run)

    def end_a_run(self) -> None:
        """A live run ends while a worker is making a call."""
        for run in [run for run in self.glue.runs if run.is_live][:1]:
            while run.is_live:
                self.progress(run)

    # what AWS does

    def upload(self) -> None:
        key = KEYS[len(self.uploads)]
        version_id = self.s3.put(DROPS, key, f"upload {len(self.uploads)}".encode())
        drop = Drop(DROPS, key, version_id)
        self.uploads.append(drop)
        self.log.append(f"upload {drop.load_id} {version_id}")
        if self.choose(6) != 5:
            self.send_message(drop_message(drop))
        self.clock.advance((2, 0, 60)[self.choose(3)])

    def send_message(self, MessageBody: str, DelaySeconds: int = 0, **more: Any) -> None:
        self.before("SendMessage")
        waits = int(more.get("MessageAttributes", {}).get("waits", {}).get("StringValue", 0))
        self.messages.append(Message(MessageBody, self.clock.now + timedelta(seconds=DelaySeconds), waits=waits))
        self.after("SendMessage")

    def get_queue_attributes(self, **_: Any) -> dict[str, Any]:
        return {"Attributes": {"ApproximateNumberOfMessages": str(len(self.messages))}}

    def deliver(self, message: Message) -> None:
        message.deliveries += 1
        message.due_at = self.clock.now + timedelta(seconds=360)
        record = {
            "messageId": f"message-{id(message)}",
            "body": message.body,
            "messageAttributes": {"waits": {"dataType": "Number", "stringValue": str(message.waits)}},
            "eventSource": "aws:sqs",
        }
        self.log.append(f"deliver {message.body[:40]}")

        def work() -> None:
            response = self.functions["start_run"]({"Records": [record]})
            if response["batchItemFailures"]:
                raise RuntimeError("delivered again")

        def done(is_done: bool) -> None:
            # At least once: a message that was handled may be delivered again.
            if is_done and (self.is_calm or self.choose(8) != 7):
                self.messages = [other for other in self.messages if other is not message]
            elif message.deliveries >= DELIVERIES:
                self.messages = [other for other in self.messages if other is not message]
                self.dead_letters += 1

        self.invoke(work, done)

    def handle(self, event: Event) -> None:
        """An asynchronous invocation: Lambda tries it three times."""
        self.events = [other for other in self.events if other is not event]
        event.tries += 1
        self.log.append(f"{event.function} {json.dumps(event.payload)[:150]}")

        def done(is_done: bool) -> None:
            if (not is_done and event.tries < LAMBDA_TRIES) or (is_done and not self.is_calm and self.choose(8) == 7):
                self.events.append(event)

        seconds = 900 if event.function == "archive" else 60
        self.invoke(lambda: self.functions[event.function](event.payload), done, seconds=seconds)

    def invoke_function(self, FunctionName: str, Payload: bytes, **_: Any) -> None:
        self.before("Invoke")
        self.events.append(Event(FunctionName, json.loads(Payload)))
        self.after("Invoke")

    def sweep(self) -> None:
        self.log.append("sweep")
        self.invoke(lambda: self.functions["sweep"]({}), lambda _: None)

    def publish(self, Message: str, **_: Any) -> dict[str, str]:
        self.before("Publish")
        match = _LOAD.search(Message)
        if match is None:
            # A person's request that cannot be met.
            self.log.append(Message.partition("\n")[0])
            return {"MessageId": "m"}
        result = (match.group(1), int(match.group(2)))
        self.log.append(f"mail {result}")
        if result in self.mails:
            raise Broken(f"a second mail about attempt {result[1]} at {result[0]}")
        self.mails.append(result)
        self.after("Publish")
        return {"MessageId": "m"}

    def get_topic_attributes(self, **_: Any) -> dict[str, Any]:
        return {"Attributes": {}}

    def new_run(self, run_id: str, job_name: str, arguments: Mapping[str, str]) -> GlueRun:
        decoded = decode_run(arguments)
        assert decoded is not None
        now = self.clock.now
        for other in self.glue.runs:
            same = decode_run(other.arguments)
            if same is not None and same.drop == decoded.drop and other.is_live and not other.has_reported:
                raise Broken(f"a second live run of {decoded.drop.load_id}: {other.run_id} and {run_id}")
        self._check_that_it_was_requested(decoded)
        withdrawn_at = self.withdrawn.get(decoded.drop.load_id)
        is_archived = decoded.archived is not None or decoded.drop.load_id in self.committed
        # A starter that checked the drop before may still start the run.
        is_read = decoded.operation != RETRACT and not is_archived
        if withdrawn_at is not None and (now - withdrawn_at).total_seconds() > 60 and is_read:
            raise Broken(f"a run of {decoded.drop.load_id}, which was withdrawn")
        chosen = [fate for fate in FATES if fate != "finds no drop"]
        fate = ENDS_WELL if self.is_calm else chosen[self.choose(len(chosen))]
        lag = 0 if self.is_calm else self.choose(3)
        self.log.append(
            f"run {run_id}, {decoded.operation} of {decoded.drop.load_id}, attempt {decoded.attempt}, {fate}, lag {lag}"
        )
        visible = now + timedelta(seconds=(0, 50, 600)[lag])
        listed = now + timedelta(seconds=(0, 50, 50)[lag])
        return GlueRun(
            run_id, job_name, arguments, now, visible, listed, fate, reads_dimension=self.is_dimension_loaded
        )

    def _check_that_it_was_requested(self, started: RunArguments) -> None:
        """Only a person requests another attempt where a retry cannot help: after a success or a final failure, and
        before midnight after the warehouse's daily limit.
        """
        load_id = started.drop.load_id
        for run in self.glue.runs:
            earlier = decode_run(run.arguments)
            assert earlier is not None
            if earlier.drop != started.drop or earlier.attempt != started.attempt - 1 or not run.has_reported:
                continue
            is_worth_it = run.fate in ("fails for now", "meets the limit", "finds no drop")
            if not is_worth_it or self.clock.now < self.waits_until.get(run.run_id, self.clock.now):
                self.unasked[load_id] += 1
        if self.unasked[load_id] > self.asked[load_id]:
            raise Broken(f"attempt {started.attempt} at {load_id}, which no message requested")

    def progress(self, run: GlueRun) -> None:
        """The job's next step."""
        arguments = decode_run(run.arguments)
        assert arguments is not None
        drop, archived = arguments.drop, arguments.archived
        source = archived if archived is not None else drop
        step = FATES[run.fate][run.steps]
        is_there = self.s3.version(source.bucket, source.key, source.version_id) is not None
        if run.steps == 0 and arguments.operation != RETRACT and not is_there:
            run.fate, step = "finds no drop", "report"
        run.steps += 1
        self.log.append(f"{run.run_id} {step}")
        if step == "commit":
            self._commit(arguments, run)
        elif step == "report":
            run.has_reported = True
            self._report(arguments, run)
        else:
            run.state = "SUCCEEDED" if run.fate == ENDS_WELL else "FAILED"
            detail = {"jobName": run.job_name, "jobRunId": run.run_id, "state": run.state}
            event = {"detail-type": "Glue Job State Change", "detail": detail}
            functions = ("notify", "archive") if run.state == "SUCCEEDED" else ("notify",)
            for function in functions:
                if self.choose(3) != 2:
                    self.events.append(Event(function, event))

    def _commit(self, arguments: RunArguments, run: GlueRun) -> None:
        """Load the rows. The run lists the loads that need not wait any longer, as the warehouse shows them."""
        drop = arguments.drop
        self.committed.add(drop.load_id)
        if parse_key(drop.key).kind != TRANSACTIONS:
            self.is_dimension_loaded = True
            run.awaited_by = [other for other in self.uploads if other.load_id in self.waiting]
        elif run.reads_dimension or arguments.operation == RETRACT:
            self.waiting.discard(drop.load_id)
        else:
            self.waiting.add(drop.load_id)
            # The dimension came while this run was reading.
            run.awaited_by = [drop] if self.is_dimension_loaded else []

    def _report(self, arguments: RunArguments, run: GlueRun) -> None:
        drop, attempt, is_loaded = arguments.drop, arguments.attempt, "commit" in FATES[run.fate]
        if is_loaded and arguments.operation != RETRACT:
            self.reported.add(drop.load_id)
        source = self.s3.version(drop.bucket, drop.key, drop.version_id)
        report = Report(
            load_id=drop.load_id,
            attempt=attempt,
            kind=parse_key(drop.key).kind,
            outcome=SUCCEEDED if is_loaded else FAILED,
            bucket=drop.bucket,
            key=drop.key,
            version_id=drop.version_id,
            started_at=self.clock.now.isoformat(),
            finished_at=self.clock.now.isoformat(),
            etag=source.etag.strip('"') if source else None,
            error=None if is_loaded else self._error(run),
            awaited_by=run.awaited_by,
        )
        for waiting in run.awaited_by:
            self.requests.append((f"flow_in:{drop.load_id}:{attempt}", waiting, self.clock.now))
            self.asked[waiting.load_id] += 1
        self.s3.put(WORK, report_key(drop.load_id, attempt), report.to_json().encode())

    def _error(self, run: GlueRun) -> Error:
        if run.fate == "meets the limit":
            midnight = self.clock.now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
            self.waits_until[run.run_id] = midnight
            return Error("the limit is reached", is_transient=True, type="Limit", not_before=midnight.isoformat())
        if run.fate == "finds no drop":
            error = describe(DropGone("the drop is gone"))
            return replace(error, not_before=self.clock.now.isoformat() if error.not_before else None)
        return Error("it is broken", run.fate == "fails for now", "Broken")

    # a schedule

    def play(self) -> None:
        """Run the schedule, then let all work finish, and check the properties."""
        try:
            self.upload()
            while not self.is_used_up:
                self._happen()
            self.come_to_rest()
            check(self)
            if self.schedule and self.schedule[0] % 4 == 0:
                self._expire_reports()
                for drop in self.uploads:
                    self.send_message(drop_message(drop))
                self.come_to_rest()
                check(self)
        finally:
            self.kill_the_paused()

    def _happen(self) -> None:
        happenings: list[Callable[[], None]] = []
        for message in [message for message in self.messages if message.due_at <= self.clock.now][:3]:
            happenings += [lambda message=message: self.deliver(message)] * 2
        for event in self.events[:3]:
            happenings += [lambda event=event: self.handle(event)] * 2
        for run in [run for run in self.glue.runs if run.is_live][:3]:
            happenings += [lambda run=run: self.progress(run)] * 2
        for worker in self.paused[:3]:
            happenings.append(lambda worker=worker: self.resume(worker))
        happenings += [self.sweep, lambda: self.clock.advance(20), lambda: self.clock.advance(400)]
        happenings.append(lambda: self.clock.advance(7200))
        if len(self.uploads) < len(KEYS):
            happenings += [self.upload] * 2
        if self.events:
            happenings.append(lambda: self.events.pop(0) and None)
        happenings += [self._withdraw, self._ask]
        happenings[self.choose(len(happenings))]()

    def _withdraw(self) -> None:
        drop = self.uploads[self.choose(len(self.uploads))]
        if self.choose(4) == 3 and self.s3.current(DROPS, drop.key) is not None:
            self.log.append(f"withdraw {drop.key}")
            self.s3.withdraw(DROPS, drop.key)
            for other in self.uploads:
                if other.key == drop.key:
                    self.withdrawn.setdefault(other.load_id, self.clock.now)

    def _ask(self) -> None:
        """A person replays or retracts a load, or another dimension of its waiting rows has arrived."""
        if self.choose(4) != 3:
            return
        drop = self.uploads[self.choose(len(self.uploads))]
        name = f"request-{sum(self.asked.values())}"
        asks = (replay_message, retract_message, flow_in_message)
        message = asks[self.choose(3 if parse_key(drop.key).kind == TRANSACTIONS else 1)](drop, request=name)
        self.log.append(message)
        self.asked[drop.load_id] += 1
        self.requests.append((name, drop, self.clock.now))
        self.messages.append(Message(message, self.clock.now))

    def come_to_rest(self) -> None:
        self.kill_the_paused()
        self.is_calm = True
        for number in range(60):
            for message in [message for message in self.messages if message.due_at <= self.clock.now]:
                self.deliver(message)
            while self.events or any(run.is_live for run in self.glue.runs):
                for event in list(self.events):
                    self.handle(event)
                for run in self.glue.runs:
                    while run.is_live:
                        self.progress(run)
            self.sweep()
            is_idle = not self.messages and not self.events
            if is_idle and not self.s3.keys(WORK, OPEN) and number > 0:
                self.sweep()
                if not self.messages and not self.events:
                    return
            self.clock.advance(960 if number < 30 else 7200)
        raise Broken(f"it does not come to rest: {self.messages} {self.events} {self.s3.keys(WORK, OPEN)}")

    def _expire_reports(self) -> None:
        self.clock.advance(3 * 86400)
        self.s3.buckets[WORK] = {
            key: versions for key, versions in self.s3.buckets.get(WORK, {}).items() if not key.startswith(REPORTS)
        }
