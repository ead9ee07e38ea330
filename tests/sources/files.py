"""Files at random, written as a settings file says, in the way of shops: some rows are wrong on purpose.

No value spans lines and no quote is out of place; tests/jobs has files in which that happens.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from tests.sources.oracle import CONTRACT

DAY = date(2023, 3, 15)
PRICES = {"P100": Decimal("12.50"), "P200": Decimal("0.335"), "P|1": Decimal(4), "SKU-9": Decimal("120.0001")}
CUSTOMERS = ("C1", "C2", "ann@example.com")

_ORDERS = ("1001", "1001", "1002", "A|7", "A\\", "", "NULL", "0", "'1001", "1001.0", "“1002”", "1.2E+10", "-")
_ITEMS = ("1", "2", "7|", "\\N", "", "-")
_STATUSES = ("completed", "Pending", "SHIPPED", "refunded", "cancelled", "paid", "Fertig", "complete", "lost", "", "0")
_QUANTITIES = (
    *("1", "2", "12", "0", "-3", "1.0", "2,0", "2.5", "1,234", "1.234", "1'234", "1 234", "12,34", "x", ""),
    *("1.000", "-2.000", "0.000", "1234.000", "1,000", "0.125", "0,125"),
)
_PAID = (
    *("11.25", "9,90", "0", "1.234,5", "1,234.5", "3.50000", "1.00001", "-1", "free", ""),
    *("1.000", "1,000", "999.125", "0.125", "0,125", "0.500", "01.500", "1234.500", "1.0000", "€ 12,50", "12.50 USD"),
)
_DATES = (
    *("2023-03-15", "2023-03-14 10:00:00", "2023-03-15T23:59:59Z", "2023-03-16T02:30:00Z", "2023-03-16T11:59:59Z"),
    *("2023-03-16T12:00:00Z", "2023-03-15 09:50:26 +0200", "2023-03-16 00:30:00+13:00", "2023-03-16", "1999-01-01"),
    *("15.03.2023 10:00", "5.3.2023 9:05", "31.02.2023 10:00", "03/15/2023", "3/2/2023", "15/03/23 12:05 AM"),
    *("15/03/23 09:30 pm", "20230315101112", "15 Mar 2023 10:00:00.25 +0100", "2022-10-30 02:30:00"),
    *("2023-03-26 02:30:00", "2022-03-27 02:30:00", "2022-11-06 01:30:00", "", "soon"),
)
_DAYS = ("2023-03-15", "2023-03-14", "", "15.03.2023")
_TIMES = ("10:00", "10:00:00", "", "25:00")
_NOTES = ("", "plain", "Grüße", "a, b; c|d\te: f", 'vinyl 12"', "it's", "C:\\")
_GOOD: Mapping[str, Sequence[str]] = {
    **dict.fromkeys(("order", "receipt", "transaction_id"), ("1001", "1001", "1002", "A|7")),
    **dict.fromkeys(("item", "store"), ("1", "2", "7|")),
    **dict.fromkeys(("email", "customer_id"), CUSTOMERS),
    **dict.fromkeys(("sku", "product_id"), tuple(PRICES)),
    **dict.fromkeys(("qty", "quantity"), ("1", "2")),
    **dict.fromkeys(("state", "status"), ("completed", "Shipped")),
    "paid": ("11", "9"),
}
_GOOD_DATES: Mapping[str, Sequence[str]] = {
    "iso": ("2023-03-15", "2023-03-14 10:00:00", "2023-03-15 09:50:26 +0200"),
    "%d.%m.%Y %H:%M": ("15.03.2023 10:00", "5.3.2023 9:05"),
    "%m/%d/%Y": ("03/15/2023", "3/2/2023"),
    "%d/%m/%y %I:%M %p": ("15/03/23 12:05 AM", "14/03/23 09:30 pm"),
    "%Y%m%d%H%M%S": ("20230315101112",),
    "%d %b %Y %H:%M:%S.%f %z": ("15 Mar 2023 10:00:00.25 +0100",),
}
_POOLS: Mapping[str, Sequence[str]] = {
    **dict.fromkeys(("order", "receipt", "transaction_id"), _ORDERS),
    **dict.fromkeys(("item", "store"), _ITEMS),
    **dict.fromkeys(("email", "customer_id"), ("C1", "C2", "ann@example.com", "C9", "", "0", "null", "-")),
    **dict.fromkeys(("sku", "product_id"), ("P100", "P200", "P|1", "SKU-9", "P404", "", "N/A")),
    **dict.fromkeys(("qty", "quantity"), _QUANTITIES),
    **dict.fromkeys(("created at", "transaction_date"), _DATES),
    **dict.fromkeys(("state", "status"), _STATUSES),
    "day": _DAYS,
    "time": _TIMES,
    "paid": _PAID,
    "note": _NOTES,
    "extra": ("", "x"),
}


@st.composite
def files(draw: st.DrawFn, settings: Mapping[str, Any]) -> bytes:
    """A file as these settings say; now and then one in the contract's own layout."""
    columns = {name: settings.get("columns", {}).get(name, name) for name in CONTRACT}
    of_key = columns["transaction_id"]
    reads_contract = "transaction_id" not in ([of_key] if isinstance(of_key, str) else of_key)
    if reads_contract and draw(st.integers(0, 9)) == 0:
        columns = {name: name for name in CONTRACT}
    headings = [column for parts in columns.values() for column in ([parts] if isinstance(parts, str) else parts)]
    if settings.get("unit_price", "list") != "list":
        headings.append(settings["unit_price"].removeprefix("column "))
    header = draw(st.permutations(list(dict.fromkeys([*headings, "Note", "Extra"]))))
    header = [heading for heading in header if heading != "<line>"]
    writer = Writer(settings)
    lines = ["report", "", '"quoted"'][: settings.get("skip_rows", 0)]
    lines.append(writer.line(header))
    for _ in range(draw(st.integers(0, 12))):
        kind = draw(st.integers(0, 14))
        values = [_cell(draw, heading.lower(), settings) for heading in header]
        if kind == 0:
            lines.append(writer.line(["junk", *values[2:]]))
        elif kind == 1:
            lines.append(writer.line([*values, "more"]))
        elif kind == 2:
            lines.append("")
        elif kind == 3:
            lines.append(writer.line([""] * len(header)))
        else:
            lines.append(writer.line(values))
    end = draw(st.sampled_from(("\n", "\r\n")))
    text = end.join(lines) + draw(st.sampled_from(("", end)))
    return text.encode(settings.get("encoding", "utf-8"), "replace")


