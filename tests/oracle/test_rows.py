"""The oracle's validation of rows, checked by examples worked out by hand and by laws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.oracle.files import read_file
from tests.oracle.rows import (
    BUSINESS_COLUMNS,
    REJECT_REASONS,
    Accepted,
    Customer,
    Product,
    Rejected,
    ValidatedFile,
    amount,
    amount_class,
    expected_rejected_file,
    validate_file,
)
from tests.oracle.text import SOURCE_COLUMNS
from tests.oracle.values import read_quantity, read_transaction_date
from tests.strategies.files import render
from tests.strategies.hostile_content import (
    HEADER,
    SOUND_CUSTOMERS,
    SOUND_DAY,
    SOUND_LINE,
    SOUND_PRODUCTS,
)
from tests.strategies.rows import dim_customers, dim_products, hostile_transactions, transactions

DAY = SOUND_DAY


def validated(content: bytes, *, products: Mapping[str, Product] = SOUND_PRODUCTS) -> ValidatedFile:
    return validate_file(read_file(content), products=products, customers=SOUND_CUSTOMERS, partition_day=DAY)


def in_order(result: ValidatedFile) -> list[Accepted | Rejected]:
    """Both sides together, in the file's order."""
    both: list[Accepted | Rejected] = [*result.accepted, *result.rejected]
    return sorted(both, key=lambda verdict: verdict.row.source_line)


def reasons_of(**changed: str) -> tuple[str, ...]:
    """The reject reasons of one sound row with some of its values changed."""
    row = {**dict(zip(SOURCE_COLUMNS, SOUND_LINE.split(","))), **changed}
    result = validated(render([row]).content)
    assert len(result.accepted) + len(result.rejected) == 1
    return result.rejected[0].reasons if result.rejected else ()


def accepted_of(*, products: Mapping[str, Product] = SOUND_PRODUCTS, **changed: str) -> Mapping[str, Any]:
    row = {**dict(zip(SOURCE_COLUMNS, SOUND_LINE.split(","))), **changed}
    (only,) = validated(render([row]).content, products=products).accepted
    return only.business


def priced(price: str) -> Mapping[str, Product]:
    return {"P12345": replace(SOUND_PRODUCTS["P12345"], price=Decimal(price))}


