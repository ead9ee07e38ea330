"""Two sales in one line, which quotes may hide: a person sees both, whatever order the columns have."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.csv.reader import open_source_file
from tests.jobs.test_whole_files import check
from tests.oracle.records import Reader
from tests.oracle.text import SOURCE_COLUMNS

SALES = [
    dict(zip(SOURCE_COLUMNS, ("T1", "C0", "P0", "1", "2023-03-15", "pending"))),
    dict(zip(SOURCE_COLUMNS, ("T2", "C12345", "P12345", "2", "2023-03-14", "shipped"))),
]
orders = st.permutations([*SOURCE_COLUMNS, "note"])
values = st.sampled_from(
    ["", "T1", "C0", "P0", "1", "2", "2023-03-15", "3/15/2023", "pending", "P0C1", "1T2", "a note"]
)


@given(orders, st.lists(values, min_size=1, max_size=16))
def test_two_sales_are_seen_where_the_contract_sees_two(order: list[str], line: list[str]) -> None:
    text = ",".join(line)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "drop"
        path.write_text(",".join(order) + "\n" + text + "\n")
        layout = open_source_file(path, name="day.csv", required=SOURCE_COLUMNS).layout
    seen = layout.rows_in(pl.Series([text]))
    assert (seen.item() > 1) is (Reader(text, ",").sales(text, tuple(order)) > 1)


@pytest.mark.parametrize("order", list(permutations(SOURCE_COLUMNS))[::37], ids=",".join)
def test_a_lost_line_end_inside_quotes_hides_no_sale(order: tuple[str, ...]) -> None:
    """The second sale would be part of the last value of the first."""
    first, second = ([sale[column] for column in order] for sale in SALES)
    line = ",".join(first[:-1]) + ',"' + first[-1] + ",".join(second) + '",'
    run = check(f"{','.join(order)},note\n{line}\n".encode())
    assert run.staged == []
    assert list(run.report.reject_reasons) == ["malformed_row"]


@pytest.mark.parametrize("note", ["{}", "see {}", "{} again", "{},", ",{}"])
def test_a_note_that_holds_a_sale_hides_none(note: str) -> None:
    first, second = (",".join(sale.values()) for sale in SALES)
    line = f'{first},"{note.format(second)}"'
    run = check(f"{','.join(SOURCE_COLUMNS)},note\n{line}\n".encode())
    assert run.staged == []
    assert list(run.report.reject_reasons) == ["malformed_row"]


@pytest.mark.parametrize("quoted", ['"P12345"', ' "P12345"', "P12345"], ids=["quotes", "a blank before them", "none"])
def test_a_line_without_room_for_a_second_sale_is_one_row(quoted: str) -> None:
    """Its values alone look like two sales, in columns that are not read."""
    header = "quantity,note,transaction_date,memo,status,product_id,transaction_id,customer_id,x,y,z"
    line = f"1,2023-03-14,2023-03-15,2023-03-13,pending,{quoted},2-1-1,C12345,12,T1,"
    run = check(f"{header}\n{line}\n".encode())
    assert [row["transaction_id"] for row in run.staged] == ["2-1-1"]


def test_rows_that_are_quoted_otherwise_are_in_one_piece(tmp_path: Path) -> None:
    path = tmp_path / "drop"
    lines = [",".join(SOURCE_COLUMNS), "T1,C0,P0,1,2023-03-15,pending", 'T2, "C0" ,P0,1,2023-03-15,pending']
    path.write_text("\n".join(lines))
    (chunk,) = open_source_file(path, name="day.csv", required=SOURCE_COLUMNS).chunks()
    assert (chunk.height, set(chunk.n_chunks("all"))) == (2, {1})
