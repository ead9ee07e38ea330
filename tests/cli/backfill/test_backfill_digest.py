"""The digest of a backfill, as the reviewed text in docs/mails shows it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from cli.backfill.digest import digest_mail, stopped_mail
from cli.drops.status import DropStatus, Phase
from cli.loads.loads import Load
from schemas.drops import Drop
from schemas.reports import Error, RejectedFor, Report
from tests.lambdas.reports import failed, succeeded

MAILS = Path(__file__).parents[3] / "docs" / "mails"
REASONS = ("invalid_quantity", "unknown_product", "invalid_status")


def load_of(day: int, report_of: object = None) -> Load:
    """The load of a day of January: 1,000 rows. On odd days, as many rows are rejected as the day's number."""
    key = f"transactions/year=2023/month=01/day={day:02}/till_2023-01-{day:02}.csv"
    drop = Drop("shop-drops", key, f"version-{day}")
    if report_of is not None:
        report = failed(drop, error=Error(str(report_of), False, "FileRefused"))
        return Load(DropStatus(drop, Phase.FAILED, report, attempt=1), ())
    rejected = day if day % 2 else 0
    counts = {
        "rows_read": 1000,
        "inserted": 900,
        "updated": 60,
        "unchanged": 20,
        "stale": 0,
        "duplicate": 20 - rejected,
    }
    reasons = {REASONS[day % 3]: RejectedFor(rejected, [])} if rejected else {}
    report = succeeded(drop, counts={**counts, "rejected": rejected}, event="load", change="1250.25")
    report = replace(report, partition_day=f"2023-01-{day:02}", reject_reasons=reasons)
    return Load(DropStatus(drop, Phase.ARCHIVED, report, attempt=1), ())


def dimension() -> Load:
    drop = Drop("shop-drops", "dimensions/dim_products.csv", "version")
    counts = dict.fromkeys(("updated", "unchanged", "stale", "duplicate", "rejected"), 0)
    report: Report = succeeded(drop, counts={"rows_read": 500, "inserted": 500, **counts}, event=None, change=None)
    report = replace(report, partition_day=None, change=None)
    return Load(DropStatus(drop, Phase.ARCHIVED, report, attempt=1), ())


def test_the_digest_reads_as_reviewed() -> None:
    loads = [dimension(), *map(load_of, range(1, 19)), load_of(19, "line 3 is not UTF-8; save the file as UTF-8")]
    mail = digest_mail(loads, name="5f0c0123456789ab", stack="prod")
    assert f"Subject: {mail.subject}\n\n{mail.body}" == (MAILS / "backfill_digest.txt").read_text(encoding="utf-8")
    assert mail.body.count("\n") < 40


def test_the_mail_about_a_refused_dimension_reads_as_reviewed() -> None:
    drop = Drop("shop-drops", "dimensions/dim_products.csv", "version")
    fault = "dim_products.csv, line 3: price 'cheap' is not a decimal number; correct it"
    report = failed(drop, error=Error(fault, False, "FileRefused"))
    load = Load(DropStatus(drop, Phase.FAILED, report, attempt=1), ())
    mail = stopped_mail([load], 365, name="5f0c0123456789ab", stack="prod")
    reviewed = (MAILS / "backfill_without_a_dimension.txt").read_text(encoding="utf-8")
    assert f"Subject: {mail.subject}\n\n{mail.body}" == reviewed


def test_a_digest_of_good_files_asks_for_nothing() -> None:
    mail = digest_mail([dimension(), load_of(2), load_of(4)], name="5f0c0123456789ab", stack="prod")
    assert mail.subject == "[prod] Backfill of 3 files: +2,500.50, 2,000 rows"
    assert "What you need to do: nothing." in mail.body


def test_a_digest_of_many_bad_files_has_under_forty_lines() -> None:
    loads = [load_of(day, "refused") if day > 15 else load_of(day) for day in range(1, 29)]
    mail = digest_mail(loads, name="5f0c0123456789ab", stack="prod")
    assert "  and 9 more" in mail.body
    assert mail.body.count("\n") < 40
