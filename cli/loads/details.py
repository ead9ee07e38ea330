"""One load in full: as JSON, and as a page of text."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from cli.drops.status import DropStatus, Phase
from cli.loads.as_json import load_json
from cli.loads.loads import Attempt, Load
from cli.pipelines.pipeline import Pipeline
from lambdas.notify.figures import signed
from schemas.reject_reasons import REJECT_REASONS
from schemas.reports import Report, ReusedIds, beside_name
from schemas.runs import RETRACT
from schemas.work_bucket import report_key


def details_json(load: Load) -> dict[str, Any]:
    """The shape `show` of docs/commands.schema.json."""
    report = load.report
    return {
        "load": load_json(load),
        "attempts": [
            {
                "number": attempt.number,
                "job_name": attempt.job_name,
                "run_id": attempt.run_id,
                "state": attempt.state,
                "outcome": attempt.report.outcome if attempt.report else None,
                "error": _error(attempt),
                "started_at": attempt.report.started_at if attempt.report else None,
                "finished_at": attempt.report.finished_at if attempt.report else None,
            }
            for attempt in load.attempts
        ],
        "reject_reasons": {reason: rejected.rows for reason, rejected in report.reject_reasons.items()}
        if report
        else {},
        "amount_classes": {
            label: {"rows": amount.rows, "amount": amount.amount} for label, amount in report.amount_classes.items()
        }
        if report
        else {},
        "ignored_columns": report.ignored_columns if report else [],
        "reused_ids": asdict(report.reused_ids if report else ReusedIds()),
        "rejected_uri": report.rejected_uri if report else None,
        "step_seconds": report.step_seconds if report else {},
    }


def details_text(load: Load, pipeline: Pipeline) -> str:
    """A page of text."""
    status, report = load.status, load.report
    state = "not loaded" if status.phase is Phase.FAILED else status.phase.value
    lines = [f"{status.file_name} is {state}: {status.summary}".rstrip(": ")]
    if report is not None and report.counts is not None:
        # A load that was taken back has read no rows.
        counts = {} if report.event == RETRACT else report.counts
        lines += ["", "Rows", *(f"  {name:<12}{rows:>14,}" for name, rows in counts.items())] if counts else []
        lines += _rejected(report)
        lines += ["", *report.reused_ids.sentences()] if report.reused_ids else []
        lines += _money(report)
    lines += ["", "Attempts"]
    lines += [f"  {_attempt_line(attempt, status)}" for attempt in load.attempts] or [
        "  none yet: it waits in the queue"
    ]
    lines += ["", "Where to look", *(f"  {name:<9}{value}" for name, value in _places(load, pipeline).items())]
    return "\n".join(lines)


def _attempt_line(attempt: Attempt, status: DropStatus) -> str:
    outcome = attempt.report.outcome if attempt.report else (attempt.state or "unknown")
    started = attempt.report.started_at[:19] if attempt.report else "-"
    error = beside_name(_error(attempt) or "", status.file_name)
    # The page begins with the error of the last attempt.
    shown = "as above" if error and status.summary.startswith(error) else error
    return f"{attempt.number}  {outcome:<10}  {started:<19}  {shown}".rstrip()


def _error(attempt: Attempt) -> str | None:
    if attempt.report is not None:
        return attempt.report.error.sentence if attempt.report.error else None
    return attempt.message or None


def _rejected(report: Report) -> list[str]:
    if not report.reject_reasons:
        return []
    return [
        "",
        "Rejected, by reason",
        *(
            f"  {rejected.rows:>10,}  {reason}: {_meaning(reason)}"
            for reason, rejected in report.reject_reasons.items()
        ),
    ]


def _money(report: Report) -> list[str]:
    """The change of the warehouse by amount class; empty for a dimension."""
    if report.change is None:
        return []
    classes = [
        f"  {label:<12}{each.rows:>+14,}{signed(each.amount):>20}" for label, each in report.amount_classes.items()
    ]
    return ["", "Change of the warehouse", *classes, f"  {'all':<12}{'':>14}{signed(report.change):>20}"]


def _meaning(reason: str) -> str:
    known = REJECT_REASONS.get(reason)
    return str(getattr(known, "meaning", known))


def _places(load: Load, pipeline: Pipeline) -> dict[str, str]:
    places = {"file": load.drop.uri, "version": load.drop.version_id, "load": load.load_id}
    if load.status.phase is Phase.ARCHIVED:
        places["archive"] = f"s3://{pipeline.output('archive_bucket')}/{load.drop.key}"
    if load.attempts:
        last = load.attempts[-1]
        places["run"] = f"{last.job_name} {last.run_id}"
        places["report"] = f"s3://{pipeline.output('work_bucket')}/{report_key(load.load_id, last.number)}"
    if load.report is not None:
        places["page"] = f"pipeline open {load.load_id}{pipeline.stack_option}"
    if load.report is not None and load.report.rejected_uri:
        places["rejected"] = f"pipeline rejected {load.load_id}{pipeline.stack_option}"
    if load.is_failed:
        places["replay"] = f"pipeline replay {load.load_id}{pipeline.stack_option}"
    return places
