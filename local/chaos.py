"""Faults on the laptop: what happens to a drop on its way is its fate, drawn from a seed and the drop's key.

Every fault is done at one of the laptop's seams (a delivery, a request to AWS, a statement
to the warehouse), is one that AWS itself may do, and is counted. None is more than the
pipeline promises to bear: no attempt is killed that is the last one, and nobody dies
between the note that a mail is being sent and the mail (lambdas/notifier.py says why).
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

from local.event_router import Delivery, deliver_once
from local.fault_points import JOB, FaultPoint, FaultPoints
from local.iam_middleware import Refused
from local.local_cloud import LocalCloud
from schemas.drops import TRANSACTIONS, Drop, parse_key

STAGES = ("start_run", "notify", "archive", "sweep")

DOUBLED, DELAYED, LOST = "events delivered twice", "events delayed", "object events lost"
UNTOLD = "Glue events lost"
THROTTLED = "starts throttled"
JOB_KILLED = "jobs killed"
CUT = "connections to the warehouse cut"
STAGE_KILLED, STAGE_REFUSED = "functions killed", "functions failed once"
CORRECTED = "files corrected while they were loaded"
FAULTS = (DOUBLED, DELAYED, LOST, UNTOLD, THROTTLED, JOB_KILLED, CUT, STAGE_KILLED, STAGE_REFUSED, CORRECTED)

# A message may come five times before it goes to the dead-letter queue, and one batch holds many drops.
_START_RUN_FAULTS = 3
# How many requests and statements, each before and after, an attempt and an invocation have at most.
_MOMENTS_OF_AN_ATTEMPT, _MOMENTS_OF_AN_INVOCATION = 90, 14


@dataclass(frozen=True)
class FaultPlan:
    """What happens to one drop."""

    object_event: tuple[float, ...] = (0.0,)
    """After how many seconds S3's event comes, once for each."""
    run_event: tuple[float, ...] = (0.0,)
    """The same for Glue's event about the first run."""
    throttled: int = 0
    """How often Glue is full when a run is to be started."""
    killed_at: tuple[int, ...] = ()
    """At which of its moments each attempt is killed, the first attempt first; 0: it is not."""
    cut_at: int = 0
    """At which statement of the first attempt the connection is cut, before and after each counted; 0: it is not."""
    stage_killed_at: Mapping[str, int] = field(default_factory=dict)
    """At which of its moments with this drop in hand a function is killed."""
    stage_refused_at: Mapping[str, int] = field(default_factory=dict)
    """Which of its requests with this drop in hand a function is refused."""
    is_corrected: bool = False
    """While it is being loaded, the corrected file is dropped under the same key."""


def draw_fault_plan(seed: int, key: str) -> FaultPlan:
    """The fate of a drop; the same for the same seed and key."""
    chance = random.Random(f"{seed} {key}")

    def event(lost: float) -> tuple[float, ...]:
        kind = chance.random()
        if kind < lost:
            return ()
        count = 2 if kind < lost + 0.3 else 1
        return tuple(round(chance.choice((0.0, chance.uniform(0.1, 1.5))), 2) for _ in range(count))

    def some_stages(share: float) -> dict[str, int]:
        return {stage: chance.randint(1, _MOMENTS_OF_AN_INVOCATION) for stage in STAGES if chance.random() < share}

    return FaultPlan(
        object_event=event(0.15),
        run_event=event(0.25),
        throttled=chance.choice((0, 0, 1, 2)),
        killed_at=tuple(chance.choice((0, chance.randint(1, _MOMENTS_OF_AN_ATTEMPT))) for _ in range(2)),
        cut_at=chance.choice((0, chance.randint(1, 30))),
        stage_killed_at=some_stages(0.35),
        stage_refused_at=some_stages(0.35),
        is_corrected=parse_key(key).kind == TRANSACTIONS and chance.random() < 0.3,
    )


@dataclass
class _Subject:
    """A drop and what has happened to it so far."""

    drop: Drop
    fate: FaultPlan
    content: bytes
    corrected: bool = False
    run_events: int = 0
    throttled: int = 0
    moments: Counter[object] = field(default_factory=Counter)


