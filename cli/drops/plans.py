"""Plans: the changes that a file would make in the warehouse, found by a run of the job that commits nothing.

The file is uploaded to the staging prefix of the work bucket, under a load id that no drop has. The file
and the plan are deleted afterwards. The run causes no event, mail or report.
"""

from __future__ import annotations

import time
import uuid
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from cli.drops.keys import FileToDrop
from cli.drops.parts import put_file
from cli.pipelines.pipeline import Pipeline
from cli.refusals import Failed
from lambdas.notify.figures import signed
from schemas.counted import agreeing, counted
from schemas.drops import SOURCE_UPLOADED_AT, TRANSACTIONS, Drop, parse_key
from schemas.reject_reasons import REJECT_REASONS
from schemas.reports import ChangedTransaction, Report, beside_name
from schemas.retries import LIVE_STATES
from schemas.runs import PLAN, ArchivedCopy, RunArguments
from schemas.work_bucket import plan_key, planned_key

_IN_WORDS = {
    "inserted": "new",
    "updated": "change a transaction",
    "unchanged": "say what is known already",
    "stale": "older than the row in the warehouse",
    "duplicate": "lose to another row of the file",
    "rejected": "rejected",
}


@dataclass(frozen=True)
class Plan:
    """A file and the job's report on it."""

    path: Path
    key: str
    """The key under which the file would be dropped."""
    report: Report

    @property
    def refusal(self) -> str | None:
        """The reason why nothing would be loaded, or None."""
        return self.report.error.sentence if self.report.error else None

    @property
    def needs_a_look(self) -> bool:
        return bool(self.report.reject_reasons or self.report.reused_ids)


def make_plan(pipeline: Pipeline, file: FileToDrop, *, timeout_seconds: float) -> Plan:
    """Have the job plan one file; raises Failed when its run ends without a plan, or not in time."""
    s3, bucket = pipeline.client("s3"), pipeline.output("work_bucket")
    drop = Drop(pipeline.output("drop_bucket"), file.key, f"planned-{uuid.uuid4().hex}")
    key = planned_key(drop.load_id)
    until = time.monotonic() + timeout_seconds
    uploaded_at = {SOURCE_UPLOADED_AT: datetime.now(UTC).isoformat()}
    version_id = put_file(s3, file.path, bucket=bucket, key=key, Metadata=uploaded_at)
    assert version_id is not None, "the work bucket is versioned"
    written = [(key, version_id)]
    try:
        arguments = RunArguments(drop, 1, PLAN, ArchivedCopy(bucket, *written[0]))
        _wait_for_run(pipeline, _job(pipeline, file), arguments, until)
        response = _read(pipeline, plan_key(drop.load_id))
        written.append((plan_key(drop.load_id), response["VersionId"]))
        return Plan(file.path, file.key, Report.from_json(response["Body"].read().decode("utf-8")))
    finally:
        # Deleting the version keeps no old version of the file.
        for name, version_id in written:
            s3.delete_object(Bucket=bucket, Key=name, VersionId=version_id)


def plan_json(plan: Plan) -> dict[str, Any]:
    """The shape `plan` of docs/commands.schema.json, of one file."""
    report = plan.report
    return {
        "file": str(plan.path),
        "key": plan.key,
        "kind": report.kind,
        "refusal": plan.refusal,
        "rows_read": report.rows_read,
        "counts": report.counts,
        "removed": report.removed,
        "restored": report.restored,
        "waiting": report.waiting,
        "change": report.change,
        "sales_change": report.sales_change,
        "largest_changes": [asdict(change) for change in report.largest_changes],
        "reject_reasons": {reason: asdict(rejected) for reason, rejected in report.reject_reasons.items()},
        "ignored_columns": report.ignored_columns,
        "reused_ids": asdict(report.reused_ids),
    }


