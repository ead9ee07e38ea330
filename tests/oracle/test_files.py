"""The oracle's reading of files, checked by examples worked out by hand and by laws."""

from __future__ import annotations

import csv
import gzip
import io

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.oracle.files import read_file, with_mark
from tests.oracle.rows import Accepted, Rejected, ValidatedFile, validate_file
from tests.oracle.text import SOURCE_COLUMNS, Refused, as_dropped, as_shown, trim
from tests.strategies.files import RenderedFile, hostile_files, render, transaction_files
from tests.strategies.hostile_content import (
    BROKEN_FILES,
    HEADER,
    SOUND_CUSTOMERS,
    SOUND_DAY,
    SOUND_LINE,
    SOUND_PRODUCTS,
    HostileFile,
)
from tests.strategies.rows import hostile_texts, hostile_transactions, transactions

DAY = SOUND_DAY


def in_order(result: ValidatedFile) -> list[Accepted | Rejected]:
    """Both sides together, in the file's order."""
    both: list[Accepted | Rejected] = [*result.accepted, *result.rejected]
    return sorted(both, key=lambda verdict: verdict.row.source_line)


@pytest.mark.parametrize("broken", BROKEN_FILES, ids=lambda broken: broken.name)
def test_every_broken_file_has_the_outcome_written_beside_it(broken: HostileFile) -> None:
    if broken.refusals:
        with pytest.raises(Refused) as refused:
            read_file(broken.content)
        assert refused.value.kinds == broken.refusals
        return
    file = read_file(broken.content)
    result = validate_file(file, products=SOUND_PRODUCTS, customers=SOUND_CUSTOMERS, partition_day=DAY)
    verdicts = in_order(result)
    actual = tuple(verdict.reasons if isinstance(verdict, Rejected) else () for verdict in verdicts)
    assert actual == broken.reasons


def test_rows_are_numbered_by_the_physical_line_they_start_on() -> None:
    content = (
        f"{HEADER},note\r\n"  # 1
        "\r\n"  # 2
        'T1,C0,P0,1,2023-03-15,pending,"two\n'  # 3
        'lines"\n'  # 4
        "T2,C0\n"  # 5
        '"T3"x,"C0\n'  # 6: seen at the x, so the open quote behind it is never read
        "T4,C0,P0,1,2023-03-15,pending,\n"  # 7
        '"T5\n'  # 8: an id of two lines is a slip of a quote
        '5","a"b\n'  # 9: so this line is read alone
        "\n"  # 10
        "T6,C0,P0,1,2023-03-15,pending,é"  # 11
    )
    file = read_file(content.encode())
    assert [(row.source_line, row.malformed, row.text) for row in file.rows] == [
        (3, False, 'T1,C0,P0,1,2023-03-15,pending,"two\nlines"'),
        (5, True, "T2,C0"),
        (6, True, '"T3"x,"C0'),
        (7, False, "T4,C0,P0,1,2023-03-15,pending,"),
        (8, True, '"T5'),
        (9, True, '5","a"b'),
        (11, False, "T6,C0,P0,1,2023-03-15,pending,é"),
    ]


def test_values_are_found_by_heading_and_other_columns_are_named() -> None:
    header = b"note,STATUS, Quantity ,customer_id,transaction_ID,\tproduct_id,transaction_date, Extra "
    file = read_file(header + b"\nn,s,q,c,t,p,d,e")
    assert file.rows[0].values == {
        "transaction_id": "t",
        "customer_id": "c",
        "product_id": "p",
        "quantity": "q",
        "transaction_date": "d",
        "status": "s",
    }
    assert file.rows[0].fields == ("n", "s", "q", "c", "t", "p", "d", "e")
    assert file.ignored_columns == ("note", "Extra")


def test_headings_differ_by_more_than_ascii_case() -> None:
    with pytest.raises(Refused) as refused:  # U+017F is an s to str.upper and casefold, not to us
        read_file(HEADER.replace("status", "\u017ftatus").encode())
    assert refused.value.kind == "missing_column"
    assert read_file(f"{HEADER},\u00dcber,\u00fcber".encode()).ignored_columns == ("\u00dcber", "\u00fcber")


def test_a_quote_at_the_start_opens_and_any_other_is_text() -> None:
    file = read_file(f'{HEADER},x,y\n"a""b",c, "" ,\t"e,",""""," ",c"d,e""\n'.encode())
    assert file.rows[0].fields == ('a"b', "c", "", "e,", '"', " ", 'c"d', 'e""')


def test_a_quote_inside_an_unquoted_value_of_the_contract_is_a_slip() -> None:
    file = read_file(f'{HEADER}\nT1",C0,P0,1,2023-03-15,pending\n'.encode())
    assert [row.malformed for row in file.rows] == [True]


