"""Fault injection: each drop has a plan of faults, drawn from a seed and the drop's key.

A fault happens at a delivery, a request to AWS or a statement to the warehouse. AWS itself
may cause each of them, and each is counted. The pipeline promises to survive them all. So two
are left out: the last attempt is never killed, and no process dies between the note that a
mail is being sent and the mail (lambdas/notifier.py explains this).
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import TracebackType

from local.api.iam_middleware import Refused
from local.faults.fault_points import JOB, FaultPoint, FaultPoints
from local.local_cloud import LocalCloud
from local.runtime.event_router import Delivery, deliver_once
from schemas.drops import TRANSACTIONS, Drop, parse_key

FUNCTIONS = ("start_run", "notify", "archive", "sweep")

DOUBLED, DELAYED, LOST = "events delivered twice", "events delayed", "object events lost"
RUN_EVENT_LOST = "Glue events lost"
THROTTLED = "starts throttled"
JOB_KILLED = "jobs killed"
CUT = "connections to the warehouse cut"
FUNCTION_KILLED, FUNCTION_REFUSED = "functions killed", "functions failed once"
CORRECTED = "files corrected while they were loaded"
FAULTS = (
    *(DOUBLED, DELAYED, LOST, RUN_EVENT_LOST, THROTTLED, JOB_KILLED, CUT),
    *(FUNCTION_KILLED, FUNCTION_REFUSED, CORRECTED),
)

# A message is delivered at most five times before it goes to the dead-letter queue, and one batch has many drops.
_START_RUN_FAULTS = 3
# The largest number of fault points of an attempt and of an invocation.
_POINTS_OF_AN_ATTEMPT, _POINTS_OF_AN_INVOCATION = 90, 14


@dataclass(frozen=True)
class FaultPlan:
    """The faults that are injected for one drop."""

    object_event: tuple[float, ...] = (0.0,)
    """The delays of S3's event, in seconds; several repeat it, and none loses it."""
    run_event: tuple[float, ...] = (0.0,)
    """The delays of Glue's event of the first run, in the same form."""
    throttled: int = 0
    """The number of requests to start a run that are throttled."""
    killed_at: tuple[int, ...] = ()
    """The number of the point at which each attempt is killed, in the order of attempts; 0 for none."""
    cut_at: int = 0
    """The number of the statement's point at which the first attempt loses its connection; 0 for none."""
    function_killed_at: Mapping[str, int] = field(default_factory=dict)
    """Function -> the number of the point, among those about this drop, at which it is killed."""
    function_refused_at: Mapping[str, int] = field(default_factory=dict)
    """Function -> the number of the request, among those about this drop, that is refused."""
    is_corrected: bool = False
    """True when the corrected file is uploaded under the same key while the drop is being loaded."""


def draw_fault_plan(seed: int, key: str) -> FaultPlan:
    """The fault plan of a drop; equal seeds and keys give equal plans."""
    chance = random.Random(f"{seed} {key}")

    def event(lost: float) -> tuple[float, ...]:
        kind = chance.random()
        if kind < lost:
            return ()
        count = 2 if kind < lost + 0.3 else 1
        return tuple(round(chance.choice((0.0, chance.uniform(0.1, 1.5))), 2) for _ in range(count))

    def some_functions(share: float) -> dict[str, int]:
        return {name: chance.randint(1, _POINTS_OF_AN_INVOCATION) for name in FUNCTIONS if chance.random() < share}

    return FaultPlan(
        object_event=event(0.15),
        run_event=event(0.25),
        throttled=chance.choice((0, 0, 1, 2)),
        killed_at=tuple(chance.choice((0, chance.randint(1, _POINTS_OF_AN_ATTEMPT))) for _ in range(2)),
        cut_at=chance.choice((0, chance.randint(1, 30))),
        function_killed_at=some_functions(0.35),
        function_refused_at=some_functions(0.35),
        is_corrected=parse_key(key).kind == TRANSACTIONS and chance.random() < 0.3,
    )


@dataclass
class _Subject:
    """A drop, its plan, and the faults and points so far."""

    drop: Drop
    plan: FaultPlan
    content: bytes
    corrected: bool = False
    run_events: int = 0
    throttled: int = 0
    points: Counter[object] = field(default_factory=Counter)