@pytest.mark.parametrize(
    ("changed", "reasons"),
    [
        ({}, ()),
        ({"transaction_id": "  "}, ("missing_transaction_id",)),
        ({"customer_id": "", "product_id": "\u3000"}, ("missing_customer_id", "missing_product_id")),
        ({"customer_id": "c12345"}, ("unknown_customer",)),
        ({"customer_id": "C\u200b12345"}, ("unknown_customer",)),
        ({"customer_id": "C9", "product_id": "P9"}, ("unknown_customer", "unknown_product")),
        ({"product_id": "P012345"}, ("unknown_product",)),
        (
            {"quantity": "", "transaction_date": "", "status": ""},
            ("invalid_quantity", "invalid_transaction_date", "invalid_status"),
        ),
        ({"status": " SHIPPED\u00a0"}, ()),
        ({"status": "\u017fhipped"}, ("invalid_status",)),
        ({"status": "\x1cshipped"}, ("invalid_status",)),
        ({"transaction_date": "2023-03-16"}, ("future_transaction_date",)),
        ({"transaction_date": "2023-03-16T00:30+02:00"}, ()),
        ({"transaction_date": "2023-03-16T11:59:59.999999Z"}, ()),
        ({"transaction_date": "2023-03-16 12:00 UTC"}, ("future_transaction_date",)),
        ({"transaction_date": "2023-03-17T01:30+14:00"}, ()),
        ({"transaction_date": "2003-03-15"}, ()),
        ({"transaction_date": "2003-03-14T23:59Z"}, ("too_early_transaction_date",)),
        ({"transaction_date": "0001-01-01"}, ("too_early_transaction_date",)),
        ({"transaction_id": "NULL", "customer_id": "\\n"}, ("missing_transaction_id", "missing_customer_id")),
        ({"product_id": "#N/A"}, ("missing_product_id",)),
        ({"transaction_id": "NULLA"}, ()),
        ({"transaction_id": "1.23457E+11"}, ("rounded_id",)),
        ({"transaction_id": "1E5"}, ()),
        ({"customer_id": "1,5e+12"}, ("unknown_customer", "rounded_id")),
        ({"product_id": '="P12345"', "customer_id": "\u200eC12345\ufeff"}, ()),
        ({"quantity": "0", "status": "Canceled"}, ()),
        ({"quantity": "0", "status": "complete"}, ("invalid_quantity",)),
        ({"quantity": "-1", "status": "refunded"}, ("invalid_quantity",)),
        ({"transaction_date": "2023-03-15T23:30-02:00"}, ()),
        ({"transaction_date": "9999-12-31T23:59:59.999999-00:01"}, ("invalid_transaction_date",)),
        ({"transaction_date": "2023-13-01"}, ("invalid_transaction_date",)),
        ({"transaction_id": "x" * 64}, ()),
        ({"transaction_id": "x" * 65}, ("value_too_long",)),
        ({"transaction_id": " " * 9 + "x" * 64}, ()),
        ({"transaction_id": "\U0001f600" * 16}, ()),
        ({"transaction_id": "\U0001f600" * 16 + "x"}, ("value_too_long",)),
        ({"customer_id": "x" * 65}, ("unknown_customer", "value_too_long")),
        ({"product_id": "x" * 65}, ("unknown_product", "value_too_long")),
        ({"status": "x" * 16}, ("invalid_status",)),
        ({"status": "x" * 17}, ("invalid_status",)),
        (
            {"quantity": "1" * 99, "transaction_date": "x" * 99},
            ("invalid_quantity", "invalid_transaction_date"),
        ),
        ({"transaction_id": "a\rb", "quantity": "x"}, ("malformed_row",)),
        ({"quantity": "5\x00"}, ("malformed_row",)),
        ({"status": "ship\rped"}, ("malformed_row",)),
        ({"transaction_id": "a\u2028b\x0cc\x85d"}, ()),
    ],
)
def test_a_row_has_these_reasons(changed: dict[str, str], reasons: tuple[str, ...]) -> None:
    assert reasons_of(**changed) == reasons


