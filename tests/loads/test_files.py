"""Real, broken and hostile files: a broken or hostile one leaves the warehouse unchanged."""

from __future__ import annotations

import csv
import gzip
import io
from datetime import UTC, date, datetime
from decimal import Decimal

import polars as pl
import pyarrow.parquet as pq
import pytest

from jobs.arguments import parse_arguments
from jobs.errors import DropGone, FileRefused, TerminalError, TooManyRejected
from jobs.load.protocol import Staged
from jobs.load.staging import StagedParts
from jobs.process_transactions import process_transactions
from schemas.reports import Report
from schemas.runs import ArchivedCopy
from schemas.warehouse.tables import STAGED_TRANSACTIONS
from tests import oracle
from tests.loads.shop import Shop, key_of
from tests.strategies.files import FILE_NAMES, render
from tests.strategies.hostile_content import (
    BROKEN_FILES,
    HEADER,
    SOUND_CUSTOMERS,
    SOUND_DAY,
    SOUND_LINE,
    SOUND_PRODUCTS,
)

STANDING = ("T1,C0,P0,1,2023-03-14,pending", "T9,C0,P0,1,2023-03-14,pending")


def snapshot(shop: Shop) -> tuple[object, ...]:
    return shop.fact(), shop.ledger(), shop.left_staged()


def model_of(shop: Shop) -> oracle.Warehouse:
    model = oracle.Warehouse()
    nothing = oracle.Drop(bucket=shop.drop_bucket, key="dimensions/", version_id="v", uploaded_at=datetime(2023, 1, 1))
    model.load_products(nothing, list(SOUND_PRODUCTS.values()))
    model.load_customers(nothing, list(SOUND_CUSTOMERS.values()))
    return model


BROKEN = {
    "zero bytes": (b"", "day.csv is empty: it has no header; upload the file again with its content"),
    "a column in two spellings": (
        f"{HEADER},STATUS\n{SOUND_LINE},x\n".encode(),
        "day.csv, line 1: the header has 'status', 'STATUS', two spellings of one heading, "
        "so it is unclear which is meant; keep one of them, and upload the file again",
    ),
    "latin-1": (
        f"{HEADER}\n{SOUND_LINE}\nTü{SOUND_LINE[2:]}\n".encode("latin-1"),
        "day.csv, line 3: the byte 0xfc is not UTF-8 (invalid start byte) but may be Windows-1252; save the file as "
        "UTF-8, or set `encoding: cp1252` in the source's settings, and upload the file again",
    ),
    "semicolons": (
        f"{HEADER}\n{SOUND_LINE}\n".replace(",", ";").encode(),
        "day.csv, line 1: its columns are separated by ';' (a semicolon), not by a comma; save it with a comma, "
        'or set `delimiter: ";"` in the source\'s settings, and upload the file again',
    ),
    "two slips of a quote round a row": (
        f'{HEADER},x\n{SOUND_LINE},"a\n{SOUND_LINE},b\n{SOUND_LINE},"\n'.encode(),
        "day.csv, line 2: a quote is opened here and closed on line 4, and line 3 is a row of its own, "
        "so rows would be lost; close the quote on its line, or write it twice where it is part of a value, "
        "and upload the file again",
    ),
    "a header twice": (
        f"{HEADER}\n{SOUND_LINE}\n{HEADER}\n".encode(),
        "day.csv, line 3: the header is written a second time; "
        "two files were joined into one: take it out, or upload them one by one",
    ),
    "a line too long": (
        f"{HEADER}\n{SOUND_LINE}\n".encode() + b"x" * (1 << 21),
        "day.csv, line 3: the line is longer than 1,048,576 bytes, which no transaction is; is this the right file?",
    ),
}