@dataclass
class Chaos(AbstractContextManager["Chaos"]):
    """Injects faults while the `with` block runs; files are dropped with `put`."""

    cloud: LocalCloud
    seed: int = 0
    done: Counter[str] = field(default_factory=Counter)
    """The number of times that each of FAULTS was injected."""
    drops: list[Drop] = field(default_factory=list)
    """All uploads, corrected files included."""
    _subjects: dict[str, _Subject] = field(default_factory=dict)
    _object_events: dict[str, tuple[float, ...]] = field(default_factory=dict)
    _start_run_faults: int = 0
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def __post_init__(self) -> None:
        self._points = FaultPoints(self.cloud, self._look)

    def __enter__(self) -> Chaos:
        self.cloud.router.delivery_policy = self._delivery_policy
        self._points.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._points.__exit__(kind, error, trace)
        self.cloud.router.delivery_policy = deliver_once

    def put(self, key: str, content: bytes, plan: FaultPlan | None = None) -> Drop:
        """Upload a file with this plan of faults, or with one that is drawn from the seed.

        Where the plan corrects the file during its load, the first upload has wrong quantities.
        """
        plan = plan or draw_fault_plan(self.seed, key)
        first = with_wrong_quantities(content) if plan.is_corrected else content
        # The event may be delivered before the drop is known, so its plan is stored first.
        with self._lock:
            self._object_events[key] = plan.object_event
            bucket = self.cloud.outputs["drop_bucket"]
            version = self.cloud.client("s3").put_object(Bucket=bucket, Key=key, Body=first)["VersionId"]
            drop = Drop(bucket, key, version)
            self._subjects[drop.load_id] = _Subject(drop, plan, content)
            self.drops.append(drop)
        return drop

    @property
    def total(self) -> int:
        return sum(self.done.values())

    def _count(self, fault: str) -> None:
        with self._lock:
            self.done[fault] += 1

    def _delivery_policy(self, delivery: Delivery) -> Sequence[float]:
        if delivery.kind == "object event" and delivery.to == self.cloud.outputs["drop_bucket"]:
            return self._delivered(self._object_events.get(delivery.about, (0.0,)), lost=LOST)
        if delivery.kind == "run event":
            with self._lock:
                subject = self._subjects.get(str(self._points.load_of(delivery.about)[0]))
                if subject is None or subject.run_events:
                    return (0.0,)
                subject.run_events += 1
            return self._delivered(subject.plan.run_event, lost=RUN_EVENT_LOST)
        return (0.0,)

    def _delivered(self, delays: Sequence[float], *, lost: str) -> Sequence[float]:
        # Without the lock: `put` holds it until S3's event is taken.
        if not delays:
            self.done[lost] += 1
        if len(delays) > 1:
            self.done[DOUBLED] += 1
        if any(delays):
            self.done[DELAYED] += 1
        return delays

    def _look(self, point: FaultPoint) -> None:
        with self._lock:
            subject = self._subject_of(point)
        if subject is None:
            return
        if point.who == JOB:
            if subject.plan.is_corrected and not point.what.startswith("GetObject"):
                self._correct(subject)
            self._strike_job(subject, point)
        else:
            self._throttle(subject, point)
            self._strike_function(subject, point)

    def _subject_of(self, point: FaultPoint) -> _Subject | None:
        if point.load_id in self._subjects:
            return self._subjects[point.load_id]
        if point.load_id is not None or point.who == JOB:
            return None
        named = [known for known in self._subjects.values() if known.drop.version_id in point.what]
        named += [known for known in self._subjects.values() if f"{known.drop.bucket}/{known.drop.key}" in point.what]
        return named[0] if named else None

    def _correct(self, subject: _Subject) -> None:
        """Upload the correct file under the same key, while the job that loads the wrong one waits."""
        with self._lock:
            if subject.corrected:
                return
            subject.corrected = True
        s3, drop = self.cloud.client("s3"), subject.drop
        head = s3.head_object(Bucket=drop.bucket, Key=drop.key, VersionId=drop.version_id)
        # S3's times have whole seconds, and the later upload wins.
        while int(datetime.now(UTC).timestamp()) <= int(head["LastModified"].timestamp()):
            time.sleep(0.02)
        self.put(drop.key, subject.content, FaultPlan())
        self._count(CORRECTED)

    def _strike_job(self, subject: _Subject, point: FaultPoint) -> None:
        assert point.attempt is not None
        plan = subject.plan
        with self._lock:
            subject.points[point.attempt] += 1
            at = subject.points[point.attempt]
            statements = subject.points["statements"] = subject.points["statements"] + point.is_statement
        if point.is_statement and point.attempt == 1 and statements == plan.cut_at:
            self._count(CUT)
            point.break_off()
        if point.attempt <= len(plan.killed_at) and plan.killed_at[point.attempt - 1] == at:
            self._count(JOB_KILLED)
            point.kill()

    def _throttle(self, subject: _Subject, point: FaultPoint) -> None:
        if not point.what.startswith("StartJobRun") or point.is_done:
            return
        with self._lock:
            if subject.throttled == subject.plan.throttled:
                return
            subject.throttled += 1
            self.done[THROTTLED] += 1
        raise Refused("ThrottlingException", "Rate exceeded")

    def _strike_function(self, subject: _Subject, point: FaultPoint) -> None:
        who, plan = point.who, subject.plan
        with self._lock:
            subject.points[who] += 1
            is_killed = subject.points[who] == plan.function_killed_at.get(who) and not _is_undecidable(point)
            if not point.is_done:
                subject.points[who, "requests"] += 1
            is_refused = not point.is_done and subject.points[who, "requests"] == plan.function_refused_at.get(who)
            if (is_killed or is_refused) and who == "start_run":
                self._start_run_faults += 1
                if self._start_run_faults > _START_RUN_FAULTS:
                    return
        if is_killed:
            self._count(FUNCTION_KILLED)
            point.kill()
        if is_refused:
            self._count(FUNCTION_REFUSED)
            point.break_off()


def _is_undecidable(point: FaultPoint) -> bool:
    """True between the note that a mail is being sent and the mail: after a death there, its sending is unknown."""
    is_noted = point.what.startswith("PutObject") and ".sending.json" in point.what and point.is_done
    return is_noted or (point.what.startswith("Publish") and not point.is_done)


def with_wrong_quantities(content: bytes) -> bytes:
    """The file with wrong quantities; only plain quantities up to 999 change."""
    lines = content.splitlines(keepends=True)
    header = lines[0].rstrip(b"\r\n").split(b",") if lines else []
    names = [name.strip().strip(b'"').lower() for name in header]
    if b"quantity" not in names:
        return content
    at = names.index(b"quantity")

    def wrong(line: bytes) -> bytes:
        cells = line.split(b",")
        quantity = cells[at].rstrip(b"\r\n") if len(cells) == len(names) else b""
        # A larger quantity stays as it is, since its amount must fit its column.
        if b'"' in line or not (quantity.isdigit() and 0 < int(quantity) <= 999):
            return line
        cells[at] = cells[at].replace(quantity, str(int(quantity) % 999 + 1).encode())
        return b",".join(cells)

    return b"".join([lines[0], *map(wrong, lines[1:])])
