"""Reading a dimension: every row is right, or the wrong line is named."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import mock

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import schemas.drops
from jobs.errors import DimensionRefused, FileRefused
from jobs.load_dimensions import open_dimension
from jobs.rows.dimensions import DimensionRows
from schemas.drops import CUSTOMERS, PRODUCTS
from schemas.sources import DEFAULT, SourceSettings
from schemas.warehouse.tables import DIMENSIONS
from tests.jobs.dry_run import small_pieces
from tests.oracle import values as oracle_values
from tests.oracle.text import trim
from tests.strategies.rows import PRICES, hostile_texts

PRODUCT_HEADER = "product_id,product_name,category,price,supplier_id"
PRICED_BY_PREIS = PRODUCT_HEADER.replace("price", "Preis")
GERMAN_NUMBERS = {"decimal_comma": True, "thousands_separator": "."}
CURRENCY = "and the warehouse keeps none; write the number alone"
TWO_PRICES = (
    "has two meanings, as 1.000 is one or a thousand; set `thousands_separator`, and `decimal_comma` if a comma is "
    "the decimal mark, in the source's settings"
)
CUSTOMER_HEADER = "customer_id,first_name,last_name,email,membership_level"


def read(content: str | bytes, kind: str = PRODUCTS, settings: SourceSettings = DEFAULT) -> pl.DataFrame:
    """All rows of the file."""
    return read_with_notes(content, kind, settings)[0]


def read_with_notes(
    content: str | bytes, kind: str = PRODUCTS, settings: SourceSettings = DEFAULT
) -> tuple[pl.DataFrame, list[str]]:
    dimension = DIMENSIONS[kind]
    with TemporaryDirectory() as folder:
        path = Path(folder) / "drop"
        path.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)
        source = open_dimension(path, name=f"{kind}.csv", dimension=dimension, settings=settings)
        rows = DimensionRows(source, dimension)
        chunks = list(rows.chunks())
        rows.refuse_faults()
    schema = {"source_line": pl.Int64(), **{column.name: column.polars for column in dimension.source_columns}}
    return pl.concat([pl.DataFrame(schema=schema), *chunks]), rows.notes


def test_a_line_break_in_a_name_becomes_a_blank() -> None:
    actual = read(f'{CUSTOMER_HEADER}\nC1,"Max\r\nSecond",One,,Gold\nC2,"Eve",Two,,\n', CUSTOMERS)
    assert actual.rows() == [(2, "C1", "Max Second", "One", None, "Gold"), (4, "C2", "Eve", "Two", None, None)]


@pytest.mark.parametrize("second", [CUSTOMER_HEADER, "first_name,last_name,email,Customer ID,membership_level"])
def test_a_header_written_a_second_time_is_refused(second: str) -> None:
    with pytest.raises(FileRefused, match=r"^dim_customers\.csv, line 3: the header is written a second time; "):
        read(f"{CUSTOMER_HEADER}\nC8,,,,\n{second}\nC9,,,,\n", CUSTOMERS)


def test_the_sample_rows_of_the_contract_are_read() -> None:
    actual = read(f'{PRODUCT_HEADER}\nP12345,"Widget A","Gadgets",29.99,"S123"\n')
    assert actual.rows() == [(2, "P12345", "Widget A", "Gadgets", Decimal("29.9900"), "S123")]
    actual = read(f'{CUSTOMER_HEADER}\nC12345,"John","Doe","john.doe@example.com","Gold"\n', CUSTOMERS)
    assert actual.rows() == [(2, "C12345", "John", "Doe", "john.doe@example.com", "Gold")]


@pytest.mark.parametrize("kind", [PRODUCTS, CUSTOMERS])
def test_the_sample_files_in_the_checkout_are_read(kind: str) -> None:
    sample = Path(schemas.drops.__file__).parents[1] / "schemas" / "samples" / f"{kind}.csv"
    assert read(sample.read_text(encoding="utf-8"), kind).height >= 1


def test_columns_in_any_order_with_padded_or_empty_values_are_read() -> None:
    actual = read("\ufeffnote,PRICE, supplier_id,category,product_name,product_id\nx, 1 ,,\xa0,Ü, P1\u3000\n\n")
    assert actual.rows() == [(2, "P1", "Ü", None, Decimal(1), None)]


@pytest.mark.parametrize(
    ("rows", "fault"),
    [
        ("P1,,,1\n", "the row cannot be read: 4 values under 5 headings"),
        ('"P1"x,,,1,\n', "the row cannot be read: a quote is out of place or not closed"),
        (" ,Widget,,1,\n", "the row has no product_id"),
        (f"{'x' * 65},,,1,\n", f"product_id '{'x' * 65}' is longer than 64 bytes"),
        ("NULL,Widget,,1,\n", "the row has no product_id"),
        ("1.2E+11,,,1,\n", "product_id '1.2E+11' was rounded by a spreadsheet, so it may stand for several"),
        (f"P1,,,1,{'s' * 65}\n", f"supplier_id '{'s' * 65}' is longer than 64 bytes"),
        ("P1,,,,\n", "price (empty) is not a decimal number from 0 up with at most 4 decimals"),
        *(
            (f"P1,,,{price},\n", f"price {price!r} is not a decimal number from 0 up with at most 4 decimals")
            for price in (
                "-1",
                "1e3",
                "NaN",
                "1.00001",
                "1.000010",
                "x",
                "٣",
                "0x1",
                "1_000",
                "100000000000000",
                ".5",
                "5.",
                "+1",
            )
        ),
        *(
            (f'P1,,,"{price}",\n', f"price {price!r} has a currency or unit beside the number, {CURRENCY}")
            for price in ("$12.50", "€ 12,50", "12.50 USD", "12 kr.", "R$ 5", "EUR 1.000", "1 200 €")
        ),
        ('P1,,,"1,000",\n', f"price '1,000' {TWO_PRICES}"),
        ('P1,,,"1,5",\n', "price '1,5' is not a decimal number from 0 up with at most 4 decimals"),
    ],
)
def test_a_bad_row_is_named_by_its_line_and_nothing_is_read(rows: str, fault: str) -> None:
    with pytest.raises(DimensionRefused) as refused:
        read(f"{PRODUCT_HEADER}\nP0,,,1,\n\n{rows}P2,,,2,\n")
    assert str(refused.value) == (
        f"dim_products.csv, line 4: {fault}; nothing was loaded, correct the file and upload it again"
    )


@pytest.mark.parametrize(
    ("header", "settings", "price", "read_as"),
    [
        (PRODUCT_HEADER, {}, "1.000", "1"),
        (PRODUCT_HEADER, {"products": {"price": "Preis"}}, "1.000", "1"),
        (PRICED_BY_PREIS, {"products": {"price": "Preis"}}, "1.000", None),
        (PRICED_BY_PREIS, {"products": {"price": "Preis"}}, "1.0000", "1"),
        (PRICED_BY_PREIS, {"products": {"price": "Preis"}}, "0.125", "0.125"),
        (PRICED_BY_PREIS, {"products": {"price": "Preis"}, "thousands_separator": ","}, "1.000", "1"),
        (PRICED_BY_PREIS, {"products": {"price": "Preis"}, **GERMAN_NUMBERS}, "1.000", "1000"),
        (PRODUCT_HEADER, GERMAN_NUMBERS, "1.000", "1000"),
        (PRODUCT_HEADER, {"delimiter": ";"}, "1.000", None),
        (PRODUCT_HEADER, {"delimiter": ";"}, "12.50", "12.5"),
    ],
)
def test_a_point_is_the_decimal_mark_in_the_contracts_own_form(
    header: str, settings: dict[str, object], price: str, read_as: str | None
) -> None:
    content = f"{header}\nP1,,,{price},\n".replace(",", str(settings.get("delimiter", ",")))
    source = SourceSettings.parse(settings)
    if read_as is not None:
        assert read(content, settings=source).get_column("price").to_list() == [Decimal(read_as)]
        return
    with pytest.raises(DimensionRefused, match=re.escape(f"line 2: price {price!r} {TWO_PRICES}; nothing was loaded")):
        read(content, settings=source)


def test_of_several_faults_the_earliest_line_is_named() -> None:
    with pytest.raises(DimensionRefused, match="line 2: price 'free' is not"):
        read(f'{PRODUCT_HEADER}\nP1,,,free,\nP2,,,$5,\nP3,,,"1,000",\n,,,4,\nP5\n')
    with pytest.raises(DimensionRefused, match="line 3: price '\\$5' has a currency"):
        read(f'{PRODUCT_HEADER}\nP1,,,1,\nP2,,,$5,\nP3,,,"1,000",\nP4,,,free,\n,,,4,\n')


def test_a_duplicate_id_names_both_lines() -> None:
    with pytest.raises(DimensionRefused) as refused:
        read(f"{PRODUCT_HEADER}\nP0,,,1,\nP1,,,1,\n P0,,,2,\nP0,,,3,\n")
    assert str(refused.value) == (
        "dim_products.csv, line 2: product_id 'P0' has rows that differ, and only one of them can be right "
        "(so it is on 2 more rows, next on line 4); nothing was loaded, correct the file and upload it again"
    )


def test_a_missing_column_is_named() -> None:
    with pytest.raises(FileRefused) as refused:
        read("product_id,product_name,category,supplier_id\n")
    assert str(refused.value) == (
        "dim_products.csv, line 1: the header lacks 'price'; its headings are 'product_id', 'product_name', "
        "'category', 'supplier_id'; wanted are product_id, product_name, category, price, supplier_id, in any order; "
        "fix the header, or name its headings under `products` in the source's settings, and upload the file again"
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
    breaks = any("\n" in name or set("\r\0") & set(trim(name)) or "\0" in trim(text) for name, text, _ in rows)
    ids = [oracle_values.read_id(name) for name, _, _ in rows]
    too_long = any(len(name.encode()) > 64 for name in ids)
    rounded = any(re.fullmatch("[0-9]([.,][0-9]+[Ee][+]?|[Ee][+])[0-9]{1,3}", name) for name in ids)
    if breaks or too_long or rounded or "" in ids or len(set(ids)) < len(ids):
        with pytest.raises(DimensionRefused, match=r"^dim_products\.csv, line \d+: "):
            read(f"{PRODUCT_HEADER}\n{quoted}")
        return
    with small_pieces():
        actual = read(f"{PRODUCT_HEADER}\n{quoted}")
    assert actual.drop("source_line").rows() == [
        (name, re.sub("\r\n|\r|\n", " ", shortened) or None, None, price, None)
        for name, shortened, price in (
            (name, oracle_values.cleaned(text).encode()[:256].decode("utf-8", "ignore"), price)
            for name, (_, text, price) in zip(ids, rows)
        )
    ]


def test_zeros_behind_the_fourth_decimal_change_nothing() -> None:
    actual = read(f"{PRODUCT_HEADER}\nP1,,,29.990000,\nP2,,,12.50000000,\nP3,,,5,\n")
    assert actual["price"].to_list() == [Decimal("29.99"), Decimal("12.5"), Decimal(5)]


def test_a_text_that_is_too_long_is_cut_at_a_character_and_noted() -> None:
    long = "a" + "é" * 128 + "急" * 10
    content = f"{PRODUCT_HEADER}\nP1,{long},,1,\nP2,short,,2,\nP3,{'x' * 256},,3,\nP4,{'x' * 257},,4,\n"
    actual, notes = read_with_notes(content)
    assert actual["product_name"].to_list() == ["a" + "é" * 127, "short", "x" * 256, "x" * 256]
    assert notes == [
        "product_name is longer than 256 bytes on line 2 (so it is on 1 more row, next on line 5); it was cut there"
    ]


def test_a_note_says_nothing_of_a_person() -> None:
    _, notes = read_with_notes(f"{CUSTOMER_HEADER}\nC1,{'Jane' * 40},Doe,{'j' * 300}@example.com,Gold\n", CUSTOMERS)
    assert len(notes) == 2
    assert not any("Jane" in note or "jj" in note for note in notes)


def test_a_row_without_any_value_is_passed_over() -> None:
    with small_pieces():
        actual = read(f"Handle,{PRODUCT_HEADER},Image\nteapot,P1,Teapot,,1,,1.jpg\nteapot,,, ,,,2.jpg\nmug,P2,,,2,,\n")
    assert actual["product_id"].to_list() == ["P1", "P2"]


def test_null_words_are_no_ids_and_excel_texts_are_what_they_hold() -> None:
    actual = read(f'{PRODUCT_HEADER}\n="00123",Nan,,1,NULL\nP2\u200b,,,2,S1\n')
    assert actual.select("product_id", "product_name", "supplier_id").rows() == [
        ("00123", "Nan", None),
        ("P2", None, "S1"),
    ]


@pytest.mark.parametrize("kind", [PRODUCTS, CUSTOMERS])
def test_a_header_written_twice_is_refused(kind: str) -> None:
    header = PRODUCT_HEADER if kind == PRODUCTS else CUSTOMER_HEADER
    row = "X1,,,1," if kind == PRODUCTS else "X1,,,,"
    again = ",".join(reversed(header.upper().split(",")))
    for second in (header, again):
        with pytest.raises(FileRefused, match="line 3: the header is written a second time"):
            read(f"{header}\n{row}\n{second}\n{row.replace('X1', 'X2')}\n", kind)


@pytest.mark.parametrize("is_cut", [False, True])
def test_a_row_that_says_the_same_again_is_passed_over(is_cut: bool) -> None:
    rows = "P1,Mug,,12.50,S1\nP2,,,1,\n'P1,Mug ,,12.5000,S1\nP3,,,1,\nP1,Mug,,12.5,S1\n"
    with small_pieces() if is_cut else nullcontext():
        actual, notes = read_with_notes(f"{PRODUCT_HEADER}\n{rows}")
    assert actual["product_id"].to_list() == ["P1", "P2", "P3"]
    assert notes == ["line 4 repeats an earlier row (so it is on 1 more row, next on line 6); such a row was skipped"]


def test_repeated_keys_are_found_across_chunks() -> None:
    rows = "".join(f"P{at},,,1,\n" for at in range(50))
    with small_pieces():
        assert read(f"{PRODUCT_HEADER}\n{rows}").height == 50
        with pytest.raises(DimensionRefused, match=r"line 9: product_id 'P7' has rows that differ.* next on line 52\)"):
            read(f"{PRODUCT_HEADER}\n{rows}P7,,,2,\n")


def test_the_rows_of_a_dimension_are_never_held_together() -> None:
    """Three million customers once did not fit 1 GiB: only keys may be held for the whole file, eight bytes each."""
    heights = []
    concat = pl.concat

    def noted(frames: Sequence[pl.DataFrame], **more: object) -> pl.DataFrame:
        whole = concat(frames, **more)
        if isinstance(whole, pl.DataFrame):
            heights.append(whole.height)
        return whole

    dimension = DIMENSIONS[CUSTOMERS]
    with TemporaryDirectory() as folder, small_pieces(), mock.patch("polars.concat", noted):
        path = Path(folder) / "drop"
        path.write_text(CUSTOMER_HEADER + "\n" + "".join(f"C{at},,,,\n" for at in range(200)) + "C7,,,,\n" * 50)
        source = open_dimension(path, name="customers.csv", dimension=dimension)
        rows = DimensionRows(source, dimension)
        heights += (of_chunk := [chunk.height for chunk in rows.chunks()])
        rows.refuse_faults()
    assert sum(of_chunk) == 200
    assert max(heights) < 25


def test_a_person_in_a_file_without_header_is_not_shown() -> None:
    with pytest.raises(FileRefused) as refused:
        read("C1,Max,Mustermann,max@example.com,Gold\n", CUSTOMERS)
    assert "it looks like a row of data: is the header missing?" in str(refused.value)
    assert not re.search("Max|Mustermann|max@", str(refused.value))


GERMAN = SourceSettings.parse(
    {"delimiter": ";", "encoding": "cp1252", "decimal_comma": True, "thousands_separator": "."}
)
TABS = SourceSettings.parse({"delimiter": "\t", "encoding": "iso-8859-1", "quote": ""})
GERMAN_ROWS = [(2, "P1", "Größe", None, Decimal("1234.5"), None)]


@pytest.mark.parametrize(
    ("content", "settings"),
    [
        ("Größe;1.234,5;P1".encode("cp1252"), GERMAN),
        ("\ufeffGröße;1.234,50000;P1".encode(), GERMAN),
        ("'Größe';1.234,5;P1".encode("utf-16"), replace(GERMAN, quote="'", escape="\\")),
        # The contract's own form, which does not match the settings.
        ("Größe,1234.5,P1".encode(), GERMAN),
        ('"Größe","1234.5","P1"'.encode(), TABS),
        ('Größe,"1,234.5",P1'.encode(), replace(DEFAULT, thousands_separator=",")),
    ],
)
def test_a_dimension_has_its_sources_form_or_the_contracts(content: bytes, settings: SourceSettings) -> None:
    mark = ";" if (b";\0" if content.startswith(b"\xff\xfe") else b";") in content else ","
    encoding = "utf-16-le" if content.startswith(b"\xff\xfe") else "ascii"
    header = "product_name,price,product_id,category,supplier_id\n".replace(",", mark).encode(encoding)
    tail = f"{mark}{mark}\n".encode(encoding)
    at = 2 if encoding == "utf-16-le" else 3 if content.startswith(b"\xef") else 0
    assert read(content[:at] + header + content[at:] + tail, settings=settings).rows() == GERMAN_ROWS


@pytest.mark.parametrize(
    ("header", "row", "id_"),
    [
        (CUSTOMER_HEADER, "C1,Ann,One,,Gold", "C1"),
        (CUSTOMER_HEADER, "C1,Ann,One,ann@example.com,Gold", "C1"),
        ("First Name,Last Name,Email,Customer ID", "Ann,One,ann@example.com,7", "ann@example.com"),
    ],
)
def test_the_contracts_headings_go_before_an_id_from_the_email(header: str, row: str, id_: str) -> None:
    settings = SourceSettings.parse(
        {
            "customers": {
                "customer_id": "Email",
                "first_name": "First Name",
                "last_name": "Last Name",
                "membership_level": [],
            }
        }
    )
    assert read(f"{header}\n{row}\n", CUSTOMERS, settings).get_column("customer_id").to_list() == [id_]
    with pytest.raises(FileRefused, match=r"lacks 'email'.* under `customers`"):
        read("customer_id,first_name,last_name,membership_level\nC1,,,\n", CUSTOMERS, settings)


def test_a_declared_heading_goes_before_the_contracts() -> None:
    settings = SourceSettings.parse({"customers": {"customer_id": "Kundennr."}})
    actual = read(f"{CUSTOMER_HEADER},Kundennr.\n1,Ann,One,,,K1\n", CUSTOMERS, settings)
    assert actual.get_column("customer_id").to_list() == ["K1"]


def test_a_refused_dimension_names_the_settings_that_would_help() -> None:
    with pytest.raises(FileRefused) as refused:
        read(f"{PRODUCT_HEADER}\nP1,Größe,,1,\n".replace(",", ";"))
    assert 'or set `delimiter: ";"` in the source\'s settings' in str(refused.value)
    with pytest.raises(FileRefused, match="name its headings under `customers` in the source's settings"):
        read("id,first_name,last_name,email,membership_level\n", CUSTOMERS)
