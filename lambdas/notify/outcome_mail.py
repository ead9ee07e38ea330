"""The mail about the last attempt at a load, in words for a shop's analyst.

What went wrong on the way to a load that succeeded is not told: it asks nobody to act.

Everything that comes from a file, a key or a log is shown on one line and cut
(lambdas.printable): nothing in it can look like a line of the mail's own.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from lambdas.notifier import Mail
from lambdas.notify.earlier_attempts import EarlierAttempts
from lambdas.printable import printable, shell_word
from lambdas.runs import Run
from schemas.drops import Drop, KeyOutsideLayout, parse_key
from schemas.reject_reasons import REJECT_REASONS
from schemas.reports import SUCCEEDED, Report
from schemas.work_bucket import report_key

_URI, _NAME, _SENTENCE, _SAMPLE, _RUN_MESSAGE, _EARLIER = 1200, 120, 2000, 200, 4000, 400
# The subject is cut at its end, where the counts stand.
_NAME_IN_SUBJECT = 40
_MANY = 20
"""Of whatever a report lists, no more than this is shown."""

# 10 is what Glue's own wrapper ends with; 137 and -9 are the kernel's SIGKILL.
_OUT_OF_MEMORY = re.compile(r"exit code:? (?:10|137|-9)\b|SIGKILL|signal 9\b|out of memory|MemoryError", re.IGNORECASE)


@dataclass(frozen=True)
class MailContext:
    """What there is to tell of an attempt that is over."""

    run: Run
    drop: Drop
    attempt: int
    report: Report | None
    """None when the attempt died before it could write one."""
    earlier: EarlierAttempts
    environment: str
    work_bucket: str
    log_link: str

    @property
    def is_loaded(self) -> bool:
        return self.report is not None and self.report.outcome == SUCCEEDED

    @property
    def is_loaded_again(self) -> bool:
        return self.report is not None and self.report.first_commit is not None and self.earlier.are_told

    @property
    def counts(self) -> dict[str, int]:
        """What became of the rows. Where the attempt that committed them died untold, that is what it did."""
        if self.report is None:
            return {}
        first = None if self.is_loaded_again else self.report.first_commit
        return first or self.report.counts or {}

    @property
    def file_name(self) -> str:
        return self.drop.key.rpartition("/")[2]

    @property
    def day(self) -> str | None:
        try:
            day = parse_key(self.drop.key).partition_day
        except KeyOutsideLayout:
            # Nobody but a person starts a run for such a key; it is told like any other.
            return None
        return day.isoformat() if day else None


def outcome_mail(told: MailContext) -> Mail:
    """The mail about an attempt that is over."""
    report = told.report
    sections = [[_sentence(told)], _earlier(told), _what_now(told)]
    if report is not None and told.is_loaded:
        sections += [_balance(told, report), _amounts(report), _rejected(report), _ignored(report), _notes(report)]
    sections += [_run_message(told), _where(told)]
    body = "\n\n".join("\n".join(section) for section in sections if section)
    return Mail(_subject(told), body + "\n")


def _subject(told: MailContext) -> str:
    name = _name(told, _NAME_IN_SUBJECT)
    what = told.day or name
    if told.is_loaded:
        loaded = "Loaded again" if told.is_loaded_again else "Loaded"
        text = f"{loaded} {what}: {_counts_in_short(told.counts)}"
    else:
        text = f"FAILED {what}: not loaded ({name})"
    return f"[{told.environment}] {text}"


def _counts_in_short(counts: dict[str, int]) -> str:
    read, rejected = counts.get("rows_read", 0), counts.get("rejected", 0)
    return f"{read:,} rows, {read - rejected:,} accepted, {rejected:,} rejected"


def _named(told: MailContext) -> str:
    name = _name(told, _NAME)
    return f"{name} of {told.day}" if told.day else name


def _name(told: MailContext, limit: int) -> str:
    """The file's name; in quotes when it could be read as words of the mail."""
    name = printable(told.file_name, limit)
    if re.fullmatch(r"[\w.+=@~%-]*", told.file_name):
        return name
    return '"' + name.replace('"', "'") + '"'


def _sentence(told: MailContext) -> str:
    """What happened, in one sentence."""
    if told.is_loaded:
        again = " again" if told.is_loaded_again else ""
        return f"{_named(told)} is loaded{again}: {_counts_in_short(told.counts)}."
    return f"{_named(told)} {printable(describe_failure(told.run, told.report), _SENTENCE)}"


def describe_failure(run: Run, report: Report | None) -> str:
    """What became of an attempt that failed, to be read behind its name."""
    if report is not None and report.error is not None:
        return f"was not loaded: {report.error.sentence}"
    return _describe_crash(run)[0]


def _earlier(told: MailContext) -> list[str]:
    unnotified = told.earlier.unnotified
    if told.is_loaded or not unnotified:
        return []
    became = [f"Attempt {attempt} {printable(text.rstrip('.'), _EARLIER)}." for attempt, text in unnotified.items()]
    before = f"the {len(unnotified)} before it" if len(unnotified) > 1 else "the one before it"
    return [f"This was attempt {told.attempt}; {before} failed too. {' '.join(became)}"]


