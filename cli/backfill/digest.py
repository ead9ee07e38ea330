"""The mail about a backfill: the outcome of its files, and the files that need a person."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from decimal import Decimal

from cli.loads.loads import Load
from lambdas.notifier import Mail
from lambdas.notify.figures import need_a_look, signed
from lambdas.printable import printable
from schemas.counted import agreeing, counted
from schemas.counts import COUNTS, ROW_WORDS
from schemas.drops import parse_key
from schemas.reject_reasons import REJECT_REASONS
from schemas.reports import Report

_MANY = 4
"""The longest that any list in the mail may be."""
_NAME, _SENTENCE = 80, 160


def digest_mail(loads: Sequence[Load], *, name: str, stack: str) -> Mail:
    """The mail about all loads of a backfill; all of them are settled."""
    failed = [load for load in loads if load.is_failed]
    reports = [load.report for load in loads if load.report is not None and not load.is_failed]
    counts, waiting = _counts(reports), sum(report.waiting for report in reports)
    to_look_at = max(counts["rejected"] - waiting, 0)
    subject = f"[{stack}] Backfill of {counted(len(loads), 'file')}: {signed(_change(reports))}, "
    if failed:
        subject += f"{counted(len(failed), 'file')} NOT loaded"
    else:
        read = counts["rows_read"]
        subject += need_a_look(to_look_at, read) if to_look_at else counted(read, "row")
    sections = [
        [_what_happened(loads, failed), f"What you need to do: {_to_do(failed, to_look_at, stack)}"],
        ["Money, as the change of the warehouse", f"  {'all transactions':<42}{signed(_change(reports)):>18}"],
        ["Rows", f"  {counts['rows_read']:>12,}  in the files", *_rows(counts, waiting)],
        _reasons(reports),
        _files("Not loaded", [(load, load.status.summary) for load in failed]),
        _files("Most rejected rows", [(load, counted(load.status.rejected, "row")) for load in _most_rejected(loads)]),
        [f"  pipeline loads --stack {stack}", *([f"  pipeline loads --failed --stack {stack}"] if failed else [])],
        ["-" * 60, f"  backfill  {name}", f"  days      {_days(loads)}"],
    ]
    return Mail(subject, "\n\n".join("\n".join(section) for section in sections if section) + "\n")


def stopped_mail(failed: Sequence[Load], transactions: int, *, name: str, stack: str) -> Mail:
    """The mail about a backfill that stopped before its transactions, because dimensions were not loaded."""
    names = " and ".join(printable(load.status.file_name, _NAME) for load in failed)
    are, files = agreeing(len(failed), "is", "are"), counted(transactions, "file")
    sections = [
        [
            f"{names} {are} NOT loaded, so none of the backfill's {files} of transactions was uploaded.",
            f"What you need to do: correct {agreeing(len(failed), 'this file', 'these files')} and run the backfill "
            "again. If the file is right, replay its load first.",
        ],
        _files("Not loaded", [(load, load.status.summary) for load in failed]),
        [f"  pipeline replay {load.load_id} --stack {stack}" for load in failed],
        ["-" * 60, f"  backfill  {name}"],
    ]
    subject = f"[{stack}] Backfill stopped: {names} NOT loaded, {files} not uploaded"
    return Mail(subject, "\n\n".join("\n".join(section) for section in sections) + "\n")


def _what_happened(loads: Sequence[Load], failed: Sequence[Load]) -> str:
    loaded = len(loads) - len(failed)
    what = f"{loaded:,} of {counted(len(loads), 'file')} of a backfill {agreeing(loaded, 'is', 'are')} loaded"
    what += f"; {counted(len(failed), 'file')} NOT." if failed else "."
    return f"{what} This is the only mail about them."


def _to_do(failed: Sequence[Load], to_look_at: int, stack: str) -> str:
    steps = [f"correct and upload again what is not loaded ({counted(len(failed), 'file')})"] if failed else []
    if to_look_at:
        steps.append(f"look at the {counted(to_look_at, 'rejected row')} with `pipeline rejected LOAD --stack {stack}`")
    return "; ".join(steps) + "." if steps else "nothing."


def _rows(counts: Counter[str], waiting: int) -> list[str]:
    lines = [f"  {counts[count]:>12,}  {words}" for count, words in ROW_WORDS.items() if counts[count]]
    if waiting:
        those = agreeing(waiting, "waits", "wait")
        lines.append(f"  {waiting:>12,}  of the rejected {those} for a customer or product")
    return lines


def _counts(reports: Iterable[Report]) -> Counter[str]:
    counts: Counter[str] = Counter(dict.fromkeys(COUNTS, 0))
    for report in reports:
        # Rows of products and customers are not counted as transactions.
        if report.partition_day is not None:
            counts.update(report.first_commit or report.counts or {})
    return counts


def _change(reports: Iterable[Report]) -> str:
    return str(sum((Decimal(report.first_change or report.change or 0) for report in reports), Decimal(0)))


def _reasons(reports: Iterable[Report]) -> list[str]:
    rows: Counter[str] = Counter()
    for report in reports:
        rows.update({reason: rejected.rows for reason, rejected in report.reject_reasons.items()})
    lines = [
        f"  {number:>12,}  {reason}: {REJECT_REASONS[reason].meaning}"
        for reason, number in rows.most_common(_MANY)
        if reason in REJECT_REASONS
    ]
    return ["Why rows were rejected (a row can have several reasons)", *lines] if lines else []


def _most_rejected(loads: Sequence[Load]) -> list[Load]:
    return sorted((load for load in loads if load.status.rejected), key=lambda load: -load.status.rejected)


def _files(title: str, files: Sequence[tuple[Load, str]]) -> list[str]:
    if not files:
        return []
    lines = [
        f"  {printable(load.status.file_name, _NAME)} ({load.load_id}): {printable(text, _SENTENCE)}"
        for load, text in files[:_MANY]
    ]
    more = [f"  and {len(files) - _MANY:,} more"] if len(files) > _MANY else []
    return [title, *lines, *more]


def _days(loads: Sequence[Load]) -> str:
    days = sorted(day for load in loads if (day := parse_key(load.drop.key).partition_day) is not None)
    return f"{days[0]} to {days[-1]}" if days else "none"
