"""Any settings and any list of customers give what a slow oracle, written from the design, says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from jobs.errors import JobError
from schemas.drops import CUSTOMERS
from schemas.sources import SourceSettings
from tests.jobs.rows.test_dimension_files import read_with_notes
from tests.oracle.text import heading_key
from tests.oracle.values import ROUNDED, cleaned
from tests.sources.files import DAY, Writer
from tests.sources.oracle import SourceOracle
from tests.sources.settings import settings_mappings

COLUMNS = ("customer_id", "first_name", "last_name", "email", "membership_level")
WIDTHS = dict(zip(COLUMNS[1:], (128, 128, 256, 64), strict=True))
"""Bytes; a longer text is cut at a character."""
TOTALS = ("Total", "TOTAL:", "Gesamt", "Summe ", "Grand Total")
IDS = ("C1", "C2", "'C1", "7.0", "7", "007", "ann@example.com", "C3 ", "“C4”", "1E5", "Total")
NO_IDS = ("", "NULL", "-", "1.2E+10", "#REF!")
NAMES = ("Ann", "", "Jörg", "O'Brien", "a, b; c|d\te: f", "NULL", "-", "Ä" * 70, "'n Sync", '="Max"')
EMAILS = ("ann@example.com", "", "ben@example.com", "Ben@Example.com", "#N/A")
LEVELS = ("Gold", "", "gold", "N/A", "ü" * 33)


class Customer(NamedTuple):
    customer_id: str
    first_name: str | None
    last_name: str | None
    email: str | None
    membership_level: str | None


class CustomerListOracle(SourceOracle):
    """The customers of a file, by id; None where the file is refused."""

    def customers_in(self, content: bytes) -> dict[str, Customer] | None:
        text = content.decode(self.settings.get("encoding", "utf-8")).removeprefix("\ufeff")
        header, *rows = [self._split(line) or [] for line in text.splitlines()[self.settings.get("skip_rows", 0) :]]
        at = {heading_key(heading): position for position, heading in enumerate(header)}
        named = {column: self.settings.get("customers", {}).get(column, column) for column in COLUMNS}
        if set(map(heading_key, COLUMNS)) <= at.keys() and named["customer_id"] == "email":
            # All headings of the contract are there, so the file has its own form.
            named = {column: column for column in COLUMNS}
        customers: dict[str, Customer] = {}
        for values in rows:
            if len(values) != len(header) and any(value.strip() for value in values):
                return None
            row = {column: values[at[heading_key(heading)]] if heading else "" for column, heading in named.items()}
            texts = {column: _cut(cleaned(row[column]), width) for column, width in WIDTHS.items()}
            customer = Customer(self._id(row["customer_id"]), **{name: text or None for name, text in texts.items()})
            is_total = customer.customer_id.lower() in {total.strip().lower() for total in TOTALS}
            if not any(customer[is_total:]):
                continue
            if not customer.customer_id or ROUNDED.fullmatch(customer.customer_id):
                return None
            if customers.setdefault(customer.customer_id, customer) != customer:
                return None
        return customers


def _cut(text: str, width: int) -> str:
    while len(text.encode()) > width:
        text = text[:-1]
    return text


@st.composite
def settings_and_customer_lists(draw: st.DrawFn) -> tuple[Mapping[str, Any], bytes]:
    """One file in four has rows that are wrong under all settings."""
    mapping = dict(draw(st.one_of(st.just({}), settings_mappings())))
    optional = {
        "customer_id": st.sampled_from(("Kundennr.", "email")),
        "first_name": st.sampled_from(("Vorname", [])),
        "last_name": st.just([]),
        "email": st.sampled_from(("E-Mail-Adresse", [])),
        "membership_level": st.sampled_from(("Stufe", [])),
    }
    mapping["customers"] = names = draw(st.fixed_dictionaries({}, optional=optional))
    headings = [heading for column in COLUMNS if (heading := names.get(column, column))]
    if names.get("customer_id") == "email" and draw(st.booleans()):
        headings = list(COLUMNS)
    header = draw(st.permutations(list(dict.fromkeys([*headings, "Ort"]))))
    has_faults = draw(st.integers(0, 3)) == 0
    pools = {
        **dict.fromkeys(header, NAMES),
        **dict.fromkeys(("customer_id", "Kundennr."), IDS + NO_IDS if has_faults else IDS),
        **dict.fromkeys(("email", "E-Mail-Adresse"), EMAILS),
        **dict.fromkeys(("membership_level", "Stufe"), LEVELS),
    }
    writer = Writer(mapping)
    lines = [*["list", "", "of customers"][: mapping.get("skip_rows", 0)], writer.line(header)]
    keys = [heading for heading in ("customer_id", "Kundennr.") if heading in header]
    for own_id in draw(st.permutations(("A1", "A2 ", "a1", "8.0", "“A3”")))[: draw(st.integers(1, 4))]:
        values = [draw(st.sampled_from(pools[heading])) for heading in header]
        values = [f" {value} " if value and draw(st.integers(0, 7)) == 0 else value for value in values]
        for key in keys if not has_faults or draw(st.booleans()) else ():
            values[header.index(key)] = own_id
        kind = draw(st.integers(0, 9))
        if kind == 0:
            values = [""] * len(header)
        elif kind == 1 and has_faults:
            values = values[:-1]
        elif kind == 2 and keys:
            values = [draw(st.sampled_from(TOTALS)) if heading in keys else "" for heading in header]
        lines.append(writer.line(values))
    return mapping, "\n".join([*lines, ""]).encode(mapping.get("encoding", "utf-8"), "replace")


@given(settings_and_customer_lists())
def test_a_customer_list_is_read_as_its_settings_say(case: tuple[Mapping[str, Any], bytes]) -> None:
    mapping, content = case
    expected = CustomerListOracle(mapping, {}, (), DAY).customers_in(content)
    try:
        rows, notes = read_with_notes(content, CUSTOMERS, SourceSettings.parse(mapping))
    except JobError:
        assert expected is None
        return
    assert {row["customer_id"]: Customer(**row) for row in rows.drop("source_line").rows(named=True)} == expected
    assert not any(name in note for note in notes for name in ("Ann", "Jörg", "Brien", "example.com"))