@pytest.mark.parametrize(
    ("text", "quantity"),
    [
        ("1", 1),
        ("007", 7),
        ("2147483647", 2147483647),
        ("0" * 5000 + "2147483647", 2147483647),
        ("2147483648", None),
        ("9" * 5000, None),
        ("0", 0),
        ("-1", -1),
        ("1.0", 1),
        ("2.0000", 2),
        ("0.000", 0),
        ("1234.000", 1234),
        ("3.", 3),
        ("\u200b1\n", 1),
        ('="2"', 2),
        *((text, None) for text in ("1.000", "1.5", "+1", "--1", ".0", "1e3", "1_0", "1,299", "1,0", "0x1")),
        *((text, None) for text in ("", "NaN", "inf", "\u0663", "\uff11", "\u00b2", "1 1")),
    ],
)
def test_a_quantity_is_ascii_digits_within_the_column(text: str, quantity: int | None) -> None:
    assert read_quantity(text) == quantity


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2023-03-15", datetime(2023, 3, 15)),
        ("2023-03-15T10:20", datetime(2023, 3, 15, 10, 20)),
        ("2023-03-15 10:20", datetime(2023, 3, 15, 10, 20)),
        ("2023-03-15T10:20:30", datetime(2023, 3, 15, 10, 20, 30)),
        ("2023-03-15T10:20:30.5", datetime(2023, 3, 15, 10, 20, 30, 500000)),
        ("2023-03-15T10:20:30.000001Z", datetime(2023, 3, 15, 10, 20, 30, 1)),
        ("2023-03-15T10:20Z", datetime(2023, 3, 15, 10, 20)),
        ("2023-03-15T10:20+05:30", datetime(2023, 3, 15, 4, 50)),
        ("2023-03-15T10:20-23:59", datetime(2023, 3, 16, 10, 19)),
        ("2020-02-29", datetime(2020, 2, 29)),
        ("2000-02-29", datetime(2000, 2, 29)),
        ("0001-01-01", datetime(1, 1, 1)),
        ("9999-12-31 23:59:59.999999", datetime(9999, 12, 31, 23, 59, 59, 999999)),
        ("1582-10-10", datetime(1582, 10, 10)),
        *((text, None) for text in ("2023-02-29", "1900-02-29", "2023-04-31", "2023-00-10", "2023-13-10")),
        *((text, None) for text in ("0000-01-01", "0001-01-01T00:00+00:01", "9999-12-31T23:59-00:01")),
        *((f"2023-03-15{tail}", None) for tail in ("T", "Z", "+01:00", "T1", "T10:2", "T102", "10:20")),
        *((f"2023-03-15T10:20{tail}", None) for tail in (":", ":6", ":60", ":30.", "  M", "UTC+100", " CET")),
        *((f"2023-03-15T10:20{tail}", None) for tail in ("+24:00", "+01:60", "+1:60", "+010")),
        *(
            (f"2023-03-15T10:20{tail}", datetime(2023, 3, 15, 10, 20))
            for tail in (" Z", "UTC", " GMT", "+00", " -0000", "z", " utc", "gmt")
        ),
        ("2023-03-15T10:20:30.1234567", datetime(2023, 3, 15, 10, 20, 30, 123456)),
        ("2023-03-15 10:20:30,5 +0200", datetime(2023, 3, 15, 8, 20, 30, 500000)),
        ("\u200b2023-03-15\n", datetime(2023, 3, 15)),
        ("2023-03-15t10:20z", datetime(2023, 3, 15, 10, 20)),
        *((text, None) for text in ("2023-03-15T24:00", "2023-03-15T10:60", "2023-03-15T10:20 PM")),
        *((f"2023-03-15{tail}", datetime(2023, 3, 15, 10, 20)) for tail in ("  10:20", "\t10:20", "\u202f10:20")),
        *((text, datetime(2023, 3, 15)) for text in ("2023-3-15", "2023/03/15", "2023.3.15", "2023-03-15T00:00-00:00")),
        *((f"2023-03-15 {clock}", datetime(2023, 3, 15, 0, 5)) for clock in ("0:05", "12:05 AM", "12:05:00am")),
        *((f"2023-03-15 {tail}", None) for tail in ("13:00 PM", "00:30 AM", "10:20 P..M.", "10:20 P")),
        *((f"2023-03-15T10:20{tail}", datetime(2023, 3, 15, 11, 20)) for tail in ("-01[Etc/X]", " \u221201:00")),
        *((text, None) for text in ("2023-15-03", "2023/15/3", "2023-03-15T10:20[UTC]", "2023-03-15T10:20Z[]")),
        *((text, None) for text in ("15/03/2023", "15.03.2023", "2023031", "45000", "-2023-03-15", "12023-03-15")),
        *((text, None) for text in ("\u0662\u0660\u0662\u0663-03-15", "2023\u201003\u201015", "")),
    ],
)
def test_a_date_is_iso_8601_and_stored_in_utc(text: str, moment: datetime | None) -> None:
    assert read_transaction_date(text) == moment


@pytest.mark.parametrize(
    ("quantity", "price", "total"),
    [
        (3, "0.1", "0.30"),
        (1, "1.005", "1.01"),
        (1, "0.0049", "0.00"),
        (1, "0.0050", "0.01"),
        (1, "2.675", "2.68"),
        (33, "3.3333", "110.00"),
        (2147483647, "0.0001", "214748.36"),
        (3, "33333333333333.3335", "100000000000000.00"),
        (2147483647, "4656612.8731", "9999999995391936.20"),
    ],
)
def test_an_amount_is_exact_and_rounds_half_up(quantity: int, price: str, total: str) -> None:
    assert amount(quantity, Decimal(price)) == Decimal(total)
    tenths_of_a_mill = quantity * int(Decimal(price).scaleb(4))
    assert int(Decimal(total).scaleb(2)) == (tenths_of_a_mill + 50) // 100


