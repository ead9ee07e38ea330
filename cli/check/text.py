"""The output of `pipeline check` for a file: text for a person, or a JSON object."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from cli.check.file_check import FileCheck
from cli.check.number_forms import with_two_meanings
from cli.check.proposals import TITLES, Proposal, ambiguous_dates
from cli.check.result import CheckResult
from schemas.counted import agreeing, counted
from schemas.reject_reasons import REJECT_REASONS
from schemas.reports import beside_name

_MOST_WORDS = 12


def as_text(check: FileCheck) -> str:
    """The file, its counts, the reject reasons with samples and the wanted form, and a proposal."""
    result = check.result
    lines = [f"{check.path.name} ({check.kind}, source {check.source})"]
    if result.rows:
        counts = [f"{result.accepted:,} accepted", f"{result.rejected:,} rejected"]
        counts += [f"{result.duplicate:,} of the accepted rows repeat another row"] if result.duplicate else []
        lines.append(f"  {counted(result.rows, 'row')}: {', '.join(counts)}")
    if result.refusal:
        lines.append(f"  refused: {beside_name(result.refusal, check.path.name)}")
    lines += _reasons(result)
    lines += [f"  {sentence}" for sentence in result.reused_ids.sentences()]
    if result.ignored_columns:
        lines.append(f"  ignored columns: {', '.join(result.ignored_columns)}")
    lines += _advice(check)
    # A file that nobody could read has no ids to look up.
    notes = check.notes if result.rows or not result.refusal else ()
    return "\n".join([*lines, *(f"  note: {note}" for note in notes)])


def as_json(check: FileCheck) -> dict[str, Any]:
    """The same as a JSON object."""
    result, proposal = check.result, check.proposal
    return {
        "file": str(check.path),
        "kind": check.kind,
        "source": check.source,
        "outcome": "refused" if result.refusal else "look_at_rows" if result.needs_a_look else "good",
        "refusal": result.refusal,
        "rows": result.rows,
        "accepted": result.accepted,
        "duplicate": result.duplicate,
        "rejected": result.rejected,
        "reject_reasons": {reason: asdict(rejected) for reason, rejected in result.reasons.items()},
        "values": {reason: dict(values.most_common(_MOST_WORDS)) for reason, values in result.values.items()},
        "ignored_columns": list(result.ignored_columns),
        "reused_ids": asdict(result.reused_ids),
        "proposal": proposal
        and {"source": proposal.preset, "settings": proposal.changes, "loaded": proposal.result.loaded},
        "notes": list(check.notes),
    }


def _reasons(result: CheckResult) -> list[str]:
    lines = []
    for reason, rejected in result.reasons.items():
        known = REJECT_REASONS[reason]
        lines.append(f"  {rejected.rows:,} × {reason}: {known.meaning}; wanted is {known.wanted}")
        values = result.values.get(reason)
        if values:
            words = [f"{value!r} ({count:,})" for value, count in values.most_common(_MOST_WORDS)]
            more = f" and {len(values) - _MOST_WORDS:,} more" if len(values) > _MOST_WORDS else ""
            lines.append(f"      found: {', '.join(words)}{more}")
        lines += [f"      line {sample.source_line}: {sample.in_words(reason)}" for sample in rejected.samples]
    return lines


def _advice(check: FileCheck) -> list[str]:
    if check.proposal:
        return [f"  proposal: {_proposal(check.proposal)}"]
    values, advice = check.result.values, []
    either = ambiguous_dates(values.get("invalid_transaction_date", ()))
    if either:
        advice.append(f"dates: they can be read as {' and as '.join(either)}; set date_formats to one")
    numbers = with_two_meanings([*values.get("invalid_quantity", ()), *values.get("invalid_unit_price", ())])
    if numbers:
        advice.append(
            f'numbers: {numbers[0]!r} has two meanings; set `thousands_separator: ","` where the point is the decimal '
            'mark, or `decimal_comma: true` and `thousands_separator: "."` where it is the comma'
        )
    return [f"  no proposal for the {sentence}" for sentence in advice]


def _proposal(proposal: Proposal) -> str:
    result = proposal.result
    then = f"then {result.loaded:,} of {counted(result.rows, 'row')} {agreeing(result.loaded, 'is', 'are')} loaded"
    if proposal.preset:
        return f"it looks like {TITLES.get(proposal.preset, proposal.preset)}: `source: {proposal.preset}`; {then}"
    settings = "; ".join(f"`{key}: {json.dumps(value, ensure_ascii=False)}`" for key, value in proposal.changes.items())
    return f"a file in sources/ with {settings}; {then}"
