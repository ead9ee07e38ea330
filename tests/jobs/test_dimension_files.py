"""Reading a dimension: every row right, or the line named that is not."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.csv.reader import open_source_file
from jobs.errors import DimensionRefused, FileRefused
from jobs.load_dimensions import read_dimension
from schemas.drops import CUSTOMERS, PRODUCTS
from schemas.warehouse.tables import DIMENSIONS
from tests.jobs.dry_run import small_pieces
from tests.oracle_files import trim
from tests.strategies import PRICES, hostile_texts

PRODUCT_HEADER = "product_id,product_name,category,price,supplier_id"
CUSTOMER_HEADER = "customer_id,first_name,last_name,email,membership_level"


def read(content: str, kind: str = PRODUCTS) -> pl.DataFrame:
    dimension = DIMENSIONS[kind]
    with TemporaryDirectory() as folder:
        path = Path(folder) / "drop"
        path.write_bytes(content.encode("utf-8"))
        names = [column.name for column in dimension.source_columns]
        return read_dimension(open_source_file(path, name=f"{kind}.csv", required=names), dimension)


def test_the_sample_rows_of_the_contract_are_read() -> None:
    found = read(f'{PRODUCT_HEADER}\nP12345,"Widget A","Gadgets",29.99,"S123"\n')
    assert found.rows() == [(2, "P12345", "Widget A", "Gadgets", Decimal("29.9900"), "S123")]
    found = read(f'{CUSTOMER_HEADER}\nC12345,"John","Doe","john.doe@example.com","Gold"\n', CUSTOMERS)
    assert found.rows() == [(2, "C12345", "John", "Doe", "john.doe@example.com", "Gold")]


@pytest.mark.parametrize("kind", [PRODUCTS, CUSTOMERS])
def test_the_sample_files_in_the_checkout_are_read(kind: str) -> None:
    sample = Path(read_dimension.__code__.co_filename).parents[1] / "schemas" / "samples" / f"{kind}.csv"
    assert read(sample.read_text(encoding="utf-8"), kind).height >= 1


def test_columns_may_stand_in_any_order_and_values_are_trimmed_and_may_be_empty() -> None:
    found = read("\ufeffnote,PRICE, supplier_id,category,product_name,product_id\nx, 1 ,,\xa0,Ü, P1\u3000\n\n")
    assert found.rows() == [(2, "P1", "Ü", None, Decimal(1), None)]


@pytest.mark.parametrize(
    ("rows", "fault"),
    [
        ("P1,,,1\n", "the row has not one value for each of the 5 columns"),
        ('"P1"x,,,1,\n', "the row has not one value for each of the 5 columns"),
        (" ,Widget,,1,\n", "the row has no product_id"),
        (f"{'x' * 65},,,1,\n", f"product_id '{'x' * 65}' is longer than 64 bytes"),
        (f"P1,{'ü' * 129},,1,\n", f"product_name '{'ü' * 80}' is longer than 256 bytes"),
        ("P1,,,,\n", "price None is not a decimal number from 0 up with at most 4 decimals"),
        *(
            (f"P1,,,{price},\n", f"price {price!r} is not a decimal number from 0 up with at most 4 decimals")
            for price in ("-1", "1e3", "NaN", "1.00001", "x", "٣", "0x1", "1_000", "100000000000000", ".5", "5.", "+1")
        ),
        ('P1,,,"1,5",\n', "price '1,5' is not a decimal number from 0 up with at most 4 decimals"),
    ],
)
def test_a_bad_row_is_named_by_its_line_and_nothing_is_read(rows: str, fault: str) -> None:
    with pytest.raises(DimensionRefused) as refused:
        read(f"{PRODUCT_HEADER}\nP0,,,1,\n\n{rows}P2,,,2,\n")
    assert str(refused.value) == (
        f"dim_products.csv, line 4: {fault}; nothing was loaded, mend the file and drop it again"
    )


def test_a_duplicate_id_names_both_lines() -> None:
    with pytest.raises(DimensionRefused) as refused:
        read(f"{PRODUCT_HEADER}\nP0,,,1,\nP1,,,1,\n P0,,,2,\nP0,,,3,\n")
    assert str(refused.value) == (
        "dim_products.csv, line 2: product_id 'P0' stands in the file more than once, and only one row can be right "
        "(so it is on 2 more rows, next on line 4); nothing was loaded, mend the file and drop it again"
    )


def test_a_missing_column_is_named() -> None:
    with pytest.raises(FileRefused) as refused:
        read("product_id,product_name,category,supplier_id\n")
    assert str(refused.value) == (
        "dim_products.csv, line 1: the header lacks 'price'; it must have product_id, product_name, category, price, "
        "supplier_id, in any order; mend the header and drop the file again"
    )


@given(
    st.lists(
        st.tuples(
            st.one_of(st.sampled_from(("P1", "P2", "P3", "P4")), hostile_texts), hostile_texts, st.sampled_from(PRICES)
        ),
        max_size=5,
        unique_by=lambda row: row[0],
    )
)
def test_any_text_is_read_or_refused_by_line(rows: Sequence[tuple[str, str, Decimal]]) -> None:
    quoted = "".join(
        '"{}","{}",,{},\n'.format(name.replace('"', '""'), text.replace('"', '""'), price) for name, text, price in rows
    )
    breaks = any(set("\n\r\0") & set(trim(cell)) for name, text, _ in rows for cell in (name, text))
    ids = [trim(name) for name, _, _ in rows]
    too_long = any(len(trim(name).encode()) > 64 or len(trim(text).encode()) > 256 for name, text, _ in rows)
    if breaks or too_long or "" in ids or len(set(ids)) < len(ids):
        with pytest.raises(DimensionRefused, match=r"^dim_products\.csv, line \d+: "):
            read(f"{PRODUCT_HEADER}\n{quoted}")
        return
    with small_pieces():
        found = read(f"{PRODUCT_HEADER}\n{quoted}")
    assert found.drop("source_line").rows() == [
        (name, trim(text) or None, None, price, None) for name, (_, text, price) in zip(ids, rows)
    ]
