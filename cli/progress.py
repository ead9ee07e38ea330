"""How far each drop has come on the laptop: queued, running, loaded, archived or failed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from botocore.exceptions import ClientError

from local.local_cloud import LocalCloud
from local.moto_hooks import PlayedRun
from schemas.drops import Drop
from schemas.reports import SUCCEEDED, Report
from schemas.retries import LIVE_STATES, is_retried
from schemas.runs import decode_run
from schemas.work_bucket import report_key


class Stage(Enum):
    """Where a drop is on its way."""

    QUEUED = "queued"
    RUNNING = "running"
    LOADED = "loaded"
    ARCHIVED = "archived"
    FAILED = "failed"

    @property
    def is_settled(self) -> bool:
        return self in (Stage.ARCHIVED, Stage.FAILED)


@dataclass(frozen=True)
class DropStatus:
    """A drop as it stood when somebody looked."""

    drop: Drop
    stage: Stage
    report: Report | None = None
    """Of its last attempt that is over."""
    is_tried_again: bool = False
    """True when a failed drop is tried again by itself."""
    message: str = ""
    """The failed run's own message."""

    @property
    def file_name(self) -> str:
        return self.drop.key.rpartition("/")[2]

    @property
    def story(self) -> str:
        """What became of it, in a few words."""
        if self.stage is Stage.FAILED:
            error = self.report.error.sentence if self.report and self.report.error else self.message
            return f"{error} (it is tried again by itself)" if self.is_tried_again else error
        counts = self.report.counts if self.report else None
        if counts is None:
            return ""
        parts = [f"{rows:,} {name}" for name, rows in counts.items() if name != "rows_read" and rows]
        return f"{counts['rows_read']:,} rows: {', '.join(parts) or 'nothing to do'}"


@dataclass
class Progress:
    """Looks at a laptop, again and again; reports are read once."""

    laptop: LocalCloud
    _reports: dict[tuple[str, int], Report] = field(default_factory=dict)

    def look(self, drops: list[Drop]) -> list[DropStatus]:
        """How far these drops have come, in their order."""
        runs: dict[Drop, tuple[int, PlayedRun]] = {}
        for run in self.laptop.runs():
            arguments = decode_run(run.arguments)
            if arguments is not None and arguments.attempt >= runs.get(arguments.drop, (0, run))[0]:
                runs[arguments.drop] = (arguments.attempt, run)
        present = self.in_drop_bucket()
        return [self._seen(drop, runs, present) for drop in drops]

    def in_drop_bucket(self) -> set[Drop]:
        """Every version that still lies in the drop bucket."""
        bucket = self.laptop.outputs["drop_bucket"]
        pages = self.laptop.client("s3").get_paginator("list_object_versions").paginate(Bucket=bucket)
        return {Drop(bucket, one["Key"], one["VersionId"]) for page in pages for one in page.get("Versions", [])}

    def report(self, load_id: str, attempt: int) -> Report | None:
        """The report of an attempt, once it is written."""
        found = self._reports.get((load_id, attempt))
        if found is not None:
            return found
        where = {"Bucket": self.laptop.outputs["work_bucket"], "Key": report_key(load_id, attempt)}
        try:
            body = self.laptop.client("s3").get_object(**where)["Body"].read()
        except ClientError as error:
            if error.response["Error"]["Code"] == "NoSuchKey":
                return None
            raise
        return self._reports.setdefault((load_id, attempt), Report.from_json(body.decode("utf-8")))

    def _seen(self, drop: Drop, runs: Mapping[Drop, tuple[int, PlayedRun]], present: set[Drop]) -> DropStatus:
        if drop not in runs:
            return DropStatus(drop, Stage.QUEUED)
        attempt, run = runs[drop]
        if run.status in LIVE_STATES:
            return DropStatus(drop, Stage.RUNNING)
        report = self.report(drop.load_id, attempt)
        if report is None or report.outcome != SUCCEEDED:
            return DropStatus(drop, Stage.FAILED, report, is_retried(attempt, report, run.status), run.error_message)
        return DropStatus(drop, Stage.LOADED if drop in present else Stage.ARCHIVED, report)


def count_stages(seen: list[DropStatus]) -> dict[Stage, int]:
    """How many drops are at each stage, every stage named."""
    counted = Counter(one.stage for one in seen)
    return {stage: counted[stage] for stage in Stage}