@pytest.mark.parametrize(("content", "sentence"), BROKEN.values(), ids=BROKEN)
def test_a_broken_file_gets_its_sentence_and_changes_nothing(sound_shop: Shop, content: bytes, sentence: str) -> None:
    sound_shop.load(*STANDING)
    before_it = snapshot(sound_shop)
    report = sound_shop.run(sound_shop.upload(key_of(SOUND_DAY, "day.csv"), content))
    assert isinstance(sound_shop.error, FileRefused)
    assert report.error is not None
    assert report.error.sentence == sentence
    assert (report.outcome, report.counts, report.rejected_uri) == ("failed", None, None)
    assert snapshot(sound_shop) == before_it


@pytest.mark.parametrize("gz", [False, True])
def test_a_header_alone_is_a_load_of_nothing_and_touches_nothing(sound_shop: Shop, gz: bool) -> None:
    sound_shop.load(*STANDING)
    fact = sound_shop.fact()
    content = gzip.compress(HEADER.encode()) if gz else HEADER.encode()
    drop = sound_shop.upload(key_of(SOUND_DAY, "day.csv.gz" if gz else "day.csv"), content)
    report = sound_shop.run(drop)
    assert report.counts == dict.fromkeys(report.counts or {}, 0)
    assert sound_shop.fact() == fact
    assert sound_shop.ledger_counts()[drop.load_id] == report.counts


def test_short_and_long_rows_are_found_in_a_file_of_sound_ones(sound_shop: Shop) -> None:
    sound = [f"T{at},C0,P0,1,2023-03-15,pending" for at in range(200)]
    report = sound_shop.load(*sound[:100], "T300,C0,P0", f"{SOUND_LINE},more", *sound[100:])
    assert report.counts is not None
    assert (report.counts["inserted"], report.counts["rejected"]) == (200, 2)
    header, lines = sound_shop.rejected(report)
    assert header == (*HEADER.split(","), "source_line", "reject_reasons", "source_text")
    assert lines == [
        *[(*[""] * 6, "102", "malformed_row", "T300,C0,P0")],
        *[(*[""] * 6, "103", "malformed_row", f"{SOUND_LINE},more")],
    ]


LOOKS_BROKEN = {
    "short row",
    "long row",
    "byte order mark",
    "CRLF",
    "trailing blank lines",
    "lone CR inside a value",
    "quoted line break inside a value",
    "quoted line break beside a value",
    "quoted line break in an ignored column",
    "NUL inside a value",
    "embedded quotes",
    "text behind a closing quote",
    "Excel's trailing commas",
    "a long field of short lines",
}
"""tests/jobs compares these files with the oracle, without a warehouse. Here they are loaded."""


@pytest.mark.parametrize("name", sorted(LOOKS_BROKEN))
def test_a_file_that_only_looks_broken_is_loaded(sound_shop: Shop, name: str) -> None:
    (broken,) = (broken for broken in BROKEN_FILES if broken.name == name)
    sound_shop.max_reject_ratio = "1"
    model = model_of(sound_shop)
    model.max_reject_ratio = "1"
    drop = sound_shop.upload(key_of(SOUND_DAY, "day.csv"), broken.content)
    report = sound_shop.load_as(model, drop)
    validated = model.validate(drop)
    if validated.rejected:
        expected = oracle.expected_rejected_file(oracle.read_file(broken.content), validated.rejected)
        assert sound_shop.rejected(report) == (expected.header, list(expected.lines))


def test_a_text_limit_counts_bytes(sound_shop: Shop) -> None:
    fits, too_long = "\U0001f600" * 16, "\U0001f600" * 17
    report = sound_shop.load(*(f"{name},C0,P0,1,2023-03-15,pending" for name in (fits, too_long, "x" * 64)))
    assert sorted(sound_shop.fact()) == ["x" * 64, fits]
    assert list(report.reject_reasons) == ["value_too_long"]


