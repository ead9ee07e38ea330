"""The sentence about a file that cannot be loaded: what, which value, where, what to do."""

from __future__ import annotations

import gzip

import pytest

from tests.jobs.dry_run import dry_run
from tests.oracle.records import LONGEST_LINE
from tests.strategies.hostile_content import HEADER, SOUND_LINE

SOUND = f"{HEADER}\n{SOUND_LINE}\n"
COLUMNS = "transaction_id, customer_id, product_id, quantity, transaction_date, status"

AGAIN = "and upload the file again"
LACKING = (
    f"wanted are {COLUMNS}, in any order; fix the header, or name its headings under `columns` in the source's settings"
)

SENTENCES = {
    "empty": (b"", "day.csv is empty: it has no header; upload the file again with its content"),
    "blank": (b"\n,,,\n", "day.csv is empty: it has no header; upload the file again with its content"),
    "column missing": (
        SOUND.replace(",status", ",state").encode(),
        "day.csv, line 1: the header lacks 'status'; its headings are 'transaction_id', 'customer_id', 'product_id', "
        f"'quantity', 'transaction_date', 'state'; {LACKING}, {AGAIN}",
    ),
    "no comma": (
        b"hello world\n1\n",
        "day.csv, line 1: the header lacks 'transaction_id', 'customer_id', 'product_id', 'quantity', "
        f"'transaction_date', 'status'; it has no delimiter, only 'hello world'; {LACKING}, {AGAIN}",
    ),
    "headings of a shop, one of which has a blank": (
        b"Order,Email,Item SKU,Qty,Created at,Status\n1,C1,P100,1,2023-03-15,completed\n",
        "day.csv, line 1: the header lacks 'transaction_id', 'customer_id', 'product_id', 'quantity', "
        "'transaction_date'; its headings are 'Order', 'Email', 'Item SKU', 'Qty', 'Created at', 'Status'; "
        f"{LACKING}, {AGAIN}",
    ),
    "headings of a shop, one of which ends in a blank and a wanted one": (
        b"Order,Email,Item SKU,Qty,Created at,Order Status\n1,C1,P100,1,2023-03-15,completed\n",
        "day.csv, line 1: the header lacks 'transaction_id', 'customer_id', 'product_id', 'quantity', "
        "'transaction_date', 'status'; its headings are 'Order', 'Email', 'Item SKU', 'Qty', 'Created at', "
        f"'Order Status'; {LACKING}, {AGAIN}",
    ),
    "header on a later line": (
        b'"Orders, all times UTC"\n\n' + SOUND.encode(),
        "day.csv, line 1: the header is not here; the wanted headings are on line 3; "
        f"delete the lines above it, or set `skip_rows: 2` in the source's settings, {AGAIN}",
    ),
    "semicolons": (
        SOUND.replace(",", ";").encode(),
        "day.csv, line 1: its columns are separated by ';' (a semicolon), not by a comma; "
        f'save it with a comma, or set `delimiter: ";"` in the source\'s settings, {AGAIN}',
    ),
    "semicolons between quoted headings": (
        "\n".join('"' + line.replace(",", '";"') + '"' for line in SOUND.split()).encode(),
        "day.csv, line 1: its columns are separated by ';' (a semicolon), not by a comma; "
        f'save it with a comma, or set `delimiter: ";"` in the source\'s settings, {AGAIN}',
    ),
    "a title above semicolons": (
        ("Sales\n\n" + SOUND.replace(",", ";")).encode(),
        "day.csv cannot be read for 2 reasons: (1) line 1: the header is not here; the wanted headings are on line 3: "
        "delete the lines above it, or set `skip_rows: 2` in the source's settings; "
        "(2) line 3: its columns are separated by ';' (a semicolon), not by a comma: "
        'save it with a comma, or set `delimiter: ";"` in the source\'s settings; then upload the file again',
    ),
    **{
        encoding: (
            (SOUND + SOUND_LINE.replace("T1", "Müßig")).encode(encoding),
            f"day.csv, line 3: the byte 0x{byte} is not UTF-8 (invalid start byte) but may be {name}; "
            f"save the file as UTF-8, or set `encoding: {encoding}` in the source's settings, {AGAIN}",
        )
        for encoding, byte, name in (
            ("cp1252", "fc", "Windows-1252"),
            ("mac_roman", "9f", "Mac OS Roman"),
            ("cp850", "81", "code page 850 of DOS"),
        )
    },
    "everything of a German Excel": (
        SOUND.replace(",", ";").replace("2023-03-15", "15.03.2023 10:00").replace("T1", "Tü").encode("cp1252"),
        "day.csv cannot be read for 3 reasons: (1) line 2: the byte 0xfc is not UTF-8 (invalid start byte) but may be "
        "Windows-1252: save the file as UTF-8, or set `encoding: cp1252` in the source's settings; "
        "(2) line 1: its columns are separated by ';' (a semicolon), not by a comma: "
        'save it with a comma, or set `delimiter: ";"` in the source\'s settings; '
        "(3) line 2: transaction_date '15.03.2023 10:00' is not written as YYYY-MM-DD, with an optional time: "
        "write dates in that form, or name their form under `date_formats` in the source's settings; "
        "then upload the file again",
    ),
    "column twice": (
        SOUND.replace(HEADER, HEADER + ",Customer ID").encode(),
        "day.csv, line 1: the header has 'customer_id', 'Customer ID', two spellings of one heading, "
        f"so it is unclear which is meant; keep one of them, {AGAIN}",
    ),
    "quote in the header": (
        SOUND.replace("status", '"stat"us').encode(),
        f"day.csv, line 1: a quote in the header is out of place or not closed; fix the header, {AGAIN}",
    ),
    "an open quote and a stray tab in the header": (
        SOUND.replace("customer_id", '"customer_id').replace(",status", ",\tstatus").encode(),
        f"day.csv, line 1: a quote in the header is out of place or not closed; fix the header, {AGAIN}",
    ),
    "too many columns": (
        (HEADER + "".join(f",c{at}" for at in range(10_000)) + "\n").encode(),
        "day.csv, line 1: the header has 10,006 columns and at most 1,000 are read; "
        f"delete columns that are not needed, {AGAIN}",
    ),
    "latin-1": (
        (SOUND + SOUND.replace("T1", "Tü")).encode("latin-1"),
        "day.csv, line 4: the byte 0xfc is not UTF-8 (invalid start byte) but may be Windows-1252; "
        f"save the file as UTF-8, or set `encoding: cp1252` in the source's settings, {AGAIN}",
    ),
    "half a character": (
        SOUND.encode() + b"\xf0\x9d",
        f"day.csv, line 3: the byte 0xf0 is not UTF-8 (unexpected end of data); save the file as UTF-8, {AGAIN}",
    ),
    "control characters between columns": (
        SOUND.replace(",", "\x01").encode(),
        "day.csv, line 1: its columns are separated by '\\x01', not by a comma; "
        f'save it with a comma, or set `delimiter: "\\u0001"` in the source\'s settings, {AGAIN}',
    ),
    "lines in quotes": (
        "".join(f'"{line}"\n' for line in SOUND.splitlines()).encode(),
        "day.csv, line 1: the header lacks 'transaction_id', 'customer_id', 'product_id', 'quantity', "
        "'transaction_date', 'status'; the whole line is quoted, so it is one heading: remove the quotes around "
        f"it; {LACKING}, {AGAIN}",
    ),
    "no header": (
        SOUND_LINE.encode(),
        "day.csv, line 1: the header lacks 'transaction_id', 'customer_id', 'product_id', 'quantity', "
        f"'transaction_date', 'status'; it looks like a row of data: is the header missing?; {LACKING}, {AGAIN}",
    ),
    "line ends of an old Mac, and one of today": (
        SOUND.replace("\n", "\r").encode() + b"\n",
        "day.csv, line 1: it has carriage returns without line feeds, the line ends of an old Mac; "
        f"save the file with line feeds (in Excel: CSV UTF-8, not CSV Macintosh), {AGAIN}",
    ),
    "records filled up with NUL": (
        "".join(line.ljust(80, "\0") + "\n" for line in SOUND.splitlines()).encode(),
        f"day.csv, line 1: the header has NUL characters; export the file as plain text, {AGAIN}",
    ),
    "a tar archive": (
        b"day.csv".ljust(257, b"\0") + b"ustar\0",
        "day.csv is a tar archive; unpack it, and upload that; nothing was loaded",
    ),
    "an image": (
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
        "day.csv is an image; export the rows as CSV, and upload that; nothing was loaded",
    ),
    "a workbook": (
        b"PK\x03\x04 [Content_Types].xml",
        "day.csv is a workbook (Excel or the like), not CSV; open it and save it as CSV UTF-8, and upload that; "
        "nothing was loaded",
    ),
    "a document of Numbers": (
        b"PK\x03\x04\x14\0Index/Document.iwa",
        "day.csv is a workbook (Excel or the like), not CSV; open it and save it as CSV UTF-8, and upload that; "
        "nothing was loaded",
    ),
    **{
        name: (content, f"day.csv is {what}, and upload that; nothing was loaded")
        for name, content, what in (
            ("LZ4", b"\x04\x22\x4d\x18x", "compressed with LZ4; compress it with gzip or not at all"),
            ("Snappy", b"\xff\x06\0\0sNaPpYx", "compressed with Snappy; compress it with gzip or not at all"),
            (".Z", b"\x1f\x9d\x90x", "compressed with compress (.Z); compress it with gzip or not at all"),
            ("PGP", b"-----BEGIN PGP MESSAGE-----\n", "encrypted or signed with PGP; save its content as CSV"),
            ("an empty zip", b"PK\x05\x06" + b"\0" * 18, "an empty zip archive; export the rows as CSV"),
            ("Arrow", b"ARROW1\0\0", "an Arrow file; export the rows as CSV"),
            ("Hadoop", b"SEQ\x06\0", "a sequence file of Hadoop; export the rows as CSV"),
            ("pg_dump", b"PGDMP\x01", "a dump of PostgreSQL; export the rows as CSV"),
        )
    },
    "a zip archive": (
        b"PK\x03\x04 day.csv",
        "day.csv is a zip archive; unpack it, and upload that; nothing was loaded",
    ),
    "a table of a web page": (
        b"<table><tr><td>transaction_id</td></tr></table>",
        "day.csv is a web page (HTML); export the rows as CSV, and upload that; nothing was loaded",
    ),
    "a web page": (
        b"<!DOCTYPE html><html><body>Access denied</body></html>",
        "day.csv is a web page (HTML); export the rows as CSV, and upload that; nothing was loaded",
    ),
    "JSON": (b'{"orders": []}', "day.csv is JSON; export the rows as CSV, and upload that; nothing was loaded"),
    "a PDF": (b"%PDF-1.7", "day.csv is a PDF document; export the rows as CSV, and upload that; nothing was loaded"),
    "a long line": (
        (SOUND + "x" * (LONGEST_LINE + 1)).encode(),
        "day.csv, line 3: the line is longer than 1,048,576 bytes, which no transaction is; is this the right file?",
    ),
    "two slips of a quote round a row": (
        f'{HEADER},note\n{SOUND_LINE},a\n{SOUND_LINE},"b\n{SOUND_LINE},c\n{SOUND_LINE},"\n'.encode(),
        "day.csv, line 3: a quote is opened here and closed on line 5, and line 4 is a row of its own, "
        "so rows would be lost; close the quote on its line, or write it twice where it is part of a value, "
        "and upload the file again",
    ),
    "two files in one": (
        (SOUND + SOUND.upper()).encode(),
        "day.csv, line 3: the header is written a second time; "
        "two files were joined into one: take it out, or upload them one by one",
    ),
    "two files in one, with columns in another order": (
        f"{HEADER}\n{SOUND_LINE}\nstatus,{HEADER[:-7]}\n".encode(),
        "day.csv, line 3: the header is written a second time; "
        "two files were joined into one: take it out, or upload them one by one",
    ),
}


@pytest.mark.parametrize(("content", "sentence"), SENTENCES.values(), ids=SENTENCES)
def test_a_broken_file_is_refused_in_one_sentence(content: bytes, sentence: str) -> None:
    run = dry_run(content)
    assert str(run.error).startswith(sentence)
    sentence = str(run.error)
    assert run.report.error is not None
    assert (run.report.error.sentence, run.report.error.is_transient) == (sentence, False)
    assert (run.report.outcome, run.report.counts, run.staged) == ("failed", None, [])
    assert run.left_staged == []


def test_missing_columns_are_named_as_in_the_contract() -> None:
    """No content of a file makes a sentence too long to read."""
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
    assert {reason: rejected.rows for reason, rejected in run.report.reject_reasons.items()} == {
        "invalid_status": 2,
        "unknown_customer": 1,
    }


def test_a_header_with_no_rows_is_a_load_of_nothing() -> None:
    for content in (HEADER.encode(), gzip.compress(HEADER.encode())):
        run = dry_run(content, gz=content[:2] == b"\x1f\x8b", max_reject_ratio="0")
        assert run.error is None
        assert run.report.counts == dict.fromkeys(run.report.counts or {}, 0)
        assert run.report.rejected_uri is None