@pytest.mark.parametrize(
    ("total", "label"),
    [
        ("0.00", "Small"),
        ("99.99", "Small"),
        ("100.00", "Medium"),
        ("999.99", "Medium"),
        ("1000.00", "Large"),
        ("9999999999999999.99", "Large"),
    ],
)
def test_a_boundary_belongs_to_the_class_above(total: str, label: str) -> None:
    assert amount_class(Decimal(total)) == label
    assert amount_class(Decimal(total), [("All", Decimal(0))]) == "All"


def test_the_class_is_that_of_the_rounded_amount() -> None:
    assert accepted_of(quantity="1", products=priced("99.995"))["amount_class"] == "Medium"
    assert accepted_of(quantity="1", products=priced("99.9949"))["amount_class"] == "Small"


def test_an_amount_beyond_its_column_is_an_invalid_quantity() -> None:
    """11. 100 * 99999999999999.9999 = 9999999999999999.99, the largest the column holds."""
    largest = priced("99999999999999.9999")
    assert accepted_of(quantity="100", products=largest)["total_amount"] == Decimal("9999999999999999.99")
    for quantity, price in (
        (101, "99999999999999.9999"),
        (1000, "10000000000000"),
        (101, "99009900990099.0099"),
    ):
        # the last makes 9999999999999999.9999, which only rounding takes beyond the column
        content = f"{HEADER}\n{SOUND_LINE.replace(',2,', f',{quantity},')}".encode()
        assert validated(content, products=priced(price)).rejected[0].reasons == ("invalid_quantity",)
    assert accepted_of(quantity="999", products=priced("10000000000000"))["amount_class"] == "Large"


def test_an_accepted_row_is_trimmed_joined_priced_and_classed() -> None:
    (only,) = validated(f"{HEADER}\n T1 ,\tC12345,P12345 , 007,2023-03-15T01:00+02:00 ,ShIpPeD".encode()).accepted
    assert dict(only.business) == {
        "transaction_id": "T1",
        "customer_id": "C12345",
        "product_id": "P12345",
        "quantity": 7,
        "transaction_date": datetime(2023, 3, 14, 23),
        "status": "shipped",
        "unit_price": Decimal("29.9900"),
        "total_amount": Decimal("209.93"),
        "amount_class": "Medium",
        "product_name": "Widget A",
        "category": "Gadgets",
        "supplier_id": "S123",
        "membership_level": "Gold",
    }
    assert tuple(only.business) == BUSINESS_COLUMNS


def test_001_is_not_1() -> None:
    products = {"1": replace(SOUND_PRODUCTS["P0"], product_id="1")}
    assert accepted_of(product_id="1", products=products)["product_id"] == "1"
    content = f"{HEADER}\n{SOUND_LINE.replace('P12345', '001')}".encode()
    assert validated(content, products=products).rejected[0].reasons == ("unknown_product",)


@given(st.lists(st.one_of(transactions(), hostile_transactions()), max_size=8), dim_products(), dim_customers())
def test_rows_are_conserved_and_each_is_validated_alone(
    rows: list[dict[str, str]], products: Mapping[str, Product], customers: Mapping[str, Customer]
) -> None:
    def verdicts(some: Sequence[dict[str, str]]) -> list[Any]:
        result = validate_file(
            read_file(render(some).content), products=products, customers=customers, partition_day=DAY
        )
        assert len(result.accepted) + len(result.rejected) == len(some)
        return [verdict.business if isinstance(verdict, Accepted) else verdict.reasons for verdict in in_order(result)]

    # A value of the contract that spans lines makes several rows.
    rows = [row for row in rows if "\n" not in "".join(row.values())]
    together = verdicts(rows)
    alone = [verdict for single in rows for verdict in verdicts([single])]
    for verdict, single in zip(together, alone):
        if isinstance(verdict, tuple) and "conflicting_rows" in verdict:
            assert verdict[:-1] == (single if isinstance(single, tuple) else ())
        else:
            assert verdict == single
    for verdict in together:
        if isinstance(verdict, tuple):
            assert verdict
            assert list(verdict) == [reason for reason in REJECT_REASONS if reason in verdict]
            assert verdict == ("malformed_row",) or "malformed_row" not in verdict
        else:
            assert tuple(verdict) == BUSINESS_COLUMNS
            assert None not in verdict.values()