def test_a_manifest_with_a_wrong_length_fails_loudly(sound_shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    before_it = snapshot(sound_shop)
    staged = StagedParts.staged

    def one_byte_off(parts: StagedParts) -> Staged:
        if not parts.parts:
            return staged(parts)
        (part,) = parts.parts
        parts.parts[:] = [type(part)(part.uri, part.bytes + 1, part.rows)]
        return staged(parts)

    monkeypatch.setattr(StagedParts, "staged", one_byte_off)
    report = sound_shop.run(sound_shop.drop(SOUND_LINE))
    assert isinstance(sound_shop.error, TerminalError)
    assert report.error is not None
    assert report.error.sentence.startswith("the warehouse refused a statement (XX000): ")
    assert snapshot(sound_shop) == before_it


def test_what_is_staged_has_the_physical_types_that_copy_reads(sound_shop: Shop) -> None:
    """An INTEGER is INT32, a DECIMAL(18,s) INT64, a TIMESTAMP INT64 of microseconds; snappy, format 1.0."""
    second = SOUND_LINE.replace("T1", "T2")
    sound_shop.stage(sound_shop.drop(SOUND_LINE, second, second))
    parts = [key for key in sound_shop.left_staged() if "part-" in key or "settled-" in key]
    assert len(parts) == 2, "one part of unique ids, one of settled duplicates"
    bodies = [sound_shop.s3.get_object(Bucket=sound_shop.work_bucket, Key=key)["Body"].read() for key in parts]
    sound_shop.clean_stage()
    kinds = {pl.String: "BYTE_ARRAY", pl.Int32: "INT32", pl.Int64: "INT64", pl.Decimal: "INT64", pl.Datetime: "INT64"}
    for body in bodies:
        footer = pq.ParquetFile(io.BytesIO(body)).metadata
        columns = [footer.schema.column(at) for at in range(len(footer.schema))]
        assert [(column.name, column.physical_type) for column in columns] == [
            (column.name, kinds[type(column.polars)]) for column in STAGED_TRANSACTIONS.columns
        ]
        logical = {column.name: str(column.logical_type) for column in columns}
        assert "isAdjustedToUTC=false, timeUnit=microseconds" in logical["transaction_date"]
        assert "precision=18, scale=2" in logical["total_amount"]
        assert "precision=18, scale=4" in logical["unit_price"]
        assert {footer.row_group(0).column(at).compression for at in range(len(columns))} == {"SNAPPY"}
        assert footer.format_version == "1.0"


@pytest.mark.parametrize(("bad", "refused"), [(2, False), (3, True)])
def test_a_load_is_refused_above_half_rejected_not_at_half(sound_shop: Shop, bad: int, refused: bool) -> None:
    before_it = snapshot(sound_shop)
    lines = [f"T{at},C0,P0,1,2023-03-15,{'pending' if at >= bad else 'lost'}" for at in range(4)]
    report = sound_shop.run(sound_shop.drop(*lines))
    assert (sound_shop.error is not None) is refused
    if refused:
        assert isinstance(sound_shop.error, TooManyRejected)
        assert str(sound_shop.error) == (
            "3 of 4 rows (75.0%) of day.csv are rejected, most of them for invalid_status, and max_reject_ratio allows "
            f"50.0%, so nothing was loaded; the rows and their reasons are in s3://{sound_shop.work_bucket}/"
            f"rejected/year=2023/month=03/day=15/day.{report.load_id}.csv"
        )
        assert snapshot(sound_shop) == before_it
    assert len(sound_shop.rejected(report)[1]) == bad


def test_the_dropped_version_is_loaded_below_a_newer_one(sound_shop: Shop) -> None:
    older = sound_shop.drop("T1,C0,P0,1,2023-03-15,pending")
    newer = sound_shop.drop("T1,C0,P0,2,2023-03-15,shipped")
    sound_shop.run(older)
    assert [row["quantity"] for row in sound_shop.fact().values()] == [1]
    sound_shop.s3.delete_object(Bucket=newer.bucket, Key=newer.key, VersionId=newer.version_id)
    before_it = snapshot(sound_shop)
    report = sound_shop.run(newer)
    assert isinstance(sound_shop.error, DropGone)
    assert str(sound_shop.error) == (
        f"{newer.uri} (version {newer.version_id}) does not exist any more, so nothing was loaded; "
        "upload the file again if it should be loaded"
    )
    assert report.outcome == "failed"
    assert snapshot(sound_shop) == before_it


NASTY_NAMES = [*(name for name in FILE_NAMES if "\n" not in name), "$(rm -rf .)", "%s %(x)s", "=1+1"]


@pytest.mark.parametrize("name", NASTY_NAMES)
def test_a_nasty_file_name_is_a_name_and_nothing_else(sound_shop: Shop, name: str) -> None:
    model = model_of(sound_shop)
    lines = SOUND_LINE, SOUND_LINE.replace("T1", "T2"), "T3,x,P0,1,2023-03-15,pending"
    drop = sound_shop.drop(*lines, name=f"{name}.csv")
    report = sound_shop.load_as(model, drop)
    assert report.rejected_uri == (
        f"s3://{sound_shop.work_bucket}/rejected/year=2023/month=03/day=15/{name}.{drop.load_id}.csv"
    )
    assert len(sound_shop.rejected(report)[1]) == 1
    assert {row["source_uri"] for row in sound_shop.fact().values()} == {drop.uri}
    assert sound_shop.ledger()[drop.load_id]["source_uri"] == drop.uri


HOSTILE_IDS = (
    *("x'; DROP TABLE fact_transactions; --", "a\\", "\\Nx", "NULLIF", "%s", "$1", 'a"', "a,b"),
    *("\x1b[31m", "=1+1", "$a$", "/*a"),
)


def test_a_hostile_value_is_a_value_and_nothing_else(sound_shop: Shop) -> None:
    model = model_of(sound_shop)
    row = dict(zip(HEADER.split(","), SOUND_LINE.split(","), strict=True))
    rows = [{**row, "transaction_id": name} for name in HOSTILE_IDS]
    drop = sound_shop.upload(key_of(SOUND_DAY, "day.csv"), render(rows).content)
    sound_shop.load_as(model, drop)
    assert sorted(sound_shop.fact()) == sorted(HOSTILE_IDS)


def test_a_rejected_file_corrected_and_dropped_again_is_loaded(sound_shop: Shop) -> None:
    model = model_of(sound_shop)
    report = sound_shop.load_as(
        model,
        sound_shop.drop(SOUND_LINE, "T2,C0,P0,1,2023-03-15,pending", '=T3,C0,P0,"1,5",2023-03-15,pending', "T4,C0"),
    )
    header, (first, second) = sound_shop.rejected(report)
    assert first == ("'=T3", "C0", "P0", "1,5", "2023-03-15", "pending", "4", "invalid_quantity", "")
    assert second[6:] == ("5", "malformed_row", "T4,C0")
    corrected = io.StringIO()
    rows = [[*first[:3], "15", *first[4:]], ["T4", "C0", "P0", "1", "2023-03-15", "pending", *second[6:]]]
    csv.writer(corrected).writerows([header, *rows])
    again = sound_shop.upload(key_of(SOUND_DAY, "corrected.csv"), corrected.getvalue().encode())
    report = sound_shop.load_as(model, again)
    assert report.counts is not None
    assert (report.counts["inserted"], report.counts["rejected"]) == (2, 0)
    assert sorted(sound_shop.fact()) == ["=T3", "T1", "T2", "T4"]
    assert report.ignored_columns == ["source_line", "reject_reasons", "source_text"]


def test_dates_at_the_ends_of_the_calendar_are_stored_as_they_are(sound_shop: Shop) -> None:
    for day, line in (
        (date(1600, 1, 1), "T2,C0,P0,1,1582-10-10 01:02:03.000001,pending"),
        (date(9999, 12, 31), "T3,C0,P0,1,9999-12-31T23:59:59.999999Z,pending"),
    ):
        sound_shop.load(line, day=day, uploaded_at=datetime(2023, 3, 16, tzinfo=UTC))
    assert {key: row["transaction_date"] for key, row in sound_shop.fact().items()} == {
        "T2": datetime(1582, 10, 10, 1, 2, 3, 1),
        "T3": datetime(9999, 12, 31, 23, 59, 59, 999999),
    }


def test_an_amount_as_large_as_the_column_and_a_sum_larger_than_it(shop: Shop) -> None:
    largest = oracle.Product("P", "Palace", "Homes", Decimal("99999999999999.9999"), "S1")
    shop.load_dimension_rows({"P": largest}, SOUND_CUSTOMERS)
    report = shop.load("T1,C0,P,100,2023-03-15,pending", "T2,C0,P,100,2023-03-15,pending")
    assert {row["total_amount"] for row in shop.fact().values()} == {Decimal("9999999999999999.99")}
    (entry,) = shop.ledger().values()
    assert entry["staged_amount"] == Decimal(report.change or 0) == Decimal("19999999999999999.98")


def test_an_archived_drop_is_reloaded_with_its_own_precedence(sound_shop: Shop) -> None:
    """The copy has a later time and another version id than the drop. Neither may affect precedence."""
    drop = sound_shop.drop(SOUND_LINE, uploaded_at=datetime(2023, 3, 16, tzinfo=UTC))
    first = sound_shop.run(drop)
    before = sound_shop.comparable_fact()
    copy = archived_copy(sound_shop, drop, {"source-uploaded-at": "2023-03-16T00:00:00+00:00", "source-etag": "e"})
    again = sound_shop.run(drop, 2, archived=copy)
    assert sound_shop.error is None, str(sound_shop.error)
    assert again.counts is not None
    assert (again.event, again.counts["unchanged"], again.etag) == ("replay", 1, "e")
    assert again.uploaded_at == first.uploaded_at
    assert sound_shop.comparable_fact() == before
    sound_shop.assert_books_balance()


def test_the_ledger_knows_the_upload_time_behind_an_older_copy(sound_shop: Shop) -> None:
    drop = sound_shop.drop(SOUND_LINE, uploaded_at=datetime(2023, 3, 16, tzinfo=UTC))
    sound_shop.run(drop)
    before = sound_shop.comparable_fact()
    again = sound_shop.run(drop, 2, archived=archived_copy(sound_shop, drop, {}))
    assert sound_shop.error is None, str(sound_shop.error)
    assert again.uploaded_at == "2023-03-16T00:00:00+00:00"
    assert again.changed_nothing
    assert sound_shop.comparable_fact() == before


def test_a_copy_without_its_drops_upload_time_is_not_loaded(sound_shop: Shop) -> None:
    drop = sound_shop.drop(SOUND_LINE)
    sound_shop.run(drop, archived=archived_copy(sound_shop, drop, {}))
    assert "the archived copy lacks the metadata source-uploaded-at" in str(sound_shop.error)
    assert sound_shop.fact() == {}


def archived_copy(shop: Shop, drop: oracle.Drop, metadata: dict[str, str]) -> ArchivedCopy:
    """Move the drop's bytes to their place in the archive."""
    put = shop.s3.put_object(Bucket=shop.drop_bucket, Key="archive/day.csv", Body=drop.content, Metadata=metadata)
    shop.s3.delete_object(Bucket=drop.bucket, Key=drop.key, VersionId=drop.version_id)
    return ArchivedCopy(shop.drop_bucket, "archive/day.csv", put["VersionId"])


def test_a_report_is_never_replaced(sound_shop: Shop) -> None:
    """An operator may start the same run again from Glue's console."""
    drop = sound_shop.drop(SOUND_LINE)
    first = sound_shop.run(drop)
    sound_shop.s3.delete_object(Bucket=drop.bucket, Key=drop.key, VersionId=drop.version_id)
    with pytest.raises(DropGone):
        process_transactions(parse_arguments(sound_shop.arguments(drop)))
    key = f"reports/{drop.load_id}/1.json"
    body = sound_shop.s3.get_object(Bucket=sound_shop.work_bucket, Key=key)["Body"].read()
    assert Report.from_json(body.decode()) == first
