"""One run of a load: its steps timed, its report written whatever happens."""

from __future__ import annotations

import platform
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Callable

import polars as pl
from botocore.exceptions import ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as BotoConnectionError

from jobs import __version__
from jobs.arguments import Arguments
from jobs.errors import JobError, TransientError
from jobs.load.protocol import WarehouseSession
from jobs.s3 import Fetched, Prefix, s3_client
from schemas.counts import COUNTS
from schemas.drops import DropKey, parse_key
from schemas.reports import FAILED, SUCCEEDED, ClassAmount, Error, RejectedFor, Report
from schemas.work_bucket import report_key, staging_prefix


@dataclass
class Attempt:
    """What an attempt knows so far. The steps fill it in; the report is made of it."""

    arguments: Arguments
    s3: Any
    warehouse: WarehouseSession
    folder: Path
    """Scratch space on local disk, gone when the attempt is over."""
    started_at: datetime
    key: DropKey
    fetched: Fetched | None = None
    rows_read: int = 0
    counts: dict[str, int] | None = None
    first_commit: dict[str, int] | None = None
    reject_reasons: dict[str, RejectedFor] = field(default_factory=dict)
    rejected_uri: str | None = None
    staged_amount: str | None = None
    amount_classes: dict[str, ClassAmount] = field(default_factory=dict)
    ignored_columns: list[str] = field(default_factory=list)
    step_seconds: dict[str, float] = field(default_factory=dict)

    @property
    def load_id(self) -> str:
        return self.arguments.drop.load_id

    @property
    def staging(self) -> Prefix:
        return self._staging_of(self.arguments.attempt)

    def _staging_of(self, attempt: int) -> Prefix:
        return Prefix(self.s3, self.arguments.work_bucket, staging_prefix(self.load_id, attempt))

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Announce a step and add its seconds to the report."""
        print(f"load {self.load_id} attempt {self.arguments.attempt}: {name}", flush=True)
        begun = time.perf_counter()
        try:
            yield
        finally:
            self.step_seconds[name] = round(self.step_seconds.get(name, 0) + time.perf_counter() - begun, 3)

    def clean_up(self) -> None:
        """Delete what is staged, also what the attempts before this one left when they were killed.

        That it fails changes no outcome: the bucket lets it expire within days.
        """
        with self.step("clean up"):
            for attempt in range(1, self.arguments.attempt + 1):
                staged = self._staging_of(attempt)
                try:
                    staged.delete()
                except Exception as reason:
                    print(f"load {self.load_id}: what is below {staged.uri} was not deleted: {reason}", flush=True)

    def report(self, error: Error | None) -> Report:
        arguments, drop, fetched = self.arguments, self.arguments.drop, self.fetched
        finished_at = datetime.now(timezone.utc)
        seconds = (finished_at - self.started_at).total_seconds()
        return Report(
            load_id=self.load_id,
            attempt=arguments.attempt,
            kind=self.key.kind,
            outcome=FAILED if error else SUCCEEDED,
            bucket=drop.bucket,
            key=drop.key,
            version_id=drop.version_id,
            started_at=self.started_at.isoformat(),
            finished_at=finished_at.isoformat(),
            etag=fetched.etag if fetched else None,
            bytes=fetched.bytes if fetched else None,
            uploaded_at=fetched.uploaded_at.isoformat() if fetched else None,
            partition_day=self.key.partition_day.isoformat() if self.key.partition_day else None,
            counts=self.counts,
            first_commit=self.first_commit,
            reject_reasons=self.reject_reasons,
            rejected_uri=self.rejected_uri,
            staged_amount=self.staged_amount,
            amount_classes=self.amount_classes,
            ignored_columns=self.ignored_columns,
            step_seconds=self.step_seconds,
            rows_per_second=round(self.rows_read / seconds, 1),
            peak_memory_bytes=_peak_memory_bytes(),
            error=error,
            versions={"job": __version__, "polars": pl.__version__, "python": platform.python_version()},
        )


def run_attempt(arguments: Arguments, steps: Callable[[Attempt], None]) -> None:
    """Run the steps, leave nothing staged, write the report; raises what the steps raised."""
    started_at = datetime.now(timezone.utc)
    with tempfile.TemporaryDirectory(prefix="load-") as folder, WarehouseSession(arguments.warehouse) as warehouse:
        attempt = Attempt(arguments, s3_client(), warehouse, Path(folder), started_at, parse_key(arguments.drop.key))
        error: Error | None = None
        try:
            steps(attempt)
        # A panic of Polars is no Exception.
        except BaseException as reason:
            error = describe(reason)
            raise
        finally:
            attempt.clean_up()
            report = attempt.report(error)
            attempt.s3.put_object(
                Bucket=arguments.work_bucket,
                Key=report_key(attempt.load_id, arguments.attempt),
                Body=report.to_json().encode("utf-8"),
                ContentType="application/json",
            )
            print(f"load {attempt.load_id} attempt {arguments.attempt}: {_in_words(report)}", flush=True)


def _peak_memory_bytes() -> int:
    # Not ru_maxrss, which begins with what the process that started this one had.
    status = Path("/proc/self/status").read_text(encoding="ascii")
    (kibibytes,) = (line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))
    return int(kibibytes) * 1024


def describe(reason: BaseException) -> Error:
    """An error as the report tells it."""
    sentence = str(reason) if isinstance(reason, JobError) else f"{type(reason).__name__}: {reason}"
    return Error(sentence, _is_transient(reason), type(reason).__name__)


def _is_transient(reason: BaseException) -> bool:
    if isinstance(reason, ClientError):
        return int(reason.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)) >= 500
    return isinstance(reason, (TransientError, BotoConnectionError, HTTPClientError))


def _in_words(report: Report) -> str:
    if report.error:
        return f"failed: {report.error.sentence}"
    counts = report.counts or {}
    return "succeeded: " + ", ".join(f"{counts.get(name, 0)} {name}" for name in COUNTS)
