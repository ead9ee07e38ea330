"""The rows of a transaction that were not loaded, read from the archived files.

The history has every loaded row. A row that is missing there was rejected, lost to another row of its file, or
belongs to a load that was retracted.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from cli.loads.explanation import HistoryRow
from cli.loads.rejected_rows import reasons_of_lines
from cli.pipelines.job_arguments import read_job_arguments
from cli.pipelines.pipeline import Pipeline
from cli.pipelines.statements import run_statement
from jobs.csv.reader import IS_MALFORMED, open_source_file
from jobs.errors import FileRefused
from jobs.rows.ids import IdReader
from lambdas.archived_copies import LOAD_ID
from schemas.drops import TRANSACTIONS_PREFIX, is_drop
from schemas.rejected_file import SOURCE_LINE
from schemas.runs import RETRACT
from schemas.sources import CONTRACT_COLUMNS, SourceSettings

_LAST_EVENT = "SELECT event FROM load_ledger WHERE load_id = :load_id ORDER BY attempt DESC LIMIT 1"


@dataclass(frozen=True)
class UnloadedRow:
    """A row of an archived file that is not in the history."""

    source_uri: str
    source_line: int
    load_id: str
    values: dict[str, str]
    """The contract's columns, unchanged from the file."""
    reason: str
    """The reason why it was not loaded."""


def find_unloaded_rows(pipeline: Pipeline, transaction_id: str, loaded: list[HistoryRow]) -> Iterator[UnloadedRow]:
    """The rows of this transaction in all archived files that are not in `loaded`; reads every archived file."""
    known = {(row.load_id, row.source_line) for row in loaded}
    settings = SourceSettings.from_argument(read_job_arguments(pipeline).source_settings)
    s3, bucket = pipeline.client("s3"), pipeline.output("archive_bucket")
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=TRANSACTIONS_PREFIX):
        for version in page.get("Versions", []):
            named = {"Bucket": bucket, "Key": version["Key"], "VersionId": version["VersionId"]}
            load_id = s3.head_object(**named)["Metadata"].get(LOAD_ID)
            if load_id is None or not is_drop(version["Key"]):
                continue
            with tempfile.TemporaryDirectory(prefix="explain-") as folder:
                path = Path(folder) / "file"
                s3.download_file(bucket, version["Key"], str(path), ExtraArgs={"VersionId": version["VersionId"]})
                rows = [row for row in _rows_of(path, transaction_id, settings) if (load_id, row[0]) not in known]
            if rows:
                reasons = _Reasons(pipeline, version["Key"], load_id, {line for line, _ in rows})
                uri = f"s3://{pipeline.output('drop_bucket')}/{version['Key']}"
                for line, values in rows:
                    yield UnloadedRow(uri, line, load_id, values, reasons.of(line))


def _rows_of(path: Path, transaction_id: str, settings: SourceSettings) -> list[tuple[int, dict[str, str]]]:
    """Line and values of each row with the id; empty for a file that the settings cannot read."""
    ids = IdReader(settings.null_words)
    matching: list[tuple[int, dict[str, str]]] = []
    try:
        source = open_source_file(
            path, name=path.name, required=CONTRACT_COLUMNS, settings=settings, read_part=ids.read
        )
        for chunk in source.chunks():
            is_it = ids.read(chunk.get_column("transaction_id")) == transaction_id
            rows = chunk.filter(is_it.fill_null(False) & ~pl.col(IS_MALFORMED))
            matching += [(row[SOURCE_LINE], _values(row)) for row in rows.iter_rows(named=True)]
    except FileRefused:
        return []
    return matching


def _values(row: dict[str, object]) -> dict[str, str]:
    return {column: str(row.get(column) or "") for column in CONTRACT_COLUMNS}


class _Reasons:
    """The reasons why rows of one load are not in the history."""

    def __init__(self, pipeline: Pipeline, drop_key: str, load_id: str, lines: set[int]) -> None:
        events = run_statement(pipeline, _LAST_EVENT, limit=1, load_id=load_id).rows
        self._is_retracted = bool(events) and events[0][0] == RETRACT
        self._keeps_history = read_job_arguments(pipeline).keep_history == "true"
        self._rejected = reasons_of_lines(pipeline, drop_key, load_id, lines)

    def of(self, line: int) -> str:
        if self._is_retracted:
            return "does not count: its load was taken back"
        if line in self._rejected:
            return f"rejected: {', '.join(self._rejected[line])}"
        if not self._keeps_history:
            return "loaded or lost to another row: no history is kept (keepHistory is false)"
        return "lost: another row of its file won"
