"""One run of a load: it times the steps and always writes a report."""

from __future__ import annotations

import platform
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable

import polars as pl
from botocore.exceptions import ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as BotoConnectionError

from jobs import __version__
from jobs.arguments import Arguments
from jobs.errors import DropGone, JobError, TransientError, WarehouseSpent
from jobs.load.driver_errors import explain
from jobs.load.ledger import read_booked_upload
from jobs.load.past_loads import find_same_content, read_past_loads
from jobs.load.session import WarehouseSession
from jobs.room import refuse_full_disk
from jobs.s3 import Fetched, Prefix, fetch, s3_client
from schemas.counts import COUNTS, Counts
from schemas.drops import parse_key
from schemas.reports import FAILED, SUCCEEDED, Error, Report
from schemas.runs import LOAD as LOAD_EVENT
from schemas.runs import PLAN
from schemas.usual import PastLoad, compare
from schemas.work_bucket import page_key, plan_key, report_key, staging_prefix

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client

FETCH = "fetch"
READ = "read"
LOOK_UP = "look up"
FIND_DUPLICATES = "find duplicates"
VALIDATE = "validate and stage"
LOAD = "load"
CLEAN_UP = "clean up"
STEPS = (FETCH, READ, LOOK_UP, FIND_DUPLICATES, VALIDATE, LOAD, CLEAN_UP)
"""The steps of a load of transactions, in order. A dimension's load has no "look up" and no "find duplicates"; a
retraction has only the last two."""