@dataclass
class Chaos(AbstractContextManager["Chaos"]):
    """Disturbs a laptop while the `with` block runs; whoever drops files drops them with `put`."""

    laptop: LocalCloud
    seed: int = 0
    done: Counter[str] = field(default_factory=Counter)
    """How often each of FAULTS was done."""
    drops: list[Drop] = field(default_factory=list)
    """Everything that was put, corrected files too."""
    _subjects: dict[str, _Subject] = field(default_factory=dict)
    _object_events: dict[str, tuple[float, ...]] = field(default_factory=dict)
    _start_run_faults: int = 0
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def __post_init__(self) -> None:
        self._moments = FaultPoints(self.laptop, self._look)

    def __enter__(self) -> Chaos:
        self.laptop.router.delivery_policy = self._meddle
        self._moments.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._moments.__exit__(kind, error, trace)
        self.laptop.router.delivery_policy = deliver_once

    def put(self, key: str, content: bytes, fate: FaultPlan | None = None) -> Drop:
        """Drop a file that meets this fate, or the one drawn from the seed.

        One that is corrected while it is loaded is dropped with wrong quantities first.
        """
        fate = fate or draw_fault_plan(self.seed, key)
        first = with_wrong_quantities(content) if fate.is_corrected else content
        # Whoever comes to a moment waits until the drop is known; its event may be on its way before that.
        with self._lock:
            self._object_events[key] = fate.object_event
            bucket = self.laptop.outputs["drop_bucket"]
            version = self.laptop.client("s3").put_object(Bucket=bucket, Key=key, Body=first)["VersionId"]
            drop = Drop(bucket, key, version)
            self._subjects[drop.load_id] = _Subject(drop, fate, content)
            self.drops.append(drop)
        return drop

    @property
    def total(self) -> int:
        return sum(self.done.values())

    def _count(self, fault: str) -> None:
        with self._lock:
            self.done[fault] += 1

    def _meddle(self, delivery: Delivery) -> Sequence[float]:
        if delivery.kind == "object event" and delivery.to == self.laptop.outputs["drop_bucket"]:
            return self._delivered(self._object_events.get(delivery.about, (0.0,)), lost=LOST)
        if delivery.kind == "run event":
            with self._lock:
                subject = self._subjects.get(str(self._moments.load_of(delivery.about)[0]))
                if subject is None or subject.run_events:
                    return (0.0,)
                subject.run_events += 1
            return self._delivered(subject.fate.run_event, lost=UNTOLD)
        return (0.0,)

    def _delivered(self, delays: Sequence[float], *, lost: str) -> Sequence[float]:
        # Counted without the lock of `put`, which waits for S3's event to be taken.
        if not delays:
            self.done[lost] += 1
        if len(delays) > 1:
            self.done[DOUBLED] += 1
        if any(delays):
            self.done[DELAYED] += 1
        return delays

    def _look(self, moment: FaultPoint) -> None:
        with self._lock:
            subject = self._subject_of(moment)
        if subject is None:
            return
        if moment.who == JOB:
            if subject.fate.is_corrected and not moment.what.startswith("GetObject"):
                self._correct(subject)
            self._strike_job(subject, moment)
        else:
            self._throttle(subject, moment)
            self._strike_stage(subject, moment)

    def _subject_of(self, moment: FaultPoint) -> _Subject | None:
        if moment.load_id in self._subjects:
            return self._subjects[moment.load_id]
        if moment.load_id is not None or moment.who == JOB:
            return None
        named = [one for one in self._subjects.values() if one.drop.version_id in moment.what]
        named += [one for one in self._subjects.values() if f"{one.drop.bucket}/{one.drop.key}" in moment.what]
        return named[0] if named else None

    def _correct(self, subject: _Subject) -> None:
        """Drop the right file under the same key; the job that loads the wrong one waits for it."""
        with self._lock:
            if subject.corrected:
                return
            subject.corrected = True
        s3, drop = self.laptop.client("s3"), subject.drop
        head = s3.head_object(Bucket=drop.bucket, Key=drop.key, VersionId=drop.version_id)
        # S3's times have whole seconds, and the later upload wins.
        while int(datetime.now(UTC).timestamp()) <= int(head["LastModified"].timestamp()):
            time.sleep(0.02)
        self.put(drop.key, subject.content, FaultPlan())
        self._count(CORRECTED)

    def _strike_job(self, subject: _Subject, moment: FaultPoint) -> None:
        assert moment.attempt is not None
        fate = subject.fate
        with self._lock:
            subject.moments[moment.attempt] += 1
            at = subject.moments[moment.attempt]
            statements = subject.moments["statements"] = subject.moments["statements"] + moment.is_statement
        if moment.is_statement and moment.attempt == 1 and statements == fate.cut_at:
            self._count(CUT)
            moment.break_off()
        if moment.attempt <= len(fate.killed_at) and fate.killed_at[moment.attempt - 1] == at:
            self._count(JOB_KILLED)
            moment.kill()

    def _throttle(self, subject: _Subject, moment: FaultPoint) -> None:
        if not moment.what.startswith("StartJobRun") or moment.is_done:
            return
        with self._lock:
            if subject.throttled == subject.fate.throttled:
                return
            subject.throttled += 1
            self.done[THROTTLED] += 1
        raise Refused("ThrottlingException", "Rate exceeded")

    def _strike_stage(self, subject: _Subject, moment: FaultPoint) -> None:
        who, fate = moment.who, subject.fate
        with self._lock:
            subject.moments[who] += 1
            is_killed = subject.moments[who] == fate.stage_killed_at.get(who) and not _is_undecidable(moment)
            if not moment.is_done:
                subject.moments[who, "requests"] += 1
            is_refused = not moment.is_done and subject.moments[who, "requests"] == fate.stage_refused_at.get(who)
            if (is_killed or is_refused) and who == "start_run":
                self._start_run_faults += 1
                if self._start_run_faults > _START_RUN_FAULTS:
                    return
        if is_killed:
            self._count(STAGE_KILLED)
            moment.kill()
        if is_refused:
            self._count(STAGE_REFUSED)
            moment.break_off()


def _is_undecidable(moment: FaultPoint) -> bool:
    """Between the note that a mail is being sent and the mail nobody may die, for nobody would know whether it went."""
    is_noted = moment.what.startswith("PutObject") and ".sending.json" in moment.what and moment.is_done
    return is_noted or (moment.what.startswith("Publish") and not moment.is_done)


def with_wrong_quantities(content: bytes) -> bytes:
    """The file as somebody sent it by mistake: plain small quantities are other ones, everything else is the same."""
    lines = content.splitlines(keepends=True)
    header = lines[0].rstrip(b"\r\n").split(b",") if lines else []
    names = [name.strip().strip(b'"').lower() for name in header]
    if b"quantity" not in names:
        return content
    at = names.index(b"quantity")

    def wrong(line: bytes) -> bytes:
        cells = line.split(b",")
        quantity = cells[at].rstrip(b"\r\n") if len(cells) == len(names) else b""
        # A larger quantity stays one that its column and its amount can hold.
        if b'"' in line or not (quantity.isdigit() and 0 < int(quantity) <= 999):
            return line
        cells[at] = cells[at].replace(quantity, str(int(quantity) % 999 + 1).encode())
        return b",".join(cells)

    return b"".join([lines[0], *map(wrong, lines[1:])])
