"""The pages show the report's figures, load nothing, and run no code from a file."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date, timedelta
from html.parser import HTMLParser

import pytest

from jobs.page import render_index, render_load
from schemas.reports import FAILED, SUCCEEDED, ClassAmount, EarlierFile, Error, RejectedFor, Report
from schemas.usual import PastLoad, compare

DAY = date(2023, 3, 15)
COUNTS = {
    "rows_read": 9321,
    "inserted": 8000,
    "updated": 783,
    "unchanged": 11,
    "stale": 4,
    "duplicate": 352,
    "rejected": 171,
}
PAST = [PastLoad(DAY - timedelta(days=days), 9000 + days, 150, 250_000.0) for days in range(1, 60)]

REPORT = Report(
    load_id="0123456789abcdef",
    attempt=1,
    kind="transactions",
    outcome=SUCCEEDED,
    bucket="drop-bucket",
    key="transactions/year=2023/month=03/day=15/transactions_2023-03-15.csv",
    version_id="v1",
    started_at="2023-03-16T00:10:00+00:00",
    finished_at="2023-03-16T00:10:21+00:00",
    partition_day=DAY.isoformat(),
    event="load",
    counts=COUNTS,
    reject_reasons={"unknown_customer": RejectedFor(171, [])},
    rejected_uri="s3://work-bucket/rejected/x.csv",
    change="261234.50",
    sales_change="250000.00",
    day_sales="301234.50",
    amount_classes={"Small": ClassAmount(7000, "61234.50"), "Large": ClassAmount(-3, "-200.00")},
    statuses={"completed": ClassAmount(6997, "61034.50")},
    ignored_columns=["note"],
    step_seconds={"fetch": 0.2, "load": 3.1},
    peak_memory_bytes=300 * 1024**2,
    comparison=compare(PastLoad(DAY, 9321, 171, 261234.5), PAST),
)
REFUSED = replace(
    REPORT,
    outcome=FAILED,
    counts=None,
    event=None,
    change=None,
    day_sales=None,
    amount_classes={},
    statuses={},
    comparison=None,
    error=Error("day.csv, line 3: the byte 0xff is not UTF-8", False, "FileRefused"),
)


class _Page(HTMLParser):
    """The text of a page, and everything in it that would make a browser send a request or run code."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.asks: list[str] = []
        self.runs: list[str] = []
        self._hidden = 0
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._hidden += tag in ("style", "svg")
        for name, value in attrs:
            if name.split(":")[-1] in ("src", "href", "data", "srcset") and not (value or "").startswith(
                ("data:,", "#")
            ):
                self.asks += [value or ""] if tag != "a" else []
            if name.startswith("on"):
                self.runs.append(name)
        if tag in ("script", "iframe", "object", "embed"):
            self.runs.append(tag)

    def handle_endtag(self, tag: str) -> None:
        self._hidden -= tag in ("style", "svg")

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))


def test_a_page_shows_the_reports_figures() -> None:
    text = _Page(render_load(REPORT, past=PAST)).text
    for name, rows in COUNTS.items():
        if name != "rows_read":
            assert re.search(rf"\b{name} [A-Za-z:;,` ]+ {rows:,} ", text), name
    for figure in ("9,321 read", "1.8% rejected", "+261,234.50", "301,234.50", "+61,234.50", "-200.00", "-3"):
        assert figure in text, figure
    assert "Outcome of every row" in text
    assert "171 unknown_customer" in text or re.search(r"unknown_customer .* 171", text)
    assert "As usual" in text


def test_a_page_names_the_file_that_had_the_same_content() -> None:
    same = EarlierFile("transactions/year=2023/month=03/day=14/day.csv", "2023-03-14T06:12:31+00:00")
    unchanged = {**COUNTS, "inserted": 0, "updated": 0, "unchanged": 8794}
    text = _Page(render_load(replace(REPORT, counts=unchanged, same_content=same))).text
    assert "It changed nothing: it has the same content as day.csv, uploaded on 2023-03-14 06:12 UTC." in text


def test_commands_in_a_sentence_are_set_as_code_and_nothing_else_is() -> None:
    error = Error("use `pipeline <check>` & <b>again</b>", False, "FileRefused")
    page = render_load(replace(REFUSED, error=error))
    assert "use <code>pipeline &lt;check&gt;</code> &amp; &lt;b&gt;again&lt;/b&gt;" in page


def test_a_page_of_a_refused_file_says_why() -> None:
    text = _Page(render_load(REFUSED)).text
    assert "Not loaded: day.csv, line 3: the byte 0xff is not UTF-8" in text
    assert "Outcome of every row" not in text


@pytest.mark.parametrize(
    "page", [render_load(REPORT, past=PAST), render_load(REFUSED), render_index([REPORT, REFUSED], lambda _: "1.html")]
)
def test_a_page_asks_for_nothing_and_runs_nothing(page: str) -> None:
    seen = _Page(page)
    assert (seen.asks, seen.runs) == ([], [])
    assert "url(" not in page
    assert "@import" not in page
    assert len(page.encode()) < 300_000


def test_what_a_file_says_is_text_on_the_page() -> None:
    hostile = "<script>alert(1)</script>\"'&"
    report = replace(
        REPORT,
        key=f"transactions/year=2023/month=03/day=15/{hostile.replace('/', '')}.csv",
        ignored_columns=[hostile],
        error=Error(hostile, False, hostile),
        amount_classes={hostile: ClassAmount(1, "1.00")},
    )
    for page in (render_load(report), render_index([report], lambda _: "1.html")):
        assert _Page(page).runs == []
    assert hostile in _Page(render_load(report)).text


def test_the_same_report_gives_the_same_page() -> None:
    assert render_load(REPORT, past=PAST) == render_load(REPORT, past=PAST)


@pytest.mark.parametrize("event", ["flow_in", "retract"])
def test_a_correction_is_shown_without_a_balance(event: str) -> None:
    counts = {**dict.fromkeys(COUNTS, 0), "inserted": 3, "rejected": -3}
    text = _Page(render_load(replace(REPORT, event=event, counts=counts, removed=5, restored=2))).text
    assert "Outcome of every row" not in text
    wanted = "3 rows that had waited" if event == "flow_in" else "Taken back: 5 transactions are gone, 2 are as before"
    assert wanted in text


def test_the_index_lists_every_load_newest_first() -> None:
    later = replace(REPORT, finished_at="2023-03-17T00:00:00+00:00", key=REPORT.key.replace("15", "16"))
    page = render_index([REPORT, later, REFUSED], lambda report: f"{report.outcome}.html")
    text = _Page(page).text
    assert "2 of 3 loaded." in text
    assert text.index("transactions_2023-03-16.csv") < text.index("transactions_2023-03-15.csv")
    assert page.count('href="succeeded.html"') == 2
