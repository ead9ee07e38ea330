"""The named points of the pipeline at which a process is killed."""

from __future__ import annotations

import re
from dataclasses import dataclass

from jobs.attempt import STEPS
from local.faults.fault_points import JOB, FaultPoint
from schemas.drops import Drop

REPORT = "^PutObject .*/reports/"


@dataclass(frozen=True)
class Blow:
    """A process is killed the first time it gets here while it handles a drop."""

    who: str
    what: str
    """A pattern that finds the moment's request or statement."""
    is_done: bool

    def hits(self, moment: FaultPoint, drop: Drop) -> bool:
        return (
            (moment.who, moment.is_done) == (self.who, self.is_done)
            and (moment.load_id == drop.load_id or any(name in moment.what for name in _names(drop)))
            and re.search(self.what, moment.what, re.IGNORECASE) is not None
        )


def _names(drop: Drop) -> tuple[str, ...]:
    return drop.version_id, f"{drop.bucket}/{drop.key}"


@dataclass(frozen=True)
class Point:
    """A named point, and the other faults of the drop that tries it."""

    name: str
    blows: tuple[Blow, ...] = ()
    step: str | None = None
    """The job is killed when it has announced this step."""
    loses_run_event: bool = False
    """Glue's event is lost, so that the sweep has work to do."""
    waits_first: bool = False
    """Glue is full when the drop arrives, so the drop goes back into the queue."""
    outlives: bool = False
    """The run has just begun when the message that started it is delivered again."""
    mails: int = 1
    """The expected number of mails about the drop."""

    @property
    def runs(self) -> int:
        """The expected number of runs: one more for each run that died before it could report a success."""
        deaths = sum(blow.who == JOB and (blow.what, blow.is_done) != (REPORT, True) for blow in self.blows)
        return 1 + deaths + (self.step is not None)


def _around(who: str, name: str, what: str, **more: bool) -> tuple[Point, Point]:
    return tuple(
        Point(f"{who}, {when} {name}", (Blow(who, what, is_done),), **more)
        for when, is_done in (("before", False), ("after", True))
    )  # type: ignore[return-value]


_STATEMENTS = {
    "UNLOAD": "^UNLOAD .*dim_customers",
    "CREATE TEMP TABLE": "^CREATE TEMP TABLE staged_transactions",
    "COPY": "^COPY staged_transactions",
    "COMMIT of what is staged": "^COMMIT after SET statement_timeout",
    "LOCK": "^LOCK ",
    "the count of outcomes": r"^SELECT COUNT\(\*\) AS staged, COUNT\(DISTINCT",
    "DELETE of what is stale": "^DELETE FROM staged_transactions",
    "MERGE": "^MERGE INTO fact_transactions",
    "INSERT into the ledger": "^INSERT INTO load_ledger",
    "COMMIT of the load": "^COMMIT after SELECT DISTINCT waiting_rows",
}
_REQUESTS = {
    "download": "^GetObject .*transactions/year=",
    "upload of the rejected rows": "^PutObject .*/rejected/",
    "upload of a part": r"^PutObject .*/staging/.*\.parquet",
    "upload of the manifest": "^PutObject .*/staging/.*manifest",
    "deletion of what was staged": "^DeleteObjects .*/staging/",
    "the report": REPORT,
}
_NOTIFY = {"the note that a mail is being sent": "^PutObject .*/notified/.*sending", "Publish": "^Publish "}
_ARCHIVE = {"the copy": "^CopyObject ", "the deletion of the drop": "^DeleteObject "}

JOB_POINTS = (
    *(Point(f"job, having begun to {step}", step=step) for step in STEPS),
    *(point for name, what in {**_REQUESTS, **_STATEMENTS}.items() for point in _around(JOB, name, what)),
)
START_RUN_POINTS = (
    *_around("start_run", "the claim", "^PutObject .*/claims/"),
    *_around("start_run", "StartJobRun", "^StartJobRun ", outlives=True),
    *_around("start_run", "the drop is sent back to wait", "^SendMessage ", waits_first=True),
)
SILENT = "notify, after the note that a mail is being sent"
"""It is unknown whether the mail was sent, and two mails are worse than none: see lambdas/notifier.py."""


def _silent(point: Point) -> Point:
    is_silent = point.name in (SILENT, "notify, before Publish")
    return Point(point.name, point.blows, mails=0) if is_silent else point


NOTIFY_POINTS = tuple(_silent(point) for name, what in _NOTIFY.items() for point in _around("notify", name, what))
ARCHIVE_POINTS = tuple(point for name, what in _ARCHIVE.items() for point in _around("archive", name, what))
_DEATH = Blow(JOB, "^LOCK ", is_done=False)
SWEEP_POINTS = (
    *_around("sweep", "Invoke", "^Invoke ", loses_run_event=True),
    *(
        Point(f"sweep, {when} the next attempt is asked for", (_DEATH, Blow("sweep", "^SendMessage ", is_done)))
        for when, is_done in (("before", False), ("after", True))
    ),
)
POINTS = (*JOB_POINTS, *START_RUN_POINTS, *NOTIFY_POINTS, *ARCHIVE_POINTS, *SWEEP_POINTS)

_QUICK = (
    *("job, after upload of a part", "job, before COMMIT of the load", "job, after COMMIT of the load"),
    *("job, after the report", "start_run, after the claim", "start_run, after StartJobRun"),
    *(SILENT, "notify, after Publish", "archive, after the copy", "sweep, after the next attempt is asked for"),
)
QUICK_POINTS = tuple(point for point in POINTS if point.name in _QUICK)
"""One point for each kind of work; `make test-long` tries them all."""