def _cell(draw: st.DrawFn, heading: str, settings: Mapping[str, Any]) -> str:
    """Nine times out of ten a value that is right under most settings."""
    pool = _POOLS[heading]
    if draw(st.integers(0, 9)):
        pool = _GOOD.get(heading, pool)
        if heading in ("created at", "transaction_date"):
            pool = _GOOD_DATES[draw(st.sampled_from(settings.get("date_formats", ["iso"])))]
    value = draw(st.sampled_from(pool))
    return f" {value} " if value and draw(st.integers(0, 7)) == 0 else value


class Writer:
    """Rows as text, quoted where they must be."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self.delimiter = settings.get("delimiter", ",")
        self.quote = settings.get("quote", '"')
        self.escape = settings.get("escape", "")

    def line(self, values: Sequence[str]) -> str:
        return self.delimiter.join(map(self._value, values))

    def _value(self, value: str) -> str:
        if not self.quote:
            return value.replace(self.delimiter, "_")
        if not any(mark in value for mark in (self.delimiter, self.quote, " ")):
            return value
        if self.escape:
            value = value.replace(self.escape, self.escape * 2).replace(self.quote, self.escape + self.quote)
        else:
            value = value.replace(self.quote, self.quote * 2)
        return f"{self.quote}{value}{self.quote}"
