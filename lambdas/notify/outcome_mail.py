"""The mail about the last attempt at a load, in words for a shop's analyst.

The subject says what happened and whether the reader must act. Failures before a successful attempt are not mailed:
they need no action.

Text from a file, a key or a log is shown on one line and cut (lambdas.printable), so it cannot look like a line of the
mail itself. Only the contract's columns of a row are shown.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

from lambdas.notifier import Mail
from lambdas.notify.console_links import log_link, object_link
from lambdas.notify.failures import describe_failure, state_of_the_warehouse, what_to_do
from lambdas.notify.figures import money, need_a_look, not_as_usual, notes, reasons, rows, signed
from lambdas.notify.mail_context import MailContext, file_and_day, short_day
from lambdas.printable import printable
from schemas.counted import agreeing, counted
from schemas.reports import REUSED_ADVICE, EarlierFile, Report, beside_name
from schemas.work_bucket import page_key

_URI, _SENTENCE, _RUN_MESSAGE, _EARLIER = 1200, 1500, 1000, 300
# The subject is cut at its end.
_NAME_IN_SUBJECT, _FAILURE_IN_SUBJECT = 40, 60


def outcome_mail(context: MailContext) -> Mail:
    """The mail about an attempt that is over."""
    sections = [
        [*_sentences(context), f"What you need to do: {_to_do(context)}"],
        money(context),
        rows(context),
        reasons(context.report),
        notes(context.loaded),
        _commands(context),
        _operator(context),
    ]
    body = "\n\n".join("\n".join(section) for section in sections if section)
    return Mail(f"[{context.stack}] {_subject(context)}", body + "\n")


def _subject(context: MailContext) -> str:
    subject = context.day or context.name(_NAME_IN_SUBJECT)
    report = context.loaded
    if report is None:
        # A subject is ASCII.
        failure = _failure(context, _FAILURE_IN_SUBJECT).replace("…", "...")
        return f"{subject} NOT {'taken back' if context.is_retraction else 'loaded'}: {failure}"
    if context.is_retraction:
        return f"{subject} taken back: {signed(report.change)}, {counted(report.removed, 'transaction')} removed"
    if context.is_flow_in:
        added = -context.counts.get("rejected", 0)
        return f"{subject}: {counted(added, 'waiting row')} loaded, {signed(report.change)}"
    look = _rows_in_short(context)
    if context.changed_nothing:
        if context.same_content is not None:
            return f"{subject}: nothing changed (same content as on {_moment(context.same_content)})"
        return f"{subject}: nothing changed" + (f", {look}" if context.counts.get("rejected") else "")
    again = " again" if report.first_commit is not None and context.earlier.were_mailed else ""
    change = f"{signed(context.change)}, " if context.change is not None else ""
    unusual = ", not as usual" if report.comparison is not None and not report.comparison.is_usual else ""
    to_come = ", of a day to come" if _is_of_a_day_to_come(report) else ""
    return f"{subject} loaded{again}{to_come or unusual}: {change}{look}"


def _failure(context: MailContext, longest: int) -> str:
    """The failure without the file's name, since the subject already begins with the day or the name."""
    name = context.drop.key.rpartition("/")[2]
    return printable(beside_name(describe_failure(context.run, context.report), name), longest)


def _rows_in_short(context: MailContext) -> str:
    """`8,655 rows, as usual`, or `173 of 8,655 rows need a look (2.0 %, as usual)`."""
    read, rejected = context.counts.get("rows_read", 0), context.counts.get("rejected", 0)
    waiting = context.report.waiting if context.report is not None else 0
    to_look_at = max(rejected - waiting, 0)
    if to_look_at:
        return need_a_look(to_look_at, read, is_usual=context.is_usual)
    if waiting:
        return f"{waiting:,} of {counted(read, 'row')} {agreeing(waiting, 'waits', 'wait')} for a customer or product"
    return counted(read, "row") + (", as usual" if context.is_usual else "")


def _sentences(context: MailContext) -> list[str]:
    """The first sentences: what happened, and whether an earlier mail still holds."""
    report = context.loaded
    if report is None:
        done = "taken back" if context.is_retraction else "loaded"
        sentences = [f"{context.file_and_day} is NOT {done}: {_failure(context, _SENTENCE)}."]
        if not context.is_retraction:
            sentences.append(state_of_the_warehouse(context))
        return sentences + _earlier(context)
    if context.is_retraction:
        sentence = f"{context.file_and_day} is taken back: the warehouse is as if it had never been loaded."
    elif context.is_flow_in:
        sentence = f"Rows of {context.file_and_day} that waited for a customer or product are loaded."
    elif context.same_content is not None:
        sentence = f"{context.file_and_day} is loaded and changed nothing: {_same(context.same_content)}."
    elif context.changed_nothing:
        sentence = f"{context.file_and_day} is loaded and changed nothing: {report.why_nothing_changed}."
    else:
        sentence = f"{context.file_and_day} is loaded."
    if context.earlier.last_mail_was_failure:
        sentence += " This settles the failure that was mailed before."
    if context.is_usual:
        return [f"{sentence} As usual for a {context.weekday}."]
    return [sentence, *not_as_usual(context)]


