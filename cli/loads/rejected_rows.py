"""The rejected rows of a load, read from S3 row by row: one CSV, or a folder of them where the load was large."""

from __future__ import annotations

import csv
import io
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import Any

from cli.loads.loads import Load
from cli.pipelines.pipeline import Pipeline
from cli.refusals import Refused
from schemas.drops import parse_key
from schemas.rejected_file import REASON_SEPARATOR, REJECT_REASONS_COLUMN, SOURCE_LINE, SOURCE_TEXT
from schemas.work_bucket import rejected_folder, rejected_key


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
    """The first rows that are asked for."""
    total: int
    """The number of all rows that are asked for."""


def read_rejected_rows(pipeline: Pipeline, load: Load, *, reason: str | None, limit: int) -> RejectedRows:
    """The first rejected rows of a load, in the order of the file; raises Refused where none has the reason.

    All rows are read, and no more than `limit` are held.
    """
    if load.report is None or load.report.rejected_uri is None:
        return RejectedRows({}, [], 0)
    reasons: Counter[str] = Counter()
    first: list[RejectedRow] = []
    total = 0
    for row in _rows(pipeline, _kept_keys(pipeline, load)):
        reasons.update(row.reasons)
        if reason is None or reason in row.reasons:
            total += 1
            if len(first) < limit:
                first.append(row)
    if reason is not None and reason not in reasons:
        raise Refused(f"no row was rejected for {reason!r}; the reasons are {', '.join(reasons)}")
    return RejectedRows(dict(reasons.most_common()), first, total)


def reasons_of_lines(pipeline: Pipeline, drop_key: str, load_id: str, lines: set[int]) -> dict[int, list[str]]:
    """Line -> reject reasons, of these lines of a drop of transactions; empty where the rejected rows have expired."""
    return {row.line: row.reasons for row in _rows(pipeline, _keys(pipeline, drop_key, load_id)) if row.line in lines}


def save_rejected_rows(pipeline: Pipeline, load: Load, out: Path) -> None:
    """Write the rejected rows as one CSV; raises Refused where there are none, or where `out` exists."""
    if load.report is None or load.report.rejected_uri is None:
        raise Refused(f"{load.status.file_name} has no rejected file")
    keys = _kept_keys(pipeline, load)
    try:
        with out.open("xb") as file:
            for at, key in enumerate(keys):
                header, rows = _divided(_body(pipeline, key).iter_lines(keepends=True))
                file.writelines(rows if at else chain([header], rows))
    except FileExistsError:
        raise Refused(f"{out} exists already; name another file") from None
    except BaseException:
        out.unlink()
        raise


def _kept_keys(pipeline: Pipeline, load: Load) -> list[str]:
    keys = _keys(pipeline, load.drop.key, load.load_id)
    if not keys:
        raise Refused(f"the rejected rows of {load.status.file_name} have expired; replay the load to get them again")
    return keys


def _keys(pipeline: Pipeline, drop_key: str, load_id: str) -> list[str]:
    """The keys of a load's rejected rows, in the order of the file.

    An attempt by one worker writes a file, one by many workers a folder. What was written last counts.
    """
    drop = parse_key(drop_key)
    assert drop.partition_day is not None
    named = (drop.partition_day, drop.file_name, load_id)
    file, folder = rejected_key(*named), rejected_folder(*named)
    pages = pipeline.client("s3").get_paginator("list_objects_v2")
    written: dict[str, datetime] = {
        listed["Key"]: listed["LastModified"]
        for page in pages.paginate(Bucket=pipeline.output("work_bucket"), Prefix=file.removesuffix(".csv"))
        for listed in page.get("Contents", [])
    }
    parts = sorted(key for key in written if key.startswith(folder))
    is_file_newer = file in written and all(written[file] > written[part] for part in parts)
    return [file] if is_file_newer else parts


def _rows(pipeline: Pipeline, keys: list[str]) -> Iterator[RejectedRow]:
    # A malformed row may be one long value.
    csv.field_size_limit(sys.maxsize)
    for key in keys:
        text = io.TextIOWrapper(_body(pipeline, key), "utf-8-sig", newline="")
        yield from map(_row, csv.DictReader(text))


def _body(pipeline: Pipeline, key: str) -> Any:
    return pipeline.client("s3").get_object(Bucket=pipeline.output("work_bucket"), Key=key)["Body"]


def _divided(lines: Iterator[bytes]) -> tuple[bytes, Iterator[bytes]]:
    """The header, which may span lines, and the lines below it."""
    header: list[bytes] = []

    def noted() -> Iterator[str]:
        for line in lines:
            header.append(line)
            yield line.decode("utf-8")

    next(csv.reader(noted()), None)
    return b"".join(header), lines


def _row(values: dict[str, str]) -> RejectedRow:
    reasons = [reason for reason in (values.pop(REJECT_REASONS_COLUMN) or "").split(REASON_SEPARATOR) if reason]
    line, text = int(values.pop(SOURCE_LINE)), values.pop(SOURCE_TEXT, "") or ""
    named = {name: value for name, value in values.items() if name is not None and value}
    shown = text or "  ".join(f'{name} "{value}"' for name, value in named.items())
    return RejectedRow(line, reasons, named, shown)
