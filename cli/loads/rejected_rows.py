"""The rejected file of a load, read row by row."""

from __future__ import annotations

import csv
import io
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from cli.loads.loads import Load
from cli.pipelines.pipeline import Pipeline
from cli.refusals import Refused
from schemas.rejected_file import REASON_SEPARATOR, REJECT_REASONS_COLUMN, SOURCE_LINE, SOURCE_TEXT


@dataclass(frozen=True)
class RejectedRow:
    line: int
    """The line in the drop, counted from 1."""
    reasons: list[str]
    values: dict[str, str]
    """Column -> value; empty for a malformed row."""
    text: str


@dataclass(frozen=True)
class RejectedRows:
    reasons: dict[str, int]
    """Reason -> number of rows, the most frequent first; a row with two reasons counts for both."""
    rows: list[RejectedRow]


def read_rejected_rows(pipeline: Pipeline, load: Load, *, reason: str | None = None) -> RejectedRows:
    """The rejected rows of a load, in the order of the file; raises Refused where none has the reason."""
    if load.report is None or load.report.rejected_uri is None:
        return RejectedRows({}, [])
    content = io.StringIO(_read(pipeline, load).decode("utf-8-sig"), newline="")
    rows = [_row(values) for values in csv.DictReader(content)]
    reasons = dict(Counter(each for row in rows for each in row.reasons).most_common())
    if reason is not None:
        if reason not in reasons:
            raise Refused(f"no row was rejected for {reason!r}; the reasons are {', '.join(reasons)}")
        rows = [row for row in rows if reason in row.reasons]
    return RejectedRows(reasons, rows)


def save_rejected_file(pipeline: Pipeline, load: Load, out: Path) -> None:
    """Write the rejected file as it is; raises Refused where there is none, or where `out` exists."""
    if load.report is None or load.report.rejected_uri is None:
        raise Refused(f"{load.status.file_name} has no rejected file")
    content = _read(pipeline, load)
    try:
        with out.open("xb") as file:
            file.write(content)
    except FileExistsError:
        raise Refused(f"{out} exists already; name another file") from None


def _read(pipeline: Pipeline, load: Load) -> bytes:
    assert load.report is not None
    bucket, _, key = str(load.report.rejected_uri).removeprefix("s3://").partition("/")
    s3 = pipeline.client("s3")
    try:
        content: bytes = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    except s3.exceptions.NoSuchKey:
        raise Refused(
            f"the rejected file of {load.status.file_name} has expired; replay the load to get it again"
        ) from None
    return content


def _row(values: dict[str, str]) -> RejectedRow:
    reasons = [reason for reason in (values.pop(REJECT_REASONS_COLUMN) or "").split(REASON_SEPARATOR) if reason]
    line, text = int(values.pop(SOURCE_LINE)), values.pop(SOURCE_TEXT, "") or ""
    named = {name: value for name, value in values.items() if name is not None and value}
    shown = text or "  ".join(f'{name} "{value}"' for name, value in named.items())
    return RejectedRow(line, reasons, named, shown)
