"""All drops are alike except for day and ids. The first is undisturbed, and all others must end in its state."""

from __future__ import annotations

import hashlib
import re
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from local.api.iam_middleware import Refused
from local.faults.fault_points import JOB, FaultPoint, FaultPoints
from local.local_cloud import LocalCloud
from local.runtime.event_router import Delivery
from schemas.drops import Drop, transactions_key
from schemas.runs import decode_run
from schemas.warehouse.tables import LOAD_LEDGER
from tests.faults.model import Dropped, dropped, in_bucket, keys_in, rows_of
from tests.faults.points import Point
from tests.local.local_clouds import transactions

FIRST_DAY = date(2023, 1, 1)
IN_PEACE = Point("in peace")
_SETTLED_WITHIN_SECONDS = 600
_MAY_DIFFER = ("attempt", "started_at", "committed_at", "uploaded_at")


@dataclass
class Trial:
    """A drop, and the point at which the process that handles it is killed."""

    point: Point
    number: int
    file: Dropped
    kills: int = 0
    was_throttled: bool = False
    event_lost: bool = False
    came_again: threading.Event = field(default_factory=threading.Event)
    """Set when the message has been delivered again to a running `start_run`."""

    @property
    def drop(self) -> Drop:
        return self.file.drop

    @property
    def kills_due(self) -> int:
        return len(self.point.blows) + (self.point.step is not None)

    @property
    def faults(self) -> int:
        return self.kills + self.was_throttled + self.event_lost

    @property
    def is_through(self) -> bool:
        """True when all planned faults have happened to it."""
        return (self.kills, self.event_lost, self.was_throttled) == (
            self.kills_due,
            self.point.loses_run_event,
            self.point.waits_first,
        )


def day_of(number: int) -> date:
    return FIRST_DAY + timedelta(days=number)


def content_of(number: int) -> bytes:
    """The file of one trial: three ids, one of them twice, and two rows that are rejected."""
    day, own = day_of(number), f"K{number:04}"
    return transactions(
        f"{own}-1,C12345,P12345,3,{day},Completed",
        f"{own}-2,C12345,P12345,41,{day}T10:00:00Z,shipped",
        f"{own}-3,C12345,P12345,1,{day},pending",
        f"{own}-3,C12345,P12345,1,{day},delivered",
        f"{own}-4,C12345,nobody's,1,{day},pending",
        f"{own}-5,C12345,P12345,none,{day},pending",
    )


@dataclass
class Crashes:
    """Kills each process that reaches a trial's point, once for each blow."""

    cloud: LocalCloud
    first: int
    """The number of the first trial."""
    trials: list[Trial] = field(default_factory=list)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def drop(self, point: Point) -> Trial:
        number = self.first + len(self.trials)
        # A process that reaches a point waits until its trial is known.
        with self._lock:
            file = dropped(self.cloud, transactions_key(day_of(number)), content_of(number))
            self.trials.append(Trial(point, number, file))
        return self.trials[-1]

    def look(self, moment: FaultPoint) -> None:
        with self._lock:
            for trial in self.trials:
                self._strike(trial, moment)
                if trial.kills and moment.who == "start_run" and moment.load_id == trial.drop.load_id:
                    trial.came_again.set()
        for trial in self.trials:
            if trial.point.outlives and moment.who == JOB and moment.load_id == trial.drop.load_id:
                trial.came_again.wait(_SETTLED_WITHIN_SECONDS)

    def _strike(self, trial: Trial, moment: FaultPoint) -> None:
        point = trial.point
        if point.waits_first and not trial.was_throttled and moment.what == f"StartJobRun load {trial.drop.load_id}":
            trial.was_throttled = True
            raise Refused("ThrottlingException", "Rate exceeded")
        if trial.kills == trial.kills_due:
            return
        if point.step is None:
            hits = point.blows[trial.kills].hits(moment, trial.drop)
        else:
            hits = moment.who == JOB and moment.load_id == trial.drop.load_id and self._has_begun(trial)
        if hits:
            trial.kills += 1
            moment.kill()

    def _has_begun(self, trial: Trial) -> bool:
        """True once the trial's first run has announced its step."""
        line = f"load {trial.drop.load_id} attempt 1: {trial.point.step}\n"
        return any(line in self.cloud.router.glue.processes.log(run) for run in runs_of(self.cloud, trial.drop))

    def kill_those_that_have_begun(self) -> None:
        """Kill processes at steps that send no request, as soon as they have announced the step."""
        for trial in [trial for trial in self.trials if trial.point.step and not trial.kills]:
            if self._has_begun(trial):
                with self._lock:
                    if not trial.kills and any(
                        map(self.cloud.router.glue.processes.kill, runs_of(self.cloud, trial.drop))
                    ):
                        trial.kills += 1

    def delivery_policy(self, delivery: Delivery) -> Sequence[float]:
        for trial in self.trials if delivery.kind == "run event" else ():
            is_its = delivery.about in runs_of(self.cloud, trial.drop)
            if is_its and trial.point.loses_run_event and not trial.event_lost:
                trial.event_lost = True
                return ()
        return (0.0,)


def runs_of(cloud: LocalCloud, drop: Drop) -> list[str]:
    """The runs that were started for a drop, the oldest first."""
    runs = [(run.job_run_id, decode_run(run.arguments)) for run in cloud.runs()]
    return [run_id for run_id, arguments in runs if arguments is not None and arguments.drop == drop]


