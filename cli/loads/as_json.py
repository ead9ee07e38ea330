"""A load as JSON and as a line of text: one shape for every command that shows loads."""

from __future__ import annotations

from typing import Any

from cli.loads.loads import Load
from lambdas.printable import printable
from schemas.drops import parse_key

_INDENT = " " * 18


def load_json(load: Load) -> dict[str, Any]:
    """The shape `load` of docs/commands.schema.json."""
    status, report = load.status, load.report
    day = parse_key(load.drop.key).partition_day
    return {
        "load_id": load.load_id,
        "file": status.file_name,
        "day": day.isoformat() if day else None,
        "kind": parse_key(load.drop.key).kind,
        "uri": load.drop.uri,
        "version_id": load.drop.version_id,
        # The key is part of docs/commands.schema.json, which scripts rely on.
        "stage": status.phase.value,
        "attempt": status.attempt,
        "is_retried": status.is_retried,
        "error": status.error,
        "counts": report.counts if report else None,
        "changed_at": load.changed_at.isoformat() if load.changed_at else None,
    }


def load_line(load: Load, columns: int | None = None) -> str:
    """One line: when, phase, id, file, and what happened to its rows.

    For a terminal of so many columns a second line has what does not fit, cut at the last column.
    """
    changed = load.changed_at.strftime("%Y-%m-%d %H:%M") if load.changed_at else "-"
    status = load.status
    place = f"{changed:<16}  {status.phase.value:<8}  {load.load_id}  {status.file_name}"
    line = f"{place}  {status.summary}".rstrip()
    if columns is None or len(line) <= columns:
        return line
    return f"{place}\n{printable(f'{_INDENT}{status.summary}', columns)}"
