"""Texts that mean one id, no id, or possibly several ids."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from schemas.sources import DEFAULT, SourceSettings
from tests.jobs.dry_run import dry_run
from tests.oracle.text import SOURCE_COLUMNS
from tests.strategies.files import write
from tests.strategies.hostile_content import SOUND_CUSTOMERS

SALE = ("T1", "C0", "P0", "1", "2023-03-15", "pending")
ONE_ID = (
    *("1002", " 1002 ", "'1002", "'1002'", '="1002"', '"1002"', "“1002”", "„1002“", "‘1002’", "`1002´", "«1002»"),
    *("1002.0", "“1002", "1002”", "’1002", "'1002.0", "\u200b1002\ufeff"),
)


@pytest.mark.parametrize("written", ONE_ID)
def test_an_id_is_the_same_with_any_marks_around_it(written: str) -> None:
    run = dry_run(write([("1002", *SALE[1:]), (written, *SALE[1:])]))
    assert [row["transaction_id"] for row in run.staged] == ["1002"]
    assert run.duplicate == 1


blanks_and_marks = st.text("T1| \t\u3000'\"=“”‘’#.-", min_size=1, max_size=8)


@settings(max_examples=30)
@given(st.lists(blanks_and_marks, min_size=10, max_size=30))
@example(['="T1 "', "“T1 ”", "' T1 '", '" “T1” "'])
def test_no_text_reaches_the_warehouse_with_a_blank_at_its_end(written: list[str]) -> None:
    """Redshift ignores trailing blanks when it compares VARCHARs, so two ids here would be one there."""
    source = SourceSettings.parse({"columns": {"transaction_id": ["transaction_id", "item"]}})
    header = ",".join([*SOURCE_COLUMNS, "item"])
    rows = [",".join(['"' + text.replace('"', '""') + '"', *SALE[1:], "7 "]) for text in written]
    whole = dry_run(write([(text, *SALE[1:]) for text in written]))
    in_parts = dry_run("\n".join([header, *rows, ""]).encode(), source=source)
    texts = [value for row in [*whole.staged, *in_parts.staged] for value in row.values() if isinstance(value, str)]
    assert [text for text in texts if text.endswith(" ")] == []


@pytest.mark.parametrize("written", ["5'", "1002.00", "1002.5", "A.0", "00.1", "O'Neil", "T“1"])
def test_an_id_keeps_its_own_marks(written: str) -> None:
    run = dry_run(write([(written, *SALE[1:])]))
    assert [row["transaction_id"] for row in run.staged] == [written]


@pytest.mark.parametrize("written", ["1.23457E+11", "'1.23457E+11", "1234567890123456.0", "9007199254740993.0"])
@pytest.mark.parametrize("column", ["transaction_id", "item"])
def test_an_id_that_lost_digits_is_rejected_also_in_a_key(written: str, column: str) -> None:
    settings = SourceSettings.parse({"columns": {"transaction_id": ["transaction_id", "item"]}})
    values = dict(zip(SOURCE_COLUMNS, SALE), item="7")
    content = "\n".join([",".join(values), ",".join({**values, column: written}.values()), ""]).encode()
    run = dry_run(content, source=settings)
    assert run.staged == []
    assert list(run.report.reject_reasons) == ["rounded_id"]


@pytest.mark.parametrize("written", [*ONE_ID[:3], "1002.0", "“1002”"])
def test_a_part_of_a_key_is_read_as_an_id_is(written: str) -> None:
    settings = SourceSettings.parse({"columns": {"transaction_id": ["transaction_id", "item"]}})
    values = dict(zip(SOURCE_COLUMNS, SALE), item="7")
    content = "\n".join([",".join(values), ",".join({**values, "transaction_id": written}.values()), ""]).encode()
    assert [row["transaction_id"] for row in dry_run(content, source=settings).staged] == ["1002|7"]


def test_a_customer_is_known_however_the_id_is_written() -> None:
    ids = ["C0", "'C0", "“C0”", "C0 "]
    rows = [(f"T{at}", name, *SALE[2:]) for at, name in enumerate(ids)]
    assert [row["customer_id"] for row in dry_run(write(rows)).staged] == ["C0"] * len(ids)
    assert "C0" in SOUND_CUSTOMERS


@pytest.mark.parametrize(
    ("column", "written", "value"),
    [
        ("quantity", "'7", 7),
        ("quantity", "“7”", 7),
        ("status", "“Paid”", "completed"),
        ("status", "'paid'", "completed"),
    ],
)
def test_no_other_value_has_marks_of_its_own(column: str, written: str, value: object) -> None:
    row = {**dict(zip(SOURCE_COLUMNS, SALE)), column: written}
    run = dry_run(write([tuple(row.values())]), source=SourceSettings.parse({"statuses": {"paid": "completed"}}))
    assert [staged[column] for staged in run.staged] == [value]


@pytest.mark.parametrize(
    "written",
    [
        *("-", "—", "¿?", "########", "NaT", "(not set)", "(blank)"),
        *("#REF!", "#BEZUG!", "#¡VALOR!", "#DIV/0!", "#NV", "#N/D", "Err:502", "#SPILL!", "#ERROR!"),
    ],
)
def test_text_that_means_no_id_is_read_as_none(written: str) -> None:
    run = dry_run(write([(written, *SALE[1:]), (*SALE[:1], written, *SALE[2:])]))
    assert list(run.report.reject_reasons) == ["missing_transaction_id", "missing_customer_id"]


@pytest.mark.parametrize("written", ["#1001!", "#A-1", "#N", "nilsson", "Err:5020", "—1—"])
def test_an_id_may_look_a_little_like_none(written: str) -> None:
    assert [row["transaction_id"] for row in dry_run(write([(written, *SALE[1:])])).staged] == [written]


@pytest.mark.parametrize("written", ["On Hold", "on-hold", "ON_HOLD", "on\u00a0hold"])
def test_the_sign_between_the_words_of_a_status_does_not_count(written: str) -> None:
    settings = SourceSettings.parse({"statuses": {"on_hold": "pending"}})
    assert [row["status"] for row in dry_run(write([(*SALE[:5], written)]), source=settings).staged] == ["pending"]


def test_a_long_unknown_status_is_unknown_and_nothing_else() -> None:
    run = dry_run(write([(*SALE[:5], "s" * 100)]), source=DEFAULT)
    assert list(run.report.reject_reasons) == ["invalid_status"]
