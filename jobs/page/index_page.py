"""The index of all loads: one line each, and how rows and money developed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal

from jobs.page import charts
from jobs.page.templates import money, page, signed
from schemas.reports import SUCCEEDED, Report
from schemas.runs import FLOW_IN, RETRACT

DRAWN_LOADS = 60
_DONE = {FLOW_IN: "waiting rows loaded", RETRACT: "taken back"}


def render_index(reports: Sequence[Report], link: Callable[[Report], str], *, title: str = "All loads") -> str:
    """The HTML page that lists these attempts, the newest first; `link` gives the address of each one's own page."""
    newest_first = sorted(reports, key=lambda report: report.finished_at, reverse=True)
    return page(
        "index.html",
        title=title,
        loads=[(report, link(report)) for report in newest_first],
        loaded=sum(report.outcome == SUCCEEDED for report in reports),
        days=sorted({report.partition_day for report in reports if report.partition_day}),
        done=_done,
        charts=_charts(newest_first),
        money=money,
        signed=signed,
        succeeded=SUCCEEDED,
    )


def _done(report: Report) -> str:
    """The kind of a successful attempt, in a word or two."""
    return _DONE.get(report.event or "", "loaded")


def _charts(newest_first: Sequence[Report]) -> dict[str, object] | None:
    drawn = [report for report in newest_first if report.counts and report.partition_day][:DRAWN_LOADS]
    drawn.sort(key=lambda report: str(report.partition_day))
    if len(drawn) < 2:
        return None
    days = [str(report.partition_day) for report in drawn]
    counts = [report.counts or {} for report in drawn]
    return {
        "rows": charts.bars(
            "rows-by-load",
            days,
            {
                "not rejected": [each["rows_read"] - each["rejected"] for each in counts],
                "rejected": [each["rejected"] for each in counts],
            },
        ),
        "change": charts.bars(
            "change-by-load",
            days,
            {"change of the warehouse": [float(Decimal(report.change or 0)) for report in drawn]},
        ),
    }
