"""One schedule: what happens to up to three drops, byte by byte, and what must hold whatever happened.

A schedule is a string of bytes. Each decision takes the next byte: what happens next, and
how the worker that is making a call is disturbed. When the bytes are used up nothing
disturbs any more, and everything must settle. The workers are the functions' own handlers.
"""

from __future__ import annotations

import json
import re
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from botocore.exceptions import ReadTimeoutError

from schemas.drops import TRANSACTIONS, Drop
from schemas.messages import drop_message, replay_message
from schemas.reports import FAILED, SUCCEEDED, Error, Report
from schemas.runs import RunArguments, decode_run
from schemas.work_bucket import OPEN, REPORTS, deferred_key, notified_stem, report_key, sent_key
from tests.model.memory_aws import S3, Clock, Glue, GlueRun, refusal

DROPS, WORK, ARCHIVE = "drops", "work", "archive"
KEYS = (
    "transactions/year=2026/month=03/day=01/a.csv",
    "transactions/year=2026/month=03/day=01/a.csv",
    "transactions/year=2026/month=03/day=01/b.csv",
)
FATES = {
    "succeeds": ("commit", "report", "end"),
    "fails": ("report", "end"),
    "fails for now": ("report", "end"),
    "dies": ("end",),
    "dies after its commit": ("commit", "end"),
    "dies after its report": ("commit", "report", "end"),
}
ENDS_WELL = "succeeds"
DISTURBANCES = ("pause", "kill", "kill after", "lose answer", "refuse", "conflict", "a run ends meanwhile")
DELIVERIES = 5
"""How often SQS delivers a message before it goes to the dead-letter queue."""
LAMBDA_TRIES = 3
_LOAD = re.compile(r"\bload +([0-9a-f]{16}), attempt ([0-9]+)")


class Killed(BaseException):
    """The worker's process ended here."""


class Broken(BaseException):
    """What must hold does not: no handler may catch it."""


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


@dataclass
class Worker:
    """One invocation in a thread of its own, so that it can be stopped anywhere."""

    work: Callable[[], None]
    done: Callable[[bool], None]
    deadline: Any
    may_run: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    has_stopped: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    is_over: bool = False
    is_dead: bool = False
    failure: BaseException | None = None