def _describe_crash(run: Run) -> tuple[str, str]:
    """What became of an attempt that left no report, and what a person can do about it."""
    if run.state == "TIMEOUT":
        limit = f" of {run.timeout_minutes} minutes" if run.timeout_minutes else ""
        return (
            f"was not finished within the job's time limit{limit}, so the run was ended before it could report.",
            "Give it more time (`pulumi config set jobTimeoutMinutes MINUTES`, then `pulumi up`) and replay it:",
        )
    if run.state == "STOPPED":
        return (
            "was being loaded when somebody stopped the run, before it could report.",
            "It is not tried again until you replay it:",
        )
    if _OUT_OF_MEMORY.search(run.message):
        return (
            "was not finished: the run needed more memory than it has and was ended before it could report.",
            "Give the job 1 DPU (`pulumi config set jobMaxCapacity 1`, then `pulumi up`) and replay it:",
        )
    if run.state == "SUCCEEDED":
        return (
            "may be loaded, but the run's report is missing or cannot be read.",
            "Look at the run's log; a replay writes a new report:",
        )
    return (
        f"was not finished: the run ended as {run.state} before it could report.",
        "Look at the run's message and log, mend what they name, and replay it:",
    )


def _what_now(told: MailContext) -> list[str]:
    if told.is_loaded:
        return []
    lines = []
    if told.report is None:
        lines.append(
            "Whether its rows reached the warehouse before that is not known; a replay is safe either way, for a row "
            "that is loaded twice stays one row."
        )
    else:
        lines.append("Nothing of it was loaded.")
    lines.append("The file stays in the drop bucket.")
    if told.report is None:
        lines.append(_describe_crash(told.run)[1])
    else:
        lines.append("If the file is to blame, correct it and drop it again; if not, mend the cause and replay it:")
    return [
        *lines,
        "",
        f"  pipeline replay {shell_word(told.drop.uri)} --version-id {shell_word(told.drop.version_id)}",
    ]


def _balance(told: MailContext, report: Report) -> list[str]:
    counts = dict(told.counts)
    read = counts.pop("rows_read", 0)
    lines = [f"  {name:<12}{rows:>16,}" for name, rows in counts.items()]
    lines = ["What became of every row", *lines, f"  {'':-<28}", f"  {'read':<12}{read:>16,}"]
    if told.is_loaded_again and report.first_commit:
        lines.append(f"  When it was loaded first: {_counts_in_short(report.first_commit)}.")
    return lines


def _amounts(report: Report) -> list[str]:
    if not report.amount_classes:
        return []
    classes = list(report.amount_classes.items())[:_MANY]
    lines = [
        f"  {printable(label, 20):<20}{found.rows:>12,} rows{_amount(found.amount):>26}" for label, found in classes
    ]
    if report.change is not None:
        rows = sum(found.rows for found in report.amount_classes.values())
        lines.append(f"  {'all':<20}{rows:>12,} rows{_amount(report.change):>26}")
    return ["Change of the warehouse, by amount class", *lines]


def _amount(text: str) -> str:
    try:
        return f"{Decimal(text):,.2f}"
    except (InvalidOperation, ValueError):
        return printable(text, 40)


def _meaning(reason: str) -> str:
    known = REJECT_REASONS.get(reason)
    return known.meaning if known else "a newer reason"


def _rejected(report: Report) -> list[str]:
    if not report.reject_reasons:
        return []
    reasons = sorted(report.reject_reasons.items(), key=lambda item: (-item[1].rows, item[0]))[:_MANY]
    lines = ["Why rows were rejected (a row can have several reasons)"]
    for reason, found in reasons:
        lines.append(f"  {printable(reason, 40)}, {found.rows:,} rows: {_meaning(reason)}")
        lines += [
            f"    line {sample.source_line:,}: {printable(sample.in_words, _SAMPLE)}" for sample in found.samples[:3]
        ]
    if report.rejected_uri:
        lines += [
            f"  All of them: {printable(report.rejected_uri, _URI)}",
            "  Corrected, that file can be dropped like any other.",
        ]
    return lines


def _ignored(report: Report) -> list[str]:
    if not report.ignored_columns:
        return []
    names = ", ".join(printable(name, 60) for name in report.ignored_columns[:_MANY])
    more = len(report.ignored_columns) - _MANY
    return [f"Columns that were ignored: {names}" + (f" and {more:,} more" if more > 0 else "")]


def _notes(report: Report) -> list[str]:
    return [printable(note, _SENTENCE) for note in report.notes[:_MANY]]


def _run_message(told: MailContext) -> list[str]:
    if told.is_loaded or not told.run.message:
        return []
    return ["The run's own message", f"  {printable(told.run.message, _RUN_MESSAGE)}"]


def _where(told: MailContext) -> list[str]:
    facts = {
        "file": printable(told.drop.uri, _URI),
        "version": printable(told.drop.version_id, _URI),
        "load": f"{told.drop.load_id}, attempt {told.attempt}",
        "run": f"{told.run.job_name} {told.run.run_id}, {told.run.state}",
        "log": told.log_link,
    }
    if told.report is not None:
        facts["report"] = f"s3://{told.work_bucket}/{report_key(told.drop.load_id, told.attempt)}"
    return ["Where to look", *(f"  {name:<9}{value}" for name, value in facts.items())]