class Attempt:
    """One attempt: its scratch folder, its clients and its report so far.

    Steps return their results as values. Facts that a failed attempt must report too are noted as soon as they are
    known.
    """

    def __init__(self, arguments: Arguments, s3: S3Client, warehouse: WarehouseSession, folder: Path) -> None:
        self.arguments = arguments
        self.s3 = s3
        self.warehouse = warehouse
        self.folder = folder
        """Scratch space on local disk, gone when the attempt is over."""
        self.started_at = datetime.now(timezone.utc)
        self.key = parse_key(arguments.drop.key)
        drop, day = arguments.drop, self.key.partition_day
        self.report = Report(
            load_id=drop.load_id,
            attempt=arguments.attempt,
            kind=self.key.kind,
            outcome=FAILED,
            bucket=drop.bucket,
            key=drop.key,
            version_id=drop.version_id,
            started_at=self.started_at.isoformat(),
            finished_at=self.started_at.isoformat(),
            partition_day=day.isoformat() if day else None,
            versions={"job": __version__, "polars": pl.__version__, "python": platform.python_version()},
        )

        self._past: list[PastLoad] = []

    @property
    def load_id(self) -> str:
        return self.arguments.drop.load_id

    @property
    def is_plan(self) -> bool:
        """True when nothing is committed: the attempt only computes what a load would do."""
        return self.arguments.operation == PLAN

    @property
    def staging(self) -> Prefix:
        """Where this attempt keeps what it stages."""
        return self._staging_of(self.arguments.attempt)

    @property
    def waiting_since(self) -> datetime:
        """UTC, no zone: rows that have waited for a dimension since before this instant stop waiting."""
        return self.started_at.replace(tzinfo=None) - timedelta(days=self.arguments.orphan_days)

    def note(self, **fields: Any) -> None:
        """Set fields of the report."""
        self.report = replace(self.report, **fields)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Announce a step and put its seconds into the report."""
        print(f"load {self.load_id} attempt {self.arguments.attempt}: {name}", flush=True)
        begun = time.perf_counter()
        try:
            yield
        finally:
            seconds = round(time.perf_counter() - begun, 3)
            self.note(step_seconds={**self.report.step_seconds, name: seconds})

    def fetch(self, *, may_download: bool = True) -> Fetched:
        """The drop, on local disk where it may be; what it is goes into the report."""
        drop = self.arguments.drop
        fetched = fetch(
            self.s3,
            drop,
            self.folder,
            self.arguments.archived,
            lambda: read_booked_upload(self.warehouse, drop),
            may_download=may_download,
        )
        self.note(etag=fetched.etag, bytes=fetched.bytes, uploaded_at=fetched.uploaded_at.isoformat())
        return fetched

    def clean_up(self) -> None:
        """Delete staged files, including those of earlier attempts that were killed.

        A failure here does not fail the load: the bucket expires these files within days.
        """
        with self.step(CLEAN_UP):
            for attempt in range(1, self.arguments.attempt + 1):
                staged = self._staging_of(attempt)
                try:
                    staged.delete()
                except Exception as reason:
                    print(f"load {self.load_id}: the files below {staged.uri} were not deleted: {reason}", flush=True)

    def end(self, error: Error | None) -> None:
        """Write the report to S3, and one line of it to the log."""
        finished_at = datetime.now(timezone.utc)
        seconds = (finished_at - self.started_at).total_seconds()
        self.note(
            outcome=FAILED if error else SUCCEEDED,
            finished_at=finished_at.isoformat(),
            rows_per_second=round(self.report.rows_read / seconds, 1),
            peak_memory_bytes=_peak_memory_bytes(),
            error=error,
        )
        try:
            self.s3.put_object(
                Bucket=self.arguments.work_bucket,
                Key=plan_key(self.load_id) if self.is_plan else report_key(self.load_id, self.arguments.attempt),
                Body=self.report.to_json().encode("utf-8"),
                ContentType="application/json",
                # A run started again from the console must not replace the report of the run it repeats.
                IfNoneMatch="*",
            )
        except ClientError as reason:
            if reason.response["Error"]["Code"] != "PreconditionFailed":
                raise
            print(f"load {self.load_id} attempt {self.arguments.attempt} has its report already", flush=True)
        else:
            if not self.is_plan:
                self._draw_page()
        print(f"load {self.load_id} attempt {self.arguments.attempt}: {_in_words(self.report)}", flush=True)

    def compare(self) -> None:
        """Compare the committed load with the recent ones of its weekday, and if it changed nothing, with files of the
        same content."""
        with self._only_for_the_reader("a comparison with earlier loads"):
            day, counts, report = self.key.partition_day, self.report.counts, self.report
            if day is None or counts is None or report.event != LOAD_EVENT:
                return
            # A file without rows changes nothing anyway.
            if report.changed_nothing and counts["rows_read"] and report.etag is not None and report.bytes is not None:
                drop = self.arguments.drop
                same = find_same_content(self.warehouse, drop, etag=report.etag, size=report.bytes)
                self.note(same_content=same)
            self._past = read_past_loads(self.warehouse, day)
            own = PastLoad(day, counts["rows_read"], counts["rejected"], float(self.report.change or 0))
            self.note(comparison=compare(own, self._past))

    def _draw_page(self) -> None:
        with self._only_for_the_reader("a page"):
            # Importing the chart library takes longer than a small load, so the page is drawn last.
            from jobs.page import render_load

            page = render_load(self.report, past=self._past)
            self.s3.put_object(
                Bucket=self.arguments.work_bucket,
                Key=page_key(self.load_id, self.arguments.attempt),
                Body=page.encode("utf-8"),
                ContentType="text/html; charset=utf-8",
            )

    @contextmanager
    def _only_for_the_reader(self, product: str) -> Iterator[None]:
        """Log a failure of a product that only readers need; the load still succeeds."""
        try:
            yield
        except Exception as reason:
            print(f"load {self.load_id}: {product} could not be made: {explain(reason)}", flush=True)

    def _staging_of(self, attempt: int) -> Prefix:
        return Prefix(self.s3, self.arguments.work_bucket, staging_prefix(self.load_id, attempt))


def run_attempt(arguments: Arguments, steps: Callable[[Attempt], None]) -> None:
    """Run the steps, delete staged files, write the report; raises the steps' error.

    A plan raises no JobError: a load that would fail is a valid result of it.
    """
    with tempfile.TemporaryDirectory(prefix="load-") as folder, WarehouseSession(arguments.warehouse) as warehouse:
        attempt = Attempt(arguments, s3_client(arguments.warehouse.region), warehouse, Path(folder))
        error: Error | None = None
        try:
            with refuse_full_disk(attempt.key.file_name, attempt.folder):
                steps(attempt)
        # A panic of Polars is a BaseException, not an Exception.
        except BaseException as reason:
            error = describe(reason)
            if not (attempt.is_plan and isinstance(reason, JobError)):
                raise
        finally:
            attempt.clean_up()
            attempt.end(error)


def as_report(counts: Counts) -> dict[str, int]:
    """Counts as the report has them."""
    return {name: getattr(counts, name) for name in COUNTS}


def _peak_memory_bytes() -> int:
    # Not ru_maxrss: it starts at the peak of the parent process.
    status = Path("/proc/self/status").read_text(encoding="ascii")
    (kibibytes,) = (line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))
    return int(kibibytes) * 1024


def describe(reason: BaseException) -> Error:
    """An error as the report has it."""
    sentence = str(reason) if isinstance(reason, JobError) else f"{type(reason).__name__}: {reason}"
    return Error(sentence, _is_transient(reason), type(reason).__name__, _not_before(reason))


def _not_before(reason: BaseException) -> str | None:
    """The instant from which the next attempt can help, for an attempt that does not count as a try; else None."""
    now = datetime.now(timezone.utc)
    if isinstance(reason, DropGone):
        return now.isoformat()
    if isinstance(reason, WarehouseSpent):
        # Redshift Serverless counts a daily usage limit by the day in UTC.
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
        return (midnight + timedelta(days=1)).isoformat()
    return None


def _is_transient(reason: BaseException) -> bool:
    if isinstance(reason, ClientError):
        return int(reason.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)) >= 500
    return isinstance(reason, (TransientError, BotoConnectionError, HTTPClientError))


def _in_words(report: Report) -> str:
    if report.error:
        return f"failed: {report.error.sentence}"
    counts = report.counts or {}
    return "succeeded: " + ", ".join(f"{counts.get(name, 0)} {name}" for name in COUNTS)
