"""The loads of a pipeline, read from claims and reports in S3, so that the warehouse stays asleep.

Two listings give the loads and the time of each load's last change. Only the loads that
are shown are then read, several at a time.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

from botocore.exceptions import ClientError

from cli.drops.status import DropStatus, Phase, drop_status
from cli.pipelines.pipeline import Pipeline
from schemas.drops import Drop, is_drop
from schemas.reports import SUCCEEDED, Report
from schemas.retries import tries_of
from schemas.work_bucket import (
    CLAIMS,
    REPORTS,
    claim_key,
    claims_prefix,
    notified_stem,
    parse_attempt_key,
    report_key,
    sent_key,
)

_READERS = 16


@dataclass(frozen=True)
class Attempt:
    """One attempt at a load."""

    number: int
    tries: int
    """The number of attempts at the same request, this one included."""
    drop: Drop
    job_name: str | None
    run_id: str | None
    """None while its run is not started. The job's name is None, too, where the claim has expired."""
    state: str | None
    """The run's state in Glue; None where the report made the request unnecessary or Glue does not know the run."""
    message: str
    report: Report | None


@dataclass(frozen=True)
class Load:
    """A drop and all attempts at it."""

    status: DropStatus
    attempts: tuple[Attempt, ...]
    """The attempts in order; in a list of loads only the last one."""
    changed_at: datetime | None = None
    """The time of its last claim or report; None for a drop that waits."""

    @property
    def drop(self) -> Drop:
        return self.status.drop

    @property
    def load_id(self) -> str:
        return self.status.drop.load_id

    @property
    def report(self) -> Report | None:
        return self.status.report

    @property
    def is_failed(self) -> bool:
        return self.status.phase is Phase.FAILED


@dataclass
class _Traces:
    """The attempts of one load in the listings, and the time of its last change."""

    claims: set[int] = field(default_factory=set)
    reports: set[int] = field(default_factory=set)
    changed_at: datetime | None = None

    @property
    def last_attempt(self) -> int:
        return max(self.claims | self.reports)