VALIDATED_WITH = {
    "transaction_id": {"missing_transaction_id", "rounded_id", "value_too_long"},
    "customer_id": {"missing_customer_id", "rounded_id", "unknown_customer", "value_too_long"},
    "product_id": {"missing_product_id", "rounded_id", "unknown_product", "invalid_quantity", "value_too_long"},
    "quantity": {"invalid_quantity"},
    "transaction_date": {"invalid_transaction_date", "future_transaction_date", "too_early_transaction_date"},
    "status": {"invalid_status"},
}
"""The reasons that a column has a part in; a product's price has one in how many may be bought."""


@given(hostile_transactions(), st.sampled_from(SOURCE_COLUMNS))
def test_worse_stays_worse(transaction: dict[str, str], column: str) -> None:
    """Removing a value adds a reason, and keeps all reasons of other columns."""
    if "\n" in "".join(transaction.values()):
        return  # a value of the contract that spans lines makes several rows
    before = set(reasons_of(**transaction))
    after = set(reasons_of(**{**transaction, column: ""}))
    assert after
    if "malformed_row" not in before:
        assert before - VALIDATED_WITH[column] <= after
        assert after & VALIDATED_WITH[column]


def test_rejected_rows_are_given_back_as_they_stood() -> None:
    content = (
        f"Note,{HEADER.replace('status', ' Status ')}\n"
        '"=1,5"," T1 ",C9,"P0",x,2023-03-15,pending\n'
        f"fine,{SOUND_LINE}\n"
        'T2,"C0"\r\n'
        '"n\nn",T3,C0,P0,1,2023-03-99,"a""b"\n'
        "n,T\x00,C0,P0,1,2023-03-15,pending\n"
    )
    file = read_file(content.encode())
    result = validate_file(file, products=SOUND_PRODUCTS, customers=SOUND_CUSTOMERS, partition_day=DAY)
    expected = expected_rejected_file(file, result.rejected)
    assert expected.header == (
        "Note",
        *SOURCE_COLUMNS[:-1],
        " Status ",
        "source_line",
        "reject_reasons",
        "source_text",
    )
    assert expected.lines == (
        (
            "'=1,5",
            " T1 ",
            "C9",
            "P0",
            "x",
            "2023-03-15",
            "pending",
            "2",
            "unknown_customer;invalid_quantity",
            "",
        ),
        ("", "", "", "", "", "", "", "4", "malformed_row", 'T2,"C0"'),
        (
            *("n\nn", "T3", "C0", "P0", "1", "2023-03-99", 'a"b'),
            *("5", "invalid_transaction_date;invalid_status", ""),
        ),
        ("", "", "", "", "", "", "", "7", "malformed_row", "n,T\x00,C0,P0,1,2023-03-15,pending"),
    )


@given(st.lists(hostile_transactions(), min_size=1, max_size=4))
def test_a_rejected_file_can_be_dropped_and_rejected_again(rows: list[dict[str, str]]) -> None:
    def rejected_file(content: bytes) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
        file = read_file(content)
        result = validate_file(file, products=SOUND_PRODUCTS, customers=SOUND_CUSTOMERS, partition_day=DAY)
        expected = expected_rejected_file(file, result.rejected)
        return expected.header, expected.lines

    def readable(lines: tuple[tuple[str, ...], ...]) -> list[tuple[str, ...]]:
        return [(*line[:6], line[7]) for line in lines if not line[8]]

    header, lines = rejected_file(render(rows).content)
    again = render([dict(zip(header, line)) for line in lines], header=header)
    header_again, lines_again = rejected_file(again.content)
    assert header_again == header
    assert set(readable(lines)) <= set(readable(lines_again))
