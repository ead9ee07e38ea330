"""The sentence a person gets for a file that cannot be loaded: what, which value, where, what to do."""

from __future__ import annotations

import gzip

import pytest

from tests.hostile_content import HEADER, SOUND_LINE
from tests.jobs.dry_run import dry_run
from tests.oracle_files import LONGEST_LINE

SOUND = f"{HEADER}\n{SOUND_LINE}\n"
COLUMNS = "transaction_id, customer_id, product_id, quantity, transaction_date, status"

SENTENCES = {
    "empty": (b"", "day.csv is empty: it has not even a header; drop the file again with its content"),
    "blank first line": (
        b"\n" + SOUND.encode(),
        "day.csv, line 1: the line is blank where the header belongs; take it out and drop it again",
    ),
    "column missing": (
        SOUND.replace(",status", "").encode(),
        f"day.csv, line 1: the header lacks 'status'; it must have {COLUMNS}, in any order; "
        "mend the header and drop the file again",
    ),
    "semicolons": (
        SOUND.replace(",", ";").encode(),
        "day.csv, line 1: the header lacks 'transaction_id', 'customer_id', 'product_id', 'quantity', "
        "'transaction_date', 'status' (its columns are separated by ';', not by a comma); "
        f"it must have {COLUMNS}, in any order; mend the header and drop the file again",
    ),
    "column twice": (
        SOUND.replace(HEADER, HEADER + ",Status").encode(),
        "day.csv, line 1: the header has 'status' twice, so no one can tell which is meant; "
        "keep one of them and drop the file again",
    ),
    "quote in the header": (
        SOUND.replace("status", '"stat"us').encode(),
        "day.csv, line 1: a quote in the header is out of place; mend the header and drop the file again",
    ),
    "too many columns": (
        (HEADER + "".join(f",c{at}" for at in range(10_000)) + "\n").encode(),
        "day.csv, line 1: the header has 10,006 columns and at most 1,000 are read",
    ),
    "latin-1": (
        (SOUND + SOUND.replace("T1", "Tü")).encode("latin-1"),
        "day.csv, line 4: the byte 0xfc is not UTF-8 (invalid start byte); save the file as UTF-8 and drop it again",
    ),
    "half a character": (
        SOUND.encode() + b"\xf0\x9f",
        "day.csv, line 3: the byte 0xf0 is not UTF-8 (unexpected end of data); "
        "save the file as UTF-8 and drop it again",
    ),
    "a long line": (
        (SOUND + "x" * (LONGEST_LINE + 1)).encode(),
        "day.csv, line 3: the line is longer than 1,048,576 bytes, which no transaction is; is this the right file?",
    ),
    "an open quote": (
        (SOUND + '"T2,C0\n' + SOUND_LINE).encode(),
        "day.csv, line 3: a quote is opened and not closed before the end of the file; "
        "close the quote, or write it twice where it is part of a value, and drop the file again",
    ),
    "an open quote far from the end": (
        (SOUND + '"T2,C0\n' + f"{SOUND_LINE}\n" * 30_000).encode(),
        "day.csv, line 3: a quote is opened and not closed within 1,048,576 bytes; "
        "close the quote, or write it twice where it is part of a value, and drop the file again",
    ),
    "two files in one": (
        (SOUND + SOUND.upper()).encode(),
        "day.csv, line 3: the header is written a second time; "
        "two files were joined into one: take it out, or drop them one by one",
    ),
}


@pytest.mark.parametrize(("content", "sentence"), SENTENCES.values(), ids=SENTENCES)
def test_a_broken_file_is_refused_in_one_sentence(content: bytes, sentence: str) -> None:
    """29, 31."""
    run = dry_run(content)
    assert str(run.error) == sentence
    assert run.report.error is not None
    assert (run.report.error.sentence, run.report.error.is_transient) == (sentence, False)
    assert (run.report.outcome, run.report.counts, run.staged) == ("failed", None, [])
    assert run.left_staged == []


def test_names_of_missing_columns_come_from_the_contract_and_not_from_the_file() -> None:
    """Nothing that a file says makes a sentence longer than a person reads."""
    header = ",".join("x" * 60_000 for _ in range(10)) + ",transaction_id,\x1b[31m,\x1b[31m"
    error = str(dry_run(f"{header}\n".encode()).error)
    assert "\x1b" not in error
    assert len(error) < 1000


def test_more_rejected_rows_than_allowed_refuse_the_load_and_are_kept() -> None:
    bad = SOUND_LINE.replace("Completed", "lost")
    content = f"{HEADER}\n{SOUND_LINE}\n{bad}\n{bad.replace('C12345', 'C9')}\n".encode()
    assert dry_run(content, max_reject_ratio="2/3").error is None
    run = dry_run(content, max_reject_ratio="0.6666")
    load_id = run.report.load_id
    assert str(run.error) == (
        "2 of 3 rows (66.7%) of day.csv are rejected, most of them for invalid_status, "
        "and max_reject_ratio allows 66.7%, so nothing was loaded; the rows and their reasons are in "
        f"s3://work-bucket/rejected/year=2023/month=03/day=15/day.{load_id}.csv"
    )
    assert run.report.counts is None
    assert run.rejected is not None
    assert [line[6:] for line in run.rejected.lines] == [
        ("3", "invalid_status", ""),
        ("4", "unknown_customer;invalid_status", ""),
    ]
    assert {reason: found.rows for reason, found in run.report.reject_reasons.items()} == {
        "invalid_status": 2,
        "unknown_customer": 1,
    }


def test_a_header_with_no_rows_is_a_load_of_nothing() -> None:
    """29."""
    for content in (HEADER.encode(), gzip.compress(HEADER.encode())):
        run = dry_run(content, gz=content[:2] == b"\x1f\x8b", max_reject_ratio="0")
        assert run.error is None
        assert run.report.counts == dict.fromkeys(run.report.counts or {}, 0)
        assert run.report.rejected_uri is None