def crash(cloud: LocalCloud, points: Sequence[Point], *, first: int = 0) -> list[Trial]:
    """Drop one undisturbed file and one for each point, and let the system run until all is settled. Trials are
    numbered from `first`, so that each has its own day and ids.
    """
    crashes, over = Crashes(cloud, first), threading.Event()

    def watch_steps() -> None:
        while not over.wait(0.003):
            crashes.kill_those_that_have_begun()

    watching = threading.Thread(target=watch_steps, name="steps")
    cloud.router.delivery_policy = crashes.delivery_policy
    watching.start()
    try:
        with FaultPoints(cloud, crashes.look):
            for point in (IN_PEACE, *points):
                trial = crashes.drop(point)
                while point.blows and point.blows[0].who == "start_run" and not trial.kills:
                    # One message at a time: when a function dies, SQS delivers its whole batch again.
                    time.sleep(0.01)
            _settle(cloud, crashes.trials)
    finally:
        over.set()
        watching.join()
        cloud.router.delivery_policy = lambda _: (0.0,)
    return crashes.trials


def _settle(cloud: LocalCloud, trials: Sequence[Trial]) -> None:
    """Trigger the schedule until every drop is archived. One more trigger must then change nothing."""
    until = time.monotonic() + _SETTLED_WITHIN_SECONDS
    is_settled = False
    while not is_settled and time.monotonic() < until:
        cloud.wait_until_idle(_SETTLED_WITHIN_SECONDS)
        is_settled = not in_bucket(cloud, "drop_bucket") and all(trial.is_through for trial in trials)
        cloud.router.tick(grace_seconds=0)
    cloud.wait_until_idle(_SETTLED_WITHIN_SECONDS)


@dataclass(frozen=True)
class Ending:
    """The final state of a drop. Values that may differ between equal drops are replaced by a word."""

    ledger: Sequence[Mapping[str, Any]]
    archived: Sequence[Mapping[str, Any]]
    rejected: Sequence[str]
    staged: Sequence[str]
    mails: Sequence[tuple[str, str]]


def ending_of(cloud: LocalCloud, trial: Trial) -> Ending:
    load_id, key = trial.drop.load_id, trial.drop.key
    words = _words(cloud, trial)
    s3, archive, work = cloud.client("s3"), cloud.outputs["archive_bucket"], cloud.outputs["work_bucket"]
    copies = [s3.get_object(Bucket=archive, Key=key, VersionId=v) for _, v in in_bucket(cloud, "archive_bucket", key)]
    rejected = [actual for actual in keys_in(cloud, "work_bucket", "rejected/") if load_id in actual]
    return Ending(
        ledger=[
            {name: _plain(value, words) for name, value in row.items() if name not in _MAY_DIFFER}
            for row in rows_of(cloud, LOAD_LEDGER)
            if row["load_id"] == load_id
        ],
        archived=[
            {
                "is what was dropped": copy["Body"].read() == trial.file.content,
                **{name: _plain(value, words) for name, value in copy["Metadata"].items()},
            }
            for copy in copies
        ],
        rejected=[
            _plain(actual + "\n" + s3.get_object(Bucket=work, Key=actual)["Body"].read().decode("utf-8"), words)
            for actual in rejected
        ],
        staged=[_plain(actual, words) for actual in keys_in(cloud, "work_bucket", f"staging/{load_id}/")],
        mails=[
            (_plain(mail.subject, words), _plain(mail.body, words)) for mail in cloud.mails() if load_id in mail.body
        ],
    )


def _words(cloud: LocalCloud, trial: Trial) -> dict[str, str]:
    """The values that distinguish one drop from another, and the word that replaces each."""
    day, drop = day_of(trial.number), trial.drop
    actual = {
        re.escape(drop.load_id): "<load>",
        re.escape(drop.version_id): "<version>",
        f"year={day:%Y}/month={day:%m}/day={day:%d}": "<partition>",
        f"year%3D{day:%Y}/month%3D{day:%m}/day%3D{day:%d}": "<partition>",
        day.isoformat(): "<day>",
        rf"\b{day.day} {day:%b}\b": "<day>",
        r"\d{4}-\d\d-\d\dT[0-9:.]+\+00:00": "<uploaded at>",
        f"K{trial.number:04}": "<id>",
        hashlib.md5(trial.file.content).hexdigest(): "<etag>",
        **{re.escape(run_id): "<run>" for run_id in runs_of(cloud, drop)},
    }
    # After a crash the attempt that succeeded has another number, and a run that had committed may have failed.
    return actual | {
        r"reports/html/<load>/\d+": "reports/html/<load>/<attempt>",
        r"attempt \d+": "attempt <attempt>",
        "<run>, (SUCCEEDED|FAILED)": "<run>, <state>",
        # For a commit that was not mailed, the ledger keeps the total, not its parts.
        r"(?m)^  (net sales \(|by status|by amount class).*\n": "",
    }


def _plain(value: Any, words: Mapping[str, str]) -> Any:
    if isinstance(value, datetime | date):
        value = value.isoformat()
    if isinstance(value, str):
        for pattern, word in words.items():
            value = re.sub(pattern, word, value)
    return value
