"""The money, the rows and the reasons of a mail, each as a section of lines."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation

from lambdas.notify.mail_context import MailContext
from lambdas.printable import printable
from schemas.counted import agreeing, counted
from schemas.counts import ROW_WORDS
from schemas.reject_reasons import REJECT_REASONS
from schemas.reports import ClassAmount, RejectedFor, Report
from schemas.usual import USUAL

_MANY = 7
"""The maximum number of entries shown of any list in a report."""
_TOP_REASONS = 3
_PERCENT = 100
_VALUE = 100


def signed(amount: str | None) -> str:
    """`+1,012.40`, `-5.00` or `0.00`."""
    try:
        value = Decimal(amount or "0")
        return f"{value:+,.2f}" if value else "0.00"
    except (InvalidOperation, ValueError):
        return printable(amount or "", 40)


def need_a_look(rows: int, read: int, *, is_usual: bool = False) -> str:
    """`173 of 8,655 rows need a look (2.0 %, as usual)`."""
    share = _PERCENT * rows / read if read else 0
    usual_share = ", as usual" if is_usual else ""
    return f"{rows:,} of {counted(read, 'row')} {agreeing(rows, 'needs', 'need')} a look ({share:.1f} %{usual_share})"


def not_as_usual(context: MailContext) -> list[str]:
    """Differences from recent loads of its weekday; empty for a usual load or if there are too few."""
    comparison = context.loaded.comparison if context.loaded is not None else None
    if comparison is None or comparison.is_usual:
        return []
    measures = [
        (comparison.rows, "{:,.0f} rows, usually {:,.0f}"),
        (comparison.change, "money {:+,.2f}, usually {:+,.2f}"),
        (comparison.rejected_share, "{:.1%} of the rows rejected, usually {:.1%}"),
    ]
    words = [form.format(measure.value, measure.usual) for measure, form in measures if measure.verdict != USUAL]
    return [f"Not as usual for a {context.weekday}: {'; '.join(words)}."]


def money(context: MailContext) -> list[str]:
    """The change of the warehouse; nothing for a dimension."""
    report = context.loaded
    if report is None or context.change is None:
        return []
    all_transactions = _amount("all transactions", context.change)
    if report.comparison is not None:
        all_transactions += f"  (usually {signed(str(report.comparison.change.usual))})"
    lines = ["Money, as the change of the warehouse", all_transactions]
    if report.sales_change is not None and not context.includes_first_commit:
        lines.append(_amount("net sales (not cancelled, not refunded)", report.sales_change))
    if not context.includes_first_commit:
        lines += _parts("by status", report.statuses)
        lines += _parts("by amount class", report.amount_classes)
    if report.day_sales is not None and context.day is not None:
        lines.append(f"  net sales of {context.day} after it: {signed(report.day_sales).lstrip('+')}")
    return lines


def rows(context: MailContext) -> list[str]:
    """The outcome of every row."""
    report = context.loaded
    if report is None:
        return []
    if context.is_retraction:
        return [
            "Transactions",
            _count(report.removed, "removed"),
            _count(report.restored, "again as another load had them"),
        ]
    counts = context.counts
    if context.is_flow_in:
        arrived = -counts.get("rejected", 0)
        lines = ["Rows that had waited", _count(arrived, f"{agreeing(arrived, 'is', 'are')} not rejected any more")]
    else:
        lines = ["Rows", _count(counts.get("rows_read", 0), "in the file")]
    for name, words in ROW_WORDS.items():
        reused = report.reused_ids.in_words() if name == "duplicate" else ""
        if counts.get(name, 0) > 0:
            lines.append(_count(counts[name], f"{words}; {printable(reused, 4 * _VALUE)}" if reused else words))
    if report.reused_ids.known_ids:
        words = printable(report.reused_ids.known_in_words(), 4 * _VALUE)
        lines.append(_count(report.reused_ids.known_ids, words))
    if report.waiting:
        those = agreeing(report.waiting, "waits: it is loaded when its", "wait: they are loaded when their")
        lines.append(_count(report.waiting, f"of the rejected {those} customer or product is"))
    if report.stopped_waiting:
        those = agreeing(report.stopped_waiting, "is not loaded automatically", "are not loaded automatically")
        lines.append(_count(report.stopped_waiting, f"had waited too long and {those} any more"))
    if report.first_commit is not None and not context.includes_first_commit and report.event != "flow_in":
        first = report.first_commit
        lines.append(
            f"  An earlier attempt loaded it first: {first.get('inserted', 0):,} new, {first.get('updated', 0):,} "
            f"changed, {first.get('rejected', 0):,} rejected, {signed(report.first_change)}."
        )
    return lines


def reasons(report: Report | None) -> list[str]:
    """The most frequent reasons, with one sample and the wanted form of each."""
    if report is None or not report.reject_reasons:
        return []
    ordered = sorted(report.reject_reasons.items(), key=lambda item: (-item[1].rows, item[0]))
    lines = ["Why rows were rejected (a row can have several reasons)"]
    lines += [_reason(reason, rejected) for reason, rejected in ordered[:_TOP_REASONS]]
    less_frequent = ordered[_TOP_REASONS:]
    if less_frequent:
        rows_of_less_frequent = counted(sum(rejected.rows for _, rejected in less_frequent), "row")
        lines.append(f"  and {rows_of_less_frequent} for {counted(len(less_frequent), 'other reason')}")
    return lines


def notes(report: Report | None) -> list[str]:
    """The corrections in the rows of a dimension."""
    return [printable(note, 5 * _VALUE) for note in report.notes[:_MANY]] if report is not None else []


def _reason(reason: str, rejected: RejectedFor) -> str:
    declared = REJECT_REASONS.get(reason)
    text = f"  {counted(rejected.rows, 'row')}, {printable(reason, 40)}"
    if rejected.samples:
        sample = rejected.samples[0]
        words = sample.in_words(reason)
        text += f": line {sample.source_line:,}" + (f" has {printable(words, 2 * _VALUE)}" if words else "")
    if declared is None:
        return text
    return f"{text}; wanted: {declared.wanted}" if declared.wanted else f"{text}; {declared.meaning}"


def _parts(label: str, changes: Mapping[str, ClassAmount]) -> list[str]:
    changed = [(name, change) for name, change in changes.items() if change.rows or signed(change.amount) != "0.00"]
    parts = [f"{printable(name, 20)} {signed(change.amount)}" for name, change in changed[:_MANY]]
    return [f"  {label}: {', '.join(parts)}"] if parts else []


def _amount(label: str, amount: str) -> str:
    return f"  {label:<40}{signed(amount):>20}"


def _count(number: int, words: str) -> str:
    return f"  {number:>12,}  {words}"