def plan_text(plan: Plan) -> str:
    """The file, the outcome of its rows, the money, the largest changes, and why rows are rejected."""
    report = plan.report
    rows = f": {counted(report.rows_read, 'row')}" if report.rows_read or not plan.refusal else ""
    lines = [f"{plan.path.name} as {plan.key}{rows}"]
    if plan.refusal:
        lines.append(f"  would not be loaded: {beside_name(plan.refusal, plan.path.name)}")
    counts = report.counts or {}
    lines += [f"  {counts[name]:>12,}  {words}" for name, words in _IN_WORDS.items() if counts.get(name)]
    if report.removed or report.restored:
        lines.append(
            f"  {counted(report.removed, 'transaction')} {agreeing(report.removed, 'leaves', 'leave')} the warehouse "
            f"and {report.restored:,} {agreeing(report.restored, 'is', 'are')} restored, because the file "
            "replaces an earlier upload"
        )
    if report.change is not None:
        lines.append(f"  money: {signed(report.change)}, net sales {signed(report.sales_change)}")
    if report.largest_changes:
        lines += ["  largest changes", *map(_change_line, report.largest_changes)]
    lines += _reasons(report)
    lines += [f"  {sentence}" for sentence in report.reused_ids.sentences()]
    return "\n".join(lines)


def _reasons(report: Report) -> list[str]:
    lines = ["  rejected, by reason"] if report.reject_reasons else []
    for reason, rejected in report.reject_reasons.items():
        known = REJECT_REASONS.get(reason)
        words = f": {known.meaning}; wanted: {known.wanted}" if known else ""
        lines.append(f"  {rejected.rows:>12,}  {reason}{words}")
        lines += [
            f"                line {sample.source_line}: {sample.in_words(reason)}" for sample in rejected.samples[:1]
        ]
    if report.waiting:
        those = agreeing(report.waiting, "is loaded automatically when its", "are loaded automatically when their")
        lines.append(f"  {report.waiting:,} of the rejected rows {those} customer or product arrives")
    return lines


def _change_line(change: ChangedTransaction) -> str:
    old = f"{change.old_amount} {change.old_status}" if change.old_amount is not None else "nothing"
    new = f"{change.new_amount} {change.new_status}" if change.new_amount is not None else "nothing"
    return f"    {change.transaction_id}: {old} → {new}"


def _job(pipeline: Pipeline, file: FileToDrop) -> str:
    """The job that would load the file."""
    key = parse_key(file.key)
    if key.kind != TRANSACTIONS:
        return pipeline.output("dimensions_job")
    has_large_job = bool(pipeline.output("large_job"))
    if has_large_job and key.is_large(file.path.stat().st_size, int(pipeline.output("large_file_bytes"))):
        return pipeline.output("large_job")
    return pipeline.output("transactions_job")


def _wait_for_run(pipeline: Pipeline, job: str, arguments: RunArguments, until: float) -> None:
    """Start the run as soon as the job takes one more, and wait until it is over."""
    glue = pipeline.client("glue")
    run_id: str | None = None
    while True:
        if run_id is None:
            run_id = _start(glue, job, arguments)
        if run_id is not None:
            run = glue.get_job_run(JobName=job, RunId=run_id)["JobRun"]
            if run["JobRunState"] == "SUCCEEDED":
                return
            if run["JobRunState"] not in LIVE_STATES:
                raise Failed(
                    f"the run {run_id} of {job} ended as {run['JobRunState']}: "
                    f"{run.get('ErrorMessage') or 'it gave no reason'}; nothing was changed"
                )
        if time.monotonic() > until:
            waits = f"the run {run_id} of {job} still runs" if run_id else f"{job} takes no more runs now"
            raise Failed(f"there is no plan yet: {waits}; nothing will be changed; try again with more --minutes")
        time.sleep(pipeline.look_seconds)


def _start(glue: Any, job: str, arguments: RunArguments) -> str | None:
    """The id of the new run; None while the job has its largest number of runs, since loads go first."""
    try:
        return str(glue.start_job_run(JobName=job, Arguments=arguments.encode())["JobRunId"])
    except ClientError as error:
        if error.response["Error"]["Code"] == "ConcurrentRunsExceededException":
            return None
        raise


def _read(pipeline: Pipeline, key: str) -> dict[str, Any]:
    response: dict[str, Any] = pipeline.client("s3").get_object(Bucket=pipeline.output("work_bucket"), Key=key)
    return response
