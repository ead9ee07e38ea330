"""HTML pages on disk: one for each load, and an index that links them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from botocore.exceptions import ClientError

from cli.pipelines.pipeline import Pipeline
from jobs.page import render_index, render_load
from schemas.reports import Report
from schemas.work_bucket import page_key

INDEX = "index.html"


def save_index(reports: Sequence[Report], folder: Path) -> Path:
    """Write an index of these reports, and the pages that are not in the folder yet."""
    for report in reports:
        page = folder / _page(report)
        if not page.exists():
            _save(page, render_load(report))
    index = folder / INDEX
    _save(index, render_index(reports, _page))
    return index


def save_page(pipeline: Pipeline, report: Report, folder: Path) -> Path:
    """Write the page of a report: the job's own page, which compares earlier loads, or a new one if it has expired."""
    s3, bucket = pipeline.client("s3"), pipeline.output("work_bucket")
    page = folder / _page(report)
    try:
        _save(page, s3.get_object(Bucket=bucket, Key=_page(report))["Body"].read().decode("utf-8"))
    except ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchKey":
            raise
        _save(page, render_load(report))
    return page


def _page(report: Report) -> str:
    """The page's key in the work bucket, and its path in a folder."""
    return page_key(report.load_id, report.attempt)


def _save(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
