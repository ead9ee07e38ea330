"""The page of one attempt: its outcome, its rows, its money, its rejects, and the loads before it."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from jobs.page import charts
from jobs.page.templates import money, page, signed
from schemas.counted import agreeing, counted
from schemas.counts import ROW_WORDS, Counts
from schemas.reject_reasons import REJECT_REASONS
from schemas.reports import SUCCEEDED, Report, beside_name
from schemas.runs import FLOW_IN, RETRACT
from schemas.usual import PastLoad

SHOWN_DAYS = 30
"""The number of earlier loads that are drawn."""


def render_load(report: Report, *, past: Sequence[PastLoad] = ()) -> str:
    """The HTML page of an attempt. `past` are earlier loads of any day, in any order."""
    return page(
        "load.html",
        report=report,
        title=f"{_file_name(report)}: {'loaded' if report.outcome == SUCCEEDED else 'not loaded'}",
        verdict=_verdict(report),
        is_loaded=report.outcome == SUCCEEDED,
        file_name=_file_name(report),
        rejected_share=_rejected_share(report),
        balance=_balance(report),
        reasons=_reasons(report),
        reused_ids=report.reused_ids.sentences(),
        comparison=report.comparison,
        history=_history(report, past),
        steps=_steps(report),
        money=money,
        signed=signed,
    )


def _file_name(report: Report) -> str:
    return report.key.rpartition("/")[2]


def _verdict(report: Report) -> str:
    if report.error is not None:
        return f"Not loaded: {beside_name(report.error.sentence, _file_name(report))}"
    if report.event == FLOW_IN:
        arrived = -(report.counts or {}).get("rejected", 0)
        return f"Loaded: {counted(arrived, 'row')} that had waited for a customer or product."
    if report.event == RETRACT:
        removed = counted(report.removed, "transaction")
        gone, back = (agreeing(rows, "is", "are") for rows in (report.removed, report.restored))
        return f"Taken back: {removed} {gone} gone, {report.restored:,} {back} as before the load."
    if report.same_content is not None:
        same = report.same_content
        return (
            f"Loaded. It changed nothing: it has the same content as {same.key.rpartition('/')[2]}, uploaded on "
            f"{same.uploaded_at[:16].replace('T', ' ')} UTC."
        )
    if report.changed_nothing:
        return f"Loaded. It changed nothing: {report.why_nothing_changed}."
    counts = report.counts or {}
    return (
        f"Loaded: {counted(counts.get('rows_read', 0), 'row')} read, {counts.get('inserted', 0):,} new, "
        f"{counts.get('updated', 0):,} changed, {counts.get('rejected', 0):,} rejected."
    )


def _rejected_share(report: Report) -> float:
    counts = report.counts or {}
    read = counts.get("rows_read", 0)
    return counts.get("rejected", 0) / read if read > 0 else 0.0


def _balance(report: Report) -> dict[str, object] | None:
    """None for an attempt that did not read its whole file: its counts only correct earlier ones."""
    if report.counts is None or report.event in (FLOW_IN, RETRACT):
        return None
    counts = Counts(**report.counts)
    parts = {name: rows for name, rows in report.counts.items() if name != "rows_read"}
    drawn = {name: [max(rows, 0)] for name, rows in parts.items()}
    accepted = counts.rows_read - counts.rejected
    return {
        "read": counts.rows_read,
        "accepted": accepted,
        "staged": accepted - counts.duplicate,
        "written": counts.inserted + counts.updated,
        "parts": parts,
        "meanings": ROW_WORDS,
        "colours": {name: charts.colour(name) for name in parts},
        "chart": charts.one_bar("balance", drawn),
    }


def _reasons(report: Report) -> list[dict[str, object]]:
    return [
        {
            "name": name,
            "meaning": REJECT_REASONS[name].meaning if name in REJECT_REASONS else "a newer reason",
            "rows": rejected.rows,
            "samples": [(sample.source_line, sample.in_words(name)[:200]) for sample in rejected.samples],
        }
        for name, rejected in report.reject_reasons.items()
    ]


def _history(report: Report, past: Sequence[PastLoad]) -> dict[str, object] | None:
    earlier = sorted((load for load in past if load.rows), key=lambda load: load.day)[-SHOWN_DAYS:]
    if not earlier or report.counts is None or report.partition_day is None:
        return None
    days = [f"{load.day.day} {load.day:%b}" for load in earlier] + ["this load"]
    rejected = [load.rejected for load in earlier] + [report.counts.get("rejected", 0)]
    rows = [load.rows for load in earlier] + [report.counts.get("rows_read", 0)]
    change = [load.change for load in earlier] + [float(Decimal(report.change or 0))]
    not_rejected = [read - bad for read, bad in zip(rows, rejected)]
    return {
        "rows": charts.bars("rows-by-day", days, {"not rejected": not_rejected, "rejected": rejected}),
        "change": charts.bars("change-by-day", days, {"change of the warehouse": change}),
        "table": list(zip(days, rows, rejected, change)),
    }


def _steps(report: Report) -> dict[str, object] | None:
    if not report.step_seconds:
        return None
    names, seconds = list(report.step_seconds), list(report.step_seconds.values())
    # The first bar is drawn at the bottom.
    return {
        "seconds": report.step_seconds,
        "total": sum(seconds),
        "chart": charts.horizontal_bars("steps", names[::-1], {"seconds": seconds[::-1]}),
    }
