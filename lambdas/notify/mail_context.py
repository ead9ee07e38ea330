"""The facts for a mail about an attempt, and the names of its file and day."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date

from lambdas.notify.earlier_attempts import EarlierAttempts
from lambdas.printable import printable
from lambdas.runs import Run
from schemas.drops import Drop, KeyOutsideLayout, parse_key
from schemas.reports import SUCCEEDED, EarlierFile, Report
from schemas.runs import FLOW_IN, RETRACT

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


@dataclass(frozen=True)
class MailContext:
    """An attempt that is over."""

    run: Run
    drop: Drop
    attempt: int
    report: Report | None
    """None when the attempt died before it could write one."""
    earlier: EarlierAttempts
    stack: str
    region: str
    work_bucket: str
    job_log_group: str

    @property
    def loaded(self) -> Report | None:
        """The report of an attempt that succeeded; None otherwise."""
        return self.report if self.report is not None and self.report.outcome == SUCCEEDED else None

    @property
    def is_usual(self) -> bool:
        """True for a load like the recent ones of its weekday."""
        report = self.loaded
        return report is not None and report.comparison is not None and report.comparison.is_usual

    @property
    def is_flow_in(self) -> bool:
        return self.report is not None and self.report.event == FLOW_IN

    @property
    def is_retraction(self) -> bool:
        return self.report is not None and self.report.event == RETRACT

    @property
    def includes_first_commit(self) -> bool:
        """True when an earlier attempt committed the load, no mail was sent, and this attempt changed nothing."""
        report = self.loaded
        if report is None or report.first_commit is None or report.counts is None or self.earlier.were_mailed:
            return False
        first = report.first_commit
        return report.changed_nothing and all(
            first.get(name) == report.counts.get(name) for name in ("rejected", "duplicate")
        )

    @property
    def counts(self) -> dict[str, int]:
        """The counts of the rows."""
        if self.report is None:
            return {}
        first = self.report.first_commit if self.includes_first_commit else None
        return dict(first or self.report.counts or {})

    @property
    def change(self) -> str | None:
        """The change of the amount of all transactions; None for a dimension."""
        if self.report is None:
            return None
        return self.report.first_change if self.includes_first_commit else self.report.change

    @property
    def changed_nothing(self) -> bool:
        return self.loaded is not None and self.loaded.changed_nothing and not self.includes_first_commit

    @property
    def same_content(self) -> EarlierFile | None:
        """The earlier file with the same content, where the load changed nothing."""
        return self.report.same_content if self.report is not None and self.changed_nothing else None

    def name(self, limit: int) -> str:
        """The file's name; in quotes if it could be mistaken for text of the mail."""
        return _name(self.drop.key, limit)

    @property
    def day(self) -> str | None:
        """`21 Mar`; None for a dimension."""
        day = _day_of(self.drop.key)
        return short_day(day) if day else None

    @property
    def weekday(self) -> str | None:
        """`Tuesday`; None for a dimension."""
        day = _day_of(self.drop.key)
        return _WEEKDAYS[day.weekday()] if day else None

    @property
    def file_and_day(self) -> str:
        return file_and_day(self.drop.key)

    @property
    def day_sent_again(self) -> str | None:
        """`20 Mar`, where the file is one of that other day under the name of its own; None for any other file."""
        same = self.same_content
        day = _day_of(same.key) if same is not None else None
        return short_day(day) if day and day != _day_of(self.drop.key) else None


def short_day(day: date) -> str:
    """`21 Mar`."""
    return f"{day.day} {_MONTHS[day.month - 1]}"


def file_and_day(key: str) -> str:
    """`till.csv of 21 Mar 2023`; the name alone for a dimension."""
    day = _day_of(key)
    return f"{_name(key, 120)} of {short_day(day)} {day.year}" if day else _name(key, 120)


def _name(key: str, limit: int) -> str:
    file_name = key.rpartition("/")[2]
    name = printable(file_name, limit)
    if re.fullmatch(r"[\w.+=@~%-]*", file_name):
        return name
    return '"' + name.replace('"', "'") + '"'


def _day_of(key: str) -> date | None:
    try:
        return parse_key(key).partition_day
    except KeyOutsideLayout:
        # Only a person starts a run for such a key, and its mail has no day.
        return None
