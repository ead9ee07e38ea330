"""Rows and values as Hypothesis strategies: their names are words of the glossary.

There are few values to draw from, so collisions, ties and redeliveries are common. Everything is
constructed, nothing is filtered.

    transaction_ids, customer_ids, product_ids, quantities, statuses, transaction_dates(partition_day=)
                                                              valid texts
    transactions(partition_day=, faults=True)                 one row: column -> text as written in the file
    hostile_texts                                             anything UTF-8 can say, and the classics
    hostile_transactions(partition_day=)                      a transaction with hostile text in some fields
    dim_products(), dim_customers()                           rows by id; P0..P3 and C0..C2 are always there
    transaction_files(rows=, gz=)                             RenderedFile: the bytes and the rows they mean
    hostile_files()                                           HostileFile: bytes that are broken or only unusual,
                                                              the named ones of hostile_content.py among them
    s3_keys(), stray_keys                                     keys inside the layout with unusual names; outside it
    drops(...)                                                oracle.Drop with content, uploaded_at with ties
    drop_lists(...)                                           drops of different identity, the same file at times

`render(rows, ...)` and `write(rows)` make bytes without drawing anything. A RenderedFile's `rows` are
the reader's correct result: (source_line, fields as written); `values` the six values by column, untrimmed.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Callable

from hypothesis import strategies as st

from tests.oracle.rows import Customer, Product
from tests.oracle.text import SOURCE_COLUMNS
from tests.oracle.values import STATUSES
from tests.strategies.hostile_content import HOSTILE_TEXTS

Transaction = Mapping[str, str]
Draw = Callable[[st.SearchStrategy[Any]], Any]

PARTITION_DAYS = (date(2023, 3, 13), date(2023, 3, 14), date(2023, 3, 15))

transaction_ids = st.integers(0, 9).map("T{}".format)
customer_ids = st.sampled_from(("C0", "C1", "C2"))
product_ids = st.sampled_from(("P0", "P1", "P2", "P3"))
quantities = st.sampled_from(("1", "2", "3", "7", "10", "33", "100", "007", "2.0", "3.00"))
statuses = st.sampled_from((*STATUSES, "Completed", "PENDING", "Refunded", "Canceled", "fulfilled"))
partition_days = st.sampled_from(PARTITION_DAYS)
uploads = st.integers(0, 2).map(lambda minutes: datetime(2023, 3, 16, 6) + timedelta(minutes=minutes))
"""So few moments that two drops of a day often share one."""

TIMES = (
    "",
    "",
    "T00:00",
    " 00:00:00",
    "T00:00:00.000000Z",
    "T02:00+02:00",
    "T09:30",
    "T09:30:00.5",
    "T10:30:00.500-00:00",
    " 23:59:59.999999Z",
    "T23:59:59.999999-11:30",
    "T00:00:00+14:00",
    " 10:30:00 UTC",
    "T10:30:00.0000001+0000",
    " 12:30:00,9999999 +02",
)
"""Ways to write a time, several of them the same moment."""
FAULTS = {
    "transaction_id": (" ", "", "x" * 65, "NULL", "1.23457E+11"),
    "customer_id": ("", "C3", "c0", "C9", "nan"),
    "product_id": ("", "P4", "001", "P9", "1E+11"),
    "quantity": ("0", "-1", "", "1.5", "2147483648", "1e3", "1.000"),
    "transaction_date": (
        "2023-03-16",
        "2023-03-16",
        "",
        "2023-02-29",
        "15/03/2023",
        "5.3.2023",
        "2023-03-10T10:00:60",
        "2023-03-17 10:00",
        "1899-12-30",
    ),
    "status": ("returned", "", "on hold", "shipped and delivered"),
}
"""Values for which a row is rejected, by column; C3 and P4 are known to some dimensions all the same."""
PADDINGS = ("\u200b", " \ufeff", " ", "  ", "\t", "\xa0", "\u3000", " \u2003", "\x0b", "\u2028", "\r")

PRICES = tuple(
    map(
        Decimal,
        (
            "0",
            "0.0049",
            "0.005",
            "0.1",
            "1.005",
            "3.3333",
            "9.9999",
            "29.99",
            "33.3350",
            "50",
            "99.995",
            "100",
        ),
    )
)
prices = st.sampled_from((*PRICES, Decimal(1000), Decimal("99999999999999.9999")))

_SURROGATES = range(0xD800, 0xE000)
_CHARACTERS = st.integers(0, 0x10FFFF - len(_SURROGATES)).map(
    lambda code: chr(code if code < _SURROGATES.start else code + len(_SURROGATES))
)
"""Everything but surrogates; st.characters would spend a second on its first draw."""
_SHARP_TEXTS = st.text(alphabet='",;\r\n\x00\t \u2028\ufeff=0123456789T:-Z.', max_size=12)
hostile_texts = st.one_of(
    st.sampled_from(HOSTILE_TEXTS),
    _SHARP_TEXTS,
    st.text(alphabet=_CHARACTERS, max_size=12),
    st.integers(-1, 10**20).map(str),
    st.datetimes(min_value=datetime(1, 1, 1)).map(datetime.isoformat),
)


@st.composite
def transaction_dates(draw: Draw, *, partition_day: date = PARTITION_DAYS[-1]) -> str:
    """One of three days up to the partition day, with a time or without."""
    day = partition_day - timedelta(days=draw(st.integers(0, 2)))
    return day.isoformat() + str(draw(st.sampled_from(TIMES)))


# Hypothesis prefers the ends of a range, so rare values are in the middle.
_FAULTY_COLUMNS = st.sampled_from((*[None] * 6, *SOURCE_COLUMNS, *[None] * 6))
_PADDED_COLUMNS = st.sampled_from((None, None, *SOURCE_COLUMNS, None, None))


@st.composite
def transactions(draw: Draw, *, partition_day: date = PARTITION_DAYS[-1], faults: bool = True) -> Transaction:
    """A row that meets every rule, some of its values padded; with `faults`, about one in four has one."""
    transaction = {
        "transaction_id": draw(transaction_ids),
        "customer_id": draw(customer_ids),
        "product_id": draw(product_ids),
        "quantity": draw(quantities),
        "transaction_date": draw(transaction_dates(partition_day=partition_day)),
        "status": draw(statuses),
    }
    faulty = draw(_FAULTY_COLUMNS) if faults else None
    if faulty:
        transaction[faulty] = draw(st.sampled_from(FAULTS[faulty]))
    padded = draw(_PADDED_COLUMNS)
    if padded:
        before, behind = draw(st.sampled_from(PADDINGS)), draw(st.sampled_from(PADDINGS))
        transaction[padded] = before + transaction[padded] + behind
    return transaction


@st.composite
def hostile_transactions(draw: Draw, *, partition_day: date = PARTITION_DAYS[-1]) -> Transaction:
    """A transaction with hostile text in at least one field."""
    transaction = dict(draw(transactions(partition_day=partition_day)))
    for column in draw(st.lists(st.sampled_from(SOURCE_COLUMNS), min_size=1, max_size=3, unique=True)):
        transaction[column] = draw(hostile_texts)
    return transaction


@st.composite
def dim_products(draw: Draw) -> Mapping[str, Product]:
    """Products by id: P0..P3 always, P4 sometimes, 1 (which 001 is not) always."""
    known = ["1", "P0", "P1", "P2", "P3", *draw(st.sampled_from(([], ["P4"])))]
    return {
        product_id: Product(
            product_id=product_id,
            product_name=draw(st.sampled_from(("Widget A", 'Gadget "B", large', "Ünïcode 小物"))),
            category=draw(st.sampled_from(("Gadgets", "Widgets"))),
            price=draw(prices),
            supplier_id=draw(st.sampled_from(("S123", "S456"))),
        )
        for product_id in known
    }


@st.composite
def dim_customers(draw: Draw) -> Mapping[str, Customer]:
    """Customers by id: C0..C2 always, C3 sometimes."""
    known = ["C0", "C1", "C2", *draw(st.sampled_from(([], ["C3"])))]
    return {
        customer_id: Customer(
            customer_id=customer_id,
            first_name="John",
            last_name="Doe",
            email="john.doe@example.com",
            membership_level=draw(st.sampled_from(("Bronze", "Silver", "Gold"))),
        )
        for customer_id in known
    }