@dataclass(frozen=True)
class Loads:
    """The loads of a pipeline at one moment; each listing is read once."""

    pipeline: Pipeline

    def recent(self, *, since: datetime | None = None, limit: int | None = None, failed: bool = False) -> list[Load]:
        """The loads, the latest change first; drops that wait for their first attempt come before them.

        `failed` keeps only loads whose last attempt failed.
        """
        known = [(traces.changed_at, load_id) for load_id, traces in self._traces.items() if traces.changed_at]
        latest = [known for known in sorted(known, reverse=True) if since is None or known[0] >= since]
        chosen = [load_id for _, load_id in latest]
        waiting = [] if failed else [self._waiting(drop) for drop in self._waiting_drops()]
        loads: list[Load] = waiting
        for load in self._read_in_order(chosen if failed or limit is None else chosen[:limit]):
            if not failed or load.is_failed:
                loads.append(load)
            if limit is not None and len(loads) >= limit:
                break
        return loads[:limit]

    def by_id(self, load_id: str) -> Load | None:
        """The load with all its attempts; None when there is no such load."""
        traces = self._traces_of(load_id)
        if traces is not None:
            return self._read(load_id, traces, every_attempt=True)
        return next((self._waiting(drop) for drop in self.in_drop_bucket if drop.load_id == load_id), None)

    def of(self, drop: Drop) -> Load:
        """The load of a drop with all its attempts."""
        traces = self._traces_of(drop.load_id)
        return self._waiting(drop) if traces is None else self._read(drop.load_id, traces, every_attempt=True)

    @cached_property
    def in_drop_bucket(self) -> dict[Drop, datetime]:
        """Every version in the drop bucket with the time of its upload."""
        bucket = self.pipeline.output("drop_bucket")
        return {
            Drop(bucket, version["Key"], version["VersionId"]): version["LastModified"]
            for page in self._pages("list_object_versions", Bucket=bucket)
            for version in page.get("Versions", [])
        }

    @cached_property
    def _traces(self) -> dict[str, _Traces]:
        return self._list(CLAIMS, REPORTS)

    def _traces_of(self, load_id: str) -> _Traces | None:
        return self._list(claims_prefix(load_id), f"{REPORTS}{load_id}/").get(load_id)

    def _list(self, *prefixes: str) -> dict[str, _Traces]:
        traces_of: dict[str, _Traces] = {}
        for prefix in prefixes:
            for page in self._pages("list_objects_v2", Bucket=self._work_bucket, Prefix=prefix):
                for listed in page.get("Contents", []):
                    parsed = parse_attempt_key(listed["Key"])
                    if parsed is None:
                        continue
                    load_id, attempt = parsed
                    traces = traces_of.setdefault(load_id, _Traces())
                    (traces.claims if listed["Key"].startswith(CLAIMS) else traces.reports).add(attempt)
                    traces.changed_at = max(traces.changed_at or listed["LastModified"], listed["LastModified"])
        return traces_of

    def _read_in_order(self, load_ids: Iterable[str]) -> Iterator[Load]:
        with ThreadPoolExecutor(_READERS) as readers:
            yield from readers.map(lambda load_id: self._read(load_id, self._traces[load_id]), load_ids)

    def _read(self, load_id: str, traces: _Traces, *, every_attempt: bool = False) -> Load:
        numbers = sorted(traces.claims | traces.reports) if every_attempt else [traces.last_attempt]
        attempts = tuple(self._attempt(load_id, number, needs_run=every_attempt) for number in numbers)
        last = attempts[-1]
        # A claim without a run waits for its start: Glue was full, or the function that claimed it died.
        is_started = last.report is not None or last.run_id is not None
        drop = last.drop
        is_loaded = last.report is not None and last.report.outcome == SUCCEEDED
        status = drop_status(
            drop,
            attempt=last.number if is_started else 0,
            tries=last.tries,
            state=last.state,
            report=last.report,
            message=last.message,
            is_in_drop_bucket=drop in self.in_drop_bucket,
            is_mailed=not is_loaded and self._text(sent_key(notified_stem(load_id, last.number))) is not None,
        )
        return Load(status, attempts, traces.changed_at)

    def _attempt(self, load_id: str, number: int, *, needs_run: bool) -> Attempt:
        """Read one attempt; `needs_run` asks Glue for its run even when there is a report."""
        # The run's state comes first: a run that ends between the two reads has written its report by then.
        claim = self._json(claim_key(load_id, number))
        job_name, run_id = claim.get("job_name"), claim.get("run_id")
        report = None if needs_run else self._report(load_id, number)
        state, message = self._run(job_name, run_id) if job_name and run_id and report is None else (None, "")
        report = report or self._report(load_id, number)
        if report is not None:
            drop = Drop(report.bucket, report.key, report.version_id)
        else:
            drop = Drop(claim["bucket"], claim["key"], claim["version_id"])
        return Attempt(number, tries_of({"attempt": number, **claim}), drop, job_name, run_id, state, message, report)

    def _run(self, job_name: str, run_id: str) -> tuple[str | None, str]:
        try:
            run = self.pipeline.client("glue").get_job_run(JobName=job_name, RunId=run_id)["JobRun"]
        except ClientError as error:
            if error.response["Error"]["Code"] == "EntityNotFoundException":
                return None, "Glue no longer knows its run"
            raise
        return run["JobRunState"], run.get("ErrorMessage") or ""

    def _report(self, load_id: str, attempt: int) -> Report | None:
        text = self._text(report_key(load_id, attempt))
        return None if text is None else Report.from_json(text)

    def _waiting_drops(self) -> list[Drop]:
        return [drop for drop in self.in_drop_bucket if is_drop(drop.key) and drop.load_id not in self._traces]

    def _waiting(self, drop: Drop) -> Load:
        status = drop_status(drop, attempt=0, tries=0, state=None, report=None, message="", is_in_drop_bucket=True)
        return Load(status, ())

    @property
    def _work_bucket(self) -> str:
        return self.pipeline.output("work_bucket")

    def _json(self, key: str) -> dict[str, Any]:
        content: dict[str, Any] = json.loads(self._text(key) or "{}")
        return content

    def _text(self, key: str) -> str | None:
        """An object of the work bucket; None when it is not there."""
        try:
            body = self.pipeline.client("s3").get_object(Bucket=self._work_bucket, Key=key)["Body"].read()
        except ClientError as error:
            if error.response["Error"]["Code"] == "NoSuchKey":
                return None
            raise
        return str(body.decode("utf-8"))

    def _pages(self, operation: str, **arguments: Any) -> Iterator[dict[str, Any]]:
        yield from self.pipeline.client("s3").get_paginator(operation).paginate(**arguments)