@dataclass
class World:
    schedule: bytes
    functions: Mapping[str, Callable[[dict[str, Any]], Any]]
    is_calm: bool = False
    place: int = 0
    gap: int = 20
    trap: str | None = None
    clock: Clock = field(default_factory=Clock)
    messages: list[Message] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    paused: list[Worker] = field(default_factory=list)
    running: Worker | None = None
    uploads: list[Drop] = field(default_factory=list)
    withdrawn: dict[str, Any] = field(default_factory=dict)
    """The load ids of deleted files, and since when."""
    committed: set[str] = field(default_factory=set)
    replays: Counter[str] = field(default_factory=Counter)
    """How often a person asked for another attempt at a load."""
    unasked: Counter[str] = field(default_factory=Counter)
    """How many attempts followed one that had said the last word."""
    mails: list[tuple[str, int]] = field(default_factory=list)
    dead_letters: int = 0
    log: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.s3 = S3(self.clock, self.before, self.after, self.conflicts)
        self.glue = Glue(self.clock, self.before, self.after, self.new_run)

    # decisions

    def choose(self, options: int) -> int:
        if self.place >= len(self.schedule):
            return 0
        self.place += 1
        return self.schedule[self.place - 1] % options

    @property
    def is_used_up(self) -> bool:
        return self.place >= len(self.schedule)

    def before(self, call: str) -> None:
        """A worker is about to make this call."""
        self.clock.advance(0.05)
        worker = self.running
        if worker is None or self.is_calm:
            return
        if worker.is_dead:
            raise Killed(call)
        self.gap -= 1
        if self.gap > 0 or self.is_used_up:
            return
        self.gap = 1 + self.choose(48)
        disturbance = DISTURBANCES[self.choose(len(DISTURBANCES))]
        self.log.append(f"{disturbance} at {call}")
        if disturbance == "pause":
            self._pause(worker, call)
        elif disturbance == "a run ends meanwhile":
            for run in [run for run in self.glue.runs if run.is_live][:1]:
                while run.is_live:
                    self.progress(run)
        elif disturbance == "kill":
            raise Killed(call)
        elif disturbance == "refuse":
            raise refusal(call.partition(" ")[0], "ThrottlingException", 400)
        else:
            self.trap = disturbance

    def after(self, call: str) -> None:
        """The call has taken effect; its answer is on the way."""
        trap, self.trap = self.trap, None
        if trap == "kill after":
            raise Killed(call)
        if trap == "lose answer":
            raise ReadTimeoutError(endpoint_url=call)

    def conflicts(self) -> bool:
        is_one = self.trap == "conflict"
        if is_one:
            self.trap = None
        return is_one

    def _pause(self, worker: Worker, call: str) -> None:
        worker.has_stopped.release()
        worker.may_run.acquire()
        if worker.is_dead:
            raise Killed(call)

    # workers

    def invoke(self, work: Callable[[], None], done: Callable[[bool], None], *, seconds: float = 60) -> None:
        """Let a function work until it is over, dies, or is stopped in the middle."""
        worker = Worker(work, done, self.clock.now + timedelta(seconds=seconds))
        if self.is_calm:
            self._run(worker)
            return
        threading.Thread(target=self._run, args=(worker,), daemon=True).start()
        self._let_run(worker)

    def resume(self, worker: Worker) -> None:
        self.paused.remove(worker)
        # Lambda ends an invocation that takes too long.
        worker.is_dead = self.clock.now > worker.deadline
        self._let_run(worker)

    def _let_run(self, worker: Worker) -> None:
        self.running = worker
        worker.may_run.release()
        worker.has_stopped.acquire()
        self.running = None
        self.trap = None
        if isinstance(worker.failure, Broken):
            raise worker.failure
        if not worker.is_over:
            self.paused.append(worker)

    def _run(self, worker: Worker) -> None:
        if not self.is_calm:
            worker.may_run.acquire()
        is_done = False
        try:
            worker.work()
            is_done = True
        except Broken as broken:
            worker.failure = broken
        except (Exception, Killed) as failure:
            self.log.append(f"failed: {type(failure).__name__} {failure}"[:200])
        worker.is_over = True
        worker.done(is_done)
        if self.is_calm and worker.failure is not None:
            raise worker.failure
        worker.has_stopped.release()

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
            # At least once: a message that was handled may come again.
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
        told = (match.group(1), int(match.group(2)))
        self.log.append(f"mail {told}")
        if told in self.mails:
            raise Broken(f"a second mail about attempt {told[1]} at {told[0]}")
        self.mails.append(told)
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
        self._check_that_somebody_asked(decoded)
        withdrawn_at = self.withdrawn.get(decoded.drop.load_id)
        is_archived = decoded.archived is not None or decoded.drop.load_id in self.committed
        # A starter that had looked at the drop before may still start the run.
        if withdrawn_at is not None and (now - withdrawn_at).total_seconds() > 60 and not is_archived:
            raise Broken(f"a run of {decoded.drop.load_id}, which was withdrawn")
        fate = ENDS_WELL if self.is_calm else list(FATES)[self.choose(len(FATES))]
        lag = 0 if self.is_calm else self.choose(3)
        self.log.append(f"run {run_id} of {decoded.drop.load_id} attempt {decoded.attempt}, it {fate}, lag {lag}")
        visible = now + timedelta(seconds=(0, 50, 600)[lag])
        listed = now + timedelta(seconds=(0, 50, 50)[lag])
        return GlueRun(run_id, job_name, arguments, now, visible, listed, fate)

    def _check_that_somebody_asked(self, started: RunArguments) -> None:
        """Only a person has another attempt made after a success, or after a failure that a retry cannot help."""
        load_id = started.drop.load_id
        for run in self.glue.runs:
            earlier = decode_run(run.arguments)
            assert earlier is not None
            is_before = earlier.drop == started.drop and earlier.attempt == started.attempt - 1
            if is_before and run.has_reported and run.fate != "fails for now":
                self.unasked[load_id] += 1
        if self.unasked[load_id] > self.replays[load_id]:
            raise Broken(f"attempt {started.attempt} at {load_id}, which nobody asked for")

    def progress(self, run: GlueRun) -> None:
        """The job's next step."""
        arguments = decode_run(run.arguments)
        assert arguments is not None
        drop, archived = arguments.drop, arguments.archived
        source = archived if archived is not None else drop
        step = FATES[run.fate][run.steps]
        if run.steps == 0 and self.s3.version(source.bucket, source.key, source.version_id) is None:
            run.fate, step = "fails", "report"
        run.steps += 1
        self.log.append(f"{run.run_id} {step}")
        if step == "commit":
            self.committed.add(drop.load_id)
        elif step == "report":
            run.has_reported = True
            self._report(drop, arguments.attempt, run.fate)
        else:
            run.state = "SUCCEEDED" if run.fate == ENDS_WELL else "FAILED"
            detail = {"jobName": run.job_name, "jobRunId": run.run_id, "state": run.state}
            event = {"detail-type": "Glue Job State Change", "detail": detail}
            functions = ("notify", "archive") if run.state == "SUCCEEDED" else ("notify",)
            for function in functions:
                if self.choose(3) != 2:
                    self.events.append(Event(function, event))

    def _report(self, drop: Drop, attempt: int, fate: str) -> None:
        is_loaded = "commit" in FATES[fate]
        source = self.s3.version(drop.bucket, drop.key, drop.version_id)
        report = Report(
            load_id=drop.load_id,
            attempt=attempt,
            kind=TRANSACTIONS,
            outcome=SUCCEEDED if is_loaded else FAILED,
            bucket=drop.bucket,
            key=drop.key,
            version_id=drop.version_id,
            started_at=self.clock.now.isoformat(),
            finished_at=self.clock.now.isoformat(),
            etag=source.etag.strip('"') if source else None,
            error=None if is_loaded else Error("it is broken", fate == "fails for now", "Broken"),
        )
        self.s3.put(WORK, report_key(drop.load_id, attempt), report.to_json().encode())

    # a schedule

    def play(self) -> None:
        """Play the schedule, then let everything come to rest, and check what must hold."""
        try:
            self.upload()
            while not self.is_used_up:
                self._happen()
            self.come_to_rest()
            self.check()
            if self.schedule and self.schedule[0] % 4 == 0:
                self._expire_reports()
                for drop in self.uploads:
                    self.send_message(drop_message(drop))
                self.come_to_rest()
                self.check()
        finally:
            self._bury()

    def _bury(self) -> None:
        for worker in list(self.paused):
            worker.is_dead = True
            self.paused.remove(worker)
            self._let_run(worker)

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
        happenings += [self._withdraw, self._replay]
        happenings[self.choose(len(happenings))]()

    def _withdraw(self) -> None:
        drop = self.uploads[self.choose(len(self.uploads))]
        if self.choose(4) == 3 and self.s3.current(DROPS, drop.key) is not None:
            self.log.append(f"withdraw {drop.key}")
            # S3's times have whole seconds: a marker of the upload's own second proves nothing once it is covered.
            self.clock.advance(1)
            self.s3.withdraw(DROPS, drop.key)
            for other in self.uploads:
                if other.key == drop.key:
                    self.withdrawn.setdefault(other.load_id, self.clock.now)

    def _replay(self) -> None:
        if self.choose(4) == 3:
            self.log.append("a person replays")
            drop = self.uploads[self.choose(len(self.uploads))]
            self.replays[drop.load_id] += 1
            self.messages.append(Message(replay_message(drop), self.clock.now))

    def come_to_rest(self) -> None:
        self._bury()
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

    def check(self) -> None:
        """What must hold once everything has come to rest."""
        for drop in self.uploads:
            attempts = [
                arguments.attempt
                for run in self.glue.runs
                if (arguments := decode_run(run.arguments)) is not None and arguments.drop == drop
            ]
            if not attempts and drop.load_id not in self.withdrawn:
                raise Broken(f"{drop.load_id} was never started")
            if attempts != list(range(1, len(attempts) + 1)):
                raise Broken(f"attempts at {drop.load_id} are {attempts}")
            for attempt in attempts:
                if not self._was_mailed(drop.load_id, attempt) and not (
                    self._was_deferred(drop.load_id, attempt) and attempt < attempts[-1]
                ):
                    raise Broken(f"nobody was told of attempt {attempt} at {drop.load_id}")
        self._check_archive()

    def _was_mailed(self, load_id: str, attempt: int) -> bool:
        # A sender that died while sending leaves a note instead of a second mail.
        note = self.s3.current(WORK, sent_key(notified_stem(load_id, attempt)))
        is_undecided = note is not None and b"undecided" in note.body
        return (load_id, attempt) in self.mails or is_undecided

    def _was_deferred(self, load_id: str, attempt: int) -> bool:
        return self.s3.current(WORK, deferred_key(load_id, attempt)) is not None

    def _check_archive(self) -> None:
        held = self.s3.buckets.get(ARCHIVE, {})
        archived = Counter(version.metadata["load-id"] for versions in held.values() for version in versions)
        reported = {drop.load_id for drop in self.uploads if self._is_reported(drop)}
        for load_id in reported | set(archived):
            if archived[load_id] != 1:
                raise Broken(f"the archive has {archived[load_id]} copies of {load_id}")
        for drop in self.uploads:
            if drop.load_id in reported and self.s3.version(DROPS, drop.key, drop.version_id) is not None:
                raise Broken(f"{drop.load_id} is loaded and still in the drop bucket")
        for key, versions in held.items():
            newest = [drop.load_id for drop in self.uploads if drop.key == key and drop.load_id in archived][-1]
            if versions[-1].metadata["load-id"] != newest:
                raise Broken(f"the newest upload of {key} is not the archive's current object")

    def _is_reported(self, drop: Drop) -> bool:
        return any(
            b'"outcome": "succeeded"' in versions[-1].body
            for key, versions in self.s3.buckets.get(WORK, {}).items()
            if key.startswith(f"{REPORTS}{drop.load_id}/")
        )