def _same(earlier: EarlierFile) -> str:
    """The sentence about an earlier file with the same content."""
    return f"it has the same content as {file_and_day(earlier.key)}, uploaded on {_moment(earlier)} UTC"


def _earlier(context: MailContext) -> list[str]:
    deferred = context.earlier.deferred
    if not deferred:
        return []
    failures = [f"Attempt {attempt}: {printable(text, _EARLIER)}." for attempt, text in deferred.items()]
    before = f"the {len(deferred)} before it" if len(deferred) > 1 else "the one before it"
    return [f"This was attempt {context.attempt}; {before} failed too. {' '.join(failures)}"]


def _to_do(context: MailContext) -> str:
    report = context.loaded
    if report is None:
        return what_to_do(context)
    if context.is_retraction or context.is_flow_in:
        return "nothing."
    if _is_of_a_day_to_come(report):
        return (
            f"check the day in the file's key, {report.partition_day}, which is after the upload. Rows of a later "
            f"day win over corrections from files of earlier days. If the day is wrong, run `pipeline retract "
            f"{report.load_id} --stack {context.stack}`, then upload the file under its own day."
        )
    if context.day_sent_again is not None:
        return f"ask the sender for the file of {context.day}: this one is the file of {context.day_sent_again} again."
    if report.comparison is not None and report.comparison.is_alarming:
        return "ask the sender whether the file is whole and right; if it is not, upload the right one."
    to_look_at = context.counts.get("rejected", 0) - report.waiting
    tasks = []
    if to_look_at > 0:
        rejected = counted(to_look_at, "rejected row")
        of_rejected = "file of rejected rows and upload that file"
        if (report.rejected_uri or "").endswith("/"):
            of_rejected = "files of rejected rows and upload those files"
        tasks.append(f"correct the {rejected} in the {of_rejected}.")
    if report.reused_ids:
        tasks.append(f"look at the transaction_ids with several customers or products. {REUSED_ADVICE}")
    return " Then ".join(tasks) or "nothing."


def _moment(earlier: EarlierFile) -> str:
    """`20 Mar 06:12`, of the upload (UTC)."""
    uploaded_at = datetime.fromisoformat(earlier.uploaded_at).astimezone(UTC)
    return f"{short_day(uploaded_at)} {uploaded_at:%H:%M}"


def _is_of_a_day_to_come(report: Report) -> bool:
    """True when the day of the file had begun nowhere on earth (UTC+14) when the file was uploaded."""
    if report.partition_day is None or report.uploaded_at is None:
        return False
    uploaded_at = datetime.fromisoformat(report.uploaded_at).astimezone(timezone(timedelta(hours=14)))
    return date.fromisoformat(report.partition_day) > uploaded_at.date()


def _commands(context: MailContext) -> list[str]:
    load_id, stack = context.drop.load_id, context.stack
    lines = [f"  pipeline show {load_id} --stack {stack}"]
    if context.report is not None and context.report.rejected_uri:
        lines.append(f"  pipeline rejected {load_id} --stack {stack}")
    if not context.is_retraction:
        lines.append(f"  pipeline replay {load_id} --stack {stack}")
    return lines


def _operator(context: MailContext) -> list[str]:
    """The full names of everything, below a line."""
    drop, report = context.drop, context.report
    named = {
        "file": printable(drop.uri, _URI),
        "version": printable(drop.version_id, _URI),
        "load": f"{drop.load_id}, attempt {context.attempt}",
        "run": f"{context.run.job_name} {context.run.run_id}, {context.run.state}",
        "log": log_link(context.region, context.job_log_group, context.run.run_id),
    }
    if report is not None:
        key = page_key(drop.load_id, context.attempt)
        named["page"] = object_link(context.region, context.work_bucket, key)
        if report.rejected_uri:
            rejected_key = report.rejected_uri.removeprefix(f"s3://{context.work_bucket}/")
            named["rejected"] = object_link(context.region, context.work_bucket, rejected_key[:_URI])
        if report.ignored_columns:
            named["ignored"] = f"{counted(len(report.ignored_columns), 'column')} that the contract does not have"
    if context.run.message and context.loaded is None:
        named["message"] = printable(context.run.message, _RUN_MESSAGE)
    return ["-" * 60, *(f"  {name:<9}{value}" for name, value in named.items())]
