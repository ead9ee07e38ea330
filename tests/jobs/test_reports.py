"""The report of an attempt is complete, also for a failure, and is read back unchanged."""

from __future__ import annotations

import json
import subprocess
import sys
from unittest import mock

import pytest
from polars.exceptions import PanicException

from jobs.arguments import parse_arguments
from jobs.attempt import Attempt, run_attempt
from schemas.drops import Drop
from schemas.reports import RejectSample, Report
from tests.jobs.dry_run import S3InMemory, command_line, dry_run
from tests.strategies.hostile_content import HEADER, SOUND_LINE

STRANGER = SOUND_LINE.replace("T1", "T2").replace("C12345", "C9")


def test_a_report_says_everything_about_a_load() -> None:
    lines = [SOUND_LINE, SOUND_LINE, STRANGER, "a,b", *(["x" * 600] * 4)]
    run = dry_run("\n".join([f"{HEADER}, Note ", *(f"{line},n" if "," in line else line for line in lines)]).encode())
    report = run.report
    assert (report.outcome, report.kind, report.attempt, report.version_id) == ("succeeded", "transactions", 1, "v1")
    assert report.partition_day == "2023-03-15"
    assert report.uploaded_at == "2023-03-16T06:00:00+00:00"
    assert report.counts == {
        "rows_read": 8,
        "inserted": 1,
        "updated": 0,
        "unchanged": 0,
        "stale": 0,
        "duplicate": 1,
        "rejected": 6,
    }
    assert [*report.reject_reasons] == ["malformed_row", "unknown_customer"]
    assert report.reject_reasons["malformed_row"].rows == 5
    assert report.reject_reasons["malformed_row"].samples == [
        RejectSample(5, fault="3 values under 7 headings"),
        RejectSample(6, fault="1 value under 7 headings"),
        RejectSample(7, fault="1 value under 7 headings"),
    ]
    assert report.reject_reasons["unknown_customer"].samples == [
        RejectSample(4, dict(zip(HEADER.split(","), STRANGER.split(","))))
    ]
    assert report.ignored_columns == ["Note"]
    assert [*report.step_seconds] == [
        "fetch",
        "read",
        "look up",
        "find duplicates",
        "validate and stage",
        "load",
        "clean up",
    ]
    assert report.peak_memory_bytes is not None
    assert report.peak_memory_bytes > 10_000_000
    assert report.versions.keys() == {"job", "polars", "python"}
    assert Report.from_json(report.to_json()) == report


def test_a_failed_attempt_reports_how_far_it_came() -> None:
    report = dry_run(b"x").report
    assert (report.outcome, report.counts, report.bytes, report.etag) == ("failed", None, 1, "etag")
    assert report.error is not None
    assert (report.error.type, report.error.is_transient) == ("FileRefused", False)
    assert [*report.step_seconds] == ["fetch", "read", "clean up"]
    assert Report.from_json(report.to_json()) == report


@pytest.mark.parametrize("stopped_by", [KeyboardInterrupt(), SystemExit(3), PanicException("a defect of Polars")])
def test_an_attempt_stopped_by_anything_is_no_success(stopped_by: BaseException) -> None:
    """Neither a panic of Polars nor SystemExit is an Exception."""
    s3 = S3InMemory()
    drop = Drop("drop-bucket", "transactions/year=2023/month=03/day=15/day.csv", "v1")

    def steps(_: Attempt) -> None:
        s3.put_object(Bucket="work-bucket", Key=f"staging/{drop.load_id}/1/part.parquet", Body=b"")
        raise stopped_by

    with mock.patch("jobs.attempt.s3_client", return_value=s3), pytest.raises(type(stopped_by)):
        run_attempt(parse_arguments(command_line(drop)), steps)
    assert [key for _, key in s3.objects] == [f"reports/{drop.load_id}/1.json", f"reports/html/{drop.load_id}/1.html"]
    report = Report.from_json(s3.objects["work-bucket", f"reports/{drop.load_id}/1.json"].decode("utf-8"))
    assert report.outcome == "failed"
    assert report.error is not None
    assert report.error.type == type(stopped_by).__name__


def test_an_attempt_deletes_only_what_earlier_ones_left_staged() -> None:
    s3 = S3InMemory()
    drop = Drop("drop-bucket", "transactions/year=2023/month=03/day=15/day.csv", "v1")
    left = [f"staging/{drop.load_id}/{attempt}/part.parquet" for attempt in (1, 2, 3)]
    others = [f"staging/{drop.load_id}/4/part.parquet", "staging/0123456789abcdef/1/part.parquet"]
    for key in left + others:
        s3.put_object(Bucket="work-bucket", Key=key, Body=b"")
    with mock.patch("jobs.attempt.s3_client", return_value=s3):
        run_attempt(parse_arguments([*command_line(drop), "--pipeline-attempt", "3"]), lambda _: None)
    assert sorted(key for _, key in s3.objects) == sorted(
        [*others, f"reports/{drop.load_id}/3.json", f"reports/html/{drop.load_id}/3.html"]
    )


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", "null", '{"error": null, "reject_reasons": {}, "amount_classes": {}}']
)
def test_what_is_no_report_is_not_read_as_one(text: str) -> None:
    with pytest.raises((ValueError, TypeError, KeyError)):
        Report.from_json(text)


def test_a_report_is_text_that_any_tool_reads() -> None:
    text = dry_run(f"{HEADER},ü\n{SOUND_LINE},ü\n".encode()).report.to_json()
    assert json.loads(text)["ignored_columns"] == ["ü"]
    assert "ü" in text


def test_the_peak_of_memory_is_the_jobs_own_and_not_its_starters() -> None:
    job = (
        "from tests.jobs.test_reports import HEADER, dry_run; print(dry_run(HEADER.encode()).report.peak_memory_bytes)"
    )
    # The `preexec_fn` makes Python fork. A vfork would not show the difference.
    dispatcher = (
        "import subprocess, sys\n"
        "held = b'x' * 1_000_000_000\n"
        "subprocess.run([sys.executable, '-c', sys.argv[1]], check=True, preexec_fn=lambda: None)"
    )
    shown = subprocess.run([sys.executable, "-c", dispatcher, job], check=True, capture_output=True, text=True)
    assert 10_000_000 < int(shown.stdout) < 1_000_000_000


def test_a_reason_comes_with_the_different_values_that_were_found() -> None:
    words = [f"word {at}" for at in range(20)]
    rows = [SOUND_LINE.replace("T1", f"T{at}").replace("Completed", word) for at, word in enumerate([*words, *words])]
    report = dry_run("\n".join([HEADER, *rows, STRANGER.replace("T2", "T99"), "x"]).encode()).report
    assert report.reject_reasons["invalid_status"].values == words[:10]
    assert report.reject_reasons["unknown_customer"].values == ["C9"]
    assert report.reject_reasons["malformed_row"].values == []
    assert Report.from_json(report.to_json()) == report


def test_an_address_that_is_an_id_is_only_in_the_rejected_file() -> None:
    line = SOUND_LINE.replace("C12345", "ann.one@example.com")
    run = dry_run(f"{HEADER}\n{line}\n{line.replace('T1', 'by ben+x@example.com')}\n".encode())
    report = run.report.to_json()
    assert "ann.one" not in report
    assert "ben" not in report
    assert run.report.reject_reasons["unknown_customer"].values == ["…@example.com"]
    assert run.report.reject_reasons["unknown_customer"].samples[0].values["customer_id"] == "…@example.com"
    assert run.rejected is not None
    assert run.rejected.lines[0][1] == "ann.one@example.com"