def test_the_refusal_names_the_first_kind_and_knows_them_all() -> None:
    with pytest.raises(Refused, match="not_utf8, other_delimiter, missing_column") as refused:
        read_file(b'\xff;\n"')
    assert refused.value.kind == "not_utf8"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        *((sign + "1", "'" + sign + "1") for sign in "=+-@＝＋－＠\t\r\n\0"),
        *((text, text) for text in ("", "1", "T1", "'", "''", "'T1", " =1", "1-1")),
        ("'=1", "''=1"),
        ("''-1", "'''-1"),
        ("=", "'="),
    ],
)
def test_what_a_spreadsheet_would_run_is_shown_with_an_apostrophe(text: str, shown: str) -> None:
    assert as_shown(text) == shown
    assert as_dropped(shown) == text


@given(hostile_texts)
def test_what_is_shown_can_be_dropped_again(text: str) -> None:
    assert as_dropped(as_shown(text)) == text


def test_only_headings_of_a_rejected_file_lose_their_apostrophe() -> None:
    header = f"'=1+1,{HEADER},source_line,reject_reasons"
    assert read_file(header.encode()).ignored_columns[0] == "'=1+1"
    assert read_file(f"{header},source_text".encode()).ignored_columns[0] == "=1+1"


def test_a_second_header_is_seen_in_any_order_and_in_any_width() -> None:
    for second in (HEADER, f"note,{HEADER}", ",".join(reversed(HEADER.upper().split(",")))):
        with pytest.raises(Refused) as refused:
            read_file(f"{HEADER}\n{second}\n".encode())
        assert refused.value.kinds == {"second_header"}


def test_several_gzip_members_are_one_file() -> None:
    content = gzip.compress(f"{HEADER}\n".encode()) + gzip.compress(SOUND_LINE.encode())
    assert [row.text for row in read_file(content).rows] == [SOUND_LINE]


@example(render([dict(zip(SOURCE_COLUMNS, ("T1\\", "C0", "P0", "1", "2023-03-15", "pending")))], quoted=[0, -1]))
@example(render([dict(zip(SOURCE_COLUMNS, ("T1\\", "C0", "P0", "1", "2023-03-15", "pending")))]))
@given(transaction_files(rows=st.one_of(transactions(), hostile_transactions()), gz=None))
def test_what_was_written_is_what_is_read(rendered: RenderedFile) -> None:
    if any("\n" in values[column] for values in rendered.values for column in SOURCE_COLUMNS):
        return  # a value of the contract that spans lines is not one row
    try:
        file = read_file(rendered.content)
    except Refused as refused:
        if refused.kinds == {"hidden_row"}:
            return  # a date in an ignored column may look like that of a hidden row
        raise
    assert file.header == rendered.header
    assert [row.source_line for row in file.rows] == [source_line for source_line, _ in rendered.rows]
    for row, (_, fields), given_values in zip(file.rows, rendered.rows, rendered.values):
        trimmed = {column: trim(given_values[column]) for column in SOURCE_COLUMNS}
        breaks = any(letter in value for value in trimmed.values() for letter in "\r\n\0")
        ends_with_backslash = any(given_values[column].endswith("\\") for column in SOURCE_COLUMNS)
        breaks |= ends_with_backslash and '\\"' in row.text
        as_read = tuple(field.replace("\r\n", "\n") for field in fields)
        assert (row.fields, row.values) == (((), {}) if breaks else (as_read, trimmed))


@given(hostile_files())
def test_any_bytes_are_refused_or_become_rows_and_nothing_is_lost(hostile: HostileFile) -> None:
    try:
        file = read_file(hostile.content)
    except Refused:
        return
    content = hostile.content
    while content[:2] == b"\x1f\x8b":
        content = gzip.decompress(content)
    content = with_mark(content)
    text = content.decode("utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    if "\n" not in text:
        text = text.replace("\r", "\n")
    if text.rstrip("\r\n").endswith("\x1a"):
        text = text.rstrip("\r\n").rstrip("\x1a")
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    unread = 1
    for row in file.rows:
        between = lines[unread - 1 : row.source_line - 1]
        assert unread == 1 or not any(map(has_value, between)), "only blank lines are between two rows"
        until = row.source_line + row.text.count("\n")
        assert lines[row.source_line - 1 : until] == row.text.replace("\r\n", "\n").split("\n")
        unread = until + 1
    assert unread == 1 or not any(map(has_value, lines[unread - 1 :])), "only blank lines are after the last row"


def has_value(line: str) -> bool:
    return trim(line.replace(",", "").replace(";", "").replace('"', "")) != ""


@given(transaction_files(rows=transactions()))
def test_python_reads_a_file_without_lone_carriage_returns_alike(rendered: RenderedFile) -> None:
    text = rendered.content.decode("utf-8-sig")
    if "\r" in text.replace("\r\n", "") or "\0" in text or "'" in text:
        return  # here csv has another notion of a line, 3.9 refuses NUL, and an apostrophe may be ours
    records = [record for record in csv.reader(io.StringIO(text, newline=""), strict=True) if record]
    assert tuple(tuple(record) for record in records[1:]) == tuple(fields for _, fields in rendered.rows)
