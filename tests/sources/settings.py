"""Settings files at random: every one is valid, and most change several things at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st

from tests.oracle.values import STATUSES

DELIMITERS = (",", ";", "\t", "|", ":")
QUOTES = ('"', "'", "")
ENCODINGS = ("utf-8", "cp1252", "iso-8859-1", "utf-16-le", "utf-16-be", "cp932")
DATE_FORMATS = ("iso", "%d.%m.%Y %H:%M", "%m/%d/%Y", "%d/%m/%y %I:%M %p", "%Y%m%d%H%M%S", "%d %b %Y %H:%M:%S.%f %z")
TIME_ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Pacific/Auckland")
_WORDS = ("", "paid", "Fertig", "complete", "completed", "wc-on-hold", "0")


@st.composite
def settings_mappings(draw: st.DrawFn) -> Mapping[str, Any]:
    """A mapping that SourceSettings.parse accepts, as YAML gives it."""
    mapping = draw(st.fixed_dictionaries({}, optional=_SETTINGS))
    mapping["columns"] = columns = draw(_COLUMNS)
    if mapping.get("delimiter", ",") == mapping.get("quote", '"'):
        del mapping["quote"]
    if mapping.get("escape") and (not mapping.get("quote", '"') or mapping.get("delimiter") == "\\"):
        del mapping["escape"]
    mark = "," if mapping.get("decimal_comma") else "."
    if mapping.get("thousands_separator") == mark:
        del mapping["thousands_separator"]
    if columns.get("status") == []:
        mapping["statuses"] = {**mapping.get("statuses", {}), "": "completed"}
    if columns.get("customer_id") == []:
        mapping["guest_customer"] = "guest"
    used = [name for parts in columns.values() for name in ([parts] if isinstance(parts, str) else parts)]
    fillable = [heading for heading in used if heading != "<line>"]
    if fillable:
        mapping["fill_down"] = draw(st.lists(st.sampled_from(fillable), unique_by=str.lower, max_size=3))
    return mapping


_COLUMNS = st.fixed_dictionaries(
    {},
    optional={
        "transaction_id": st.sampled_from(
            ("Order", ["Order", "Item"], ["Order", "<line>"], ["Store", "Receipt", "Day"], ["transaction_id", "Day"])
        ),
        "customer_id": st.sampled_from(("Email", [])),
        "product_id": st.just("SKU"),
        "quantity": st.just("Qty"),
        "transaction_date": st.sampled_from(("Created at", ["Day", "Time"])),
        "status": st.sampled_from(("State", [])),
    },
)
_SETTINGS: dict[str, st.SearchStrategy[Any]] = {
    "products": st.sampled_from(({"product_id": "SKU", "category": []}, {"price": "Preis"})),
    "customers": st.sampled_from(({"customer_id": "Email"}, {"membership_level": []})),
    "statuses": st.dictionaries(st.sampled_from(_WORDS), st.sampled_from(STATUSES), max_size=4).filter(
        lambda words: len({word.strip().lower() for word in words}) == len(words)
    ),
    "status_ranks": st.permutations(STATUSES),
    "delimiter": st.sampled_from(DELIMITERS),
    "encoding": st.sampled_from(ENCODINGS),
    "quote": st.sampled_from(QUOTES),
    "escape": st.sampled_from(("", "\\")),
    "skip_rows": st.integers(0, 3),
    "decimal_comma": st.booleans(),
    "thousands_separator": st.sampled_from(("", ",", ".", "'", " ")),
    "date_formats": st.lists(st.sampled_from(DATE_FORMATS), min_size=1, max_size=3, unique=True),
    "time_zone": st.sampled_from(TIME_ZONES),
    "null_words": st.lists(st.sampled_from(("NULL", "\\N", "n/a", "0", "-")), unique=True, max_size=3),
    "guest_customer": st.sampled_from(("", "guest", "C1")),
    "earliest_day": st.sampled_from((None, "2009-12-01", "2023-03-01")),
    "returns": st.sampled_from(("reject", "negative")),
    "unit_price": st.sampled_from(("list", "column Paid")),
}
