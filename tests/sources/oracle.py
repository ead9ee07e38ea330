"""The meaning of a source's settings, row by row and without regard to speed, written from the design alone.

Nothing here imports the job or the settings' parser: a settings file is the mapping that YAML gives. The
files it reads are those of tests/sources/files.py: no value spans lines, and no quote is out of place.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import ROUND_HALF_UP, Decimal
from itertools import groupby
from typing import Any
from zoneinfo import ZoneInfo

from tests.oracle.dates import read_written_date
from tests.oracle.text import heading_key
from tests.oracle.values import NULL_WORDS, ROUNDED, is_nothing, meant, status_word

CONTRACT = ("transaction_id", "customer_id", "product_id", "quantity", "transaction_date", "status")
RANKS = ("pending", "processing", "completed", "shipped", "delivered", "cancelled", "refunded")
SPELLINGS = {"canceled": "cancelled", "complete": "completed"}

_DIRECTIVES = {
    "%Y": r"(?P<Y>\d{4})",
    "%y": r"(?P<y>\d\d)",
    "%m": r"(?P<m>\d\d?)",
    "%d": r"(?P<d>\d\d?)",
    "%H": r"(?P<H>\d\d?)",
    "%I": r"(?P<I>\d\d?)",
    "%M": r"(?P<M>\d\d)",
    "%S": r"(?P<S>\d\d)",
    "%f": r"(?P<f>\d{1,9})",
    "%p": r"(?P<p>(?i:am|pm))",
    "%b": r"(?P<b>(?i:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec))",
    "%z": r"(?P<z>Z|[+-]\d\d:?\d\d)",
}
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")


@dataclass(frozen=True)
class Row:
    """A row that is loaded."""

    transaction_id: str
    customer_id: str
    product_id: str
    quantity: int
    transaction_date: datetime
    status: str
    unit_price: Decimal
    total_amount: Decimal


@dataclass(frozen=True)
class Outcome:
    loaded: dict[str, Row]
    duplicate: int
    rejected: dict[int, set[str]]
    """Line -> reject reasons."""


@dataclass(frozen=True)
class _Read:
    """A row that is valid but for an unknown customer or product."""

    line: int
    row: Row
    reasons: frozenset[str]


class SourceOracle:
    """The meaning of one settings file."""

    def __init__(
        self, settings: Mapping[str, Any], prices: Mapping[str, Decimal], customers: Sequence[str], day: date
    ) -> None:
        self.settings, self.prices, self.customers, self.day = settings, prices, customers, day
        self.ranks = settings.get("status_ranks", RANKS)
        self.statuses = {status: status for status in RANKS} | SPELLINGS
        self.statuses |= {status_word(word.strip()): status for word, status in settings.get("statuses", {}).items()}

    def load(self, content: bytes) -> Outcome:
        """The result for a file."""
        rejected: dict[int, set[str]] = {}
        sound: list[_Read] = []
        for line, values in self._rows(content):
            if values is None:
                rejected[line] = {"malformed_row"}
                continue
            reasons, row = self._validate(values)
            if row is not None and reasons <= {"unknown_customer", "unknown_product"}:
                sound.append(_Read(line, row, frozenset(reasons)))
            else:
                rejected[line] = reasons
        return self._settle(sound, rejected)

    def _settle(self, sound: list[_Read], rejected: dict[int, set[str]]) -> Outcome:
        """Conflicts, duplicates and winners."""
        loaded: dict[str, Row] = {}
        accepted = 0

        def event(read: _Read) -> tuple[str, datetime, int]:
            return (read.row.transaction_id, read.row.transaction_date, self.ranks.index(read.row.status))

        # The later event wins, and among equal ones the later line: sorted comes later.
        for _, same in groupby(sorted(sound, key=lambda read: (*event(read), read.line)), key=event):
            reads = list(same)
            sales = {self._sale(read.row) for read in reads}
            for read in reads:
                reasons = set(read.reasons) | ({"conflicting_rows"} if len(sales) > 1 else set())
                if reasons:
                    rejected[read.line] = reasons
                else:
                    accepted += 1
                    loaded[read.row.transaction_id] = read.row
        return Outcome(loaded, accepted - len(loaded), rejected)

    def _sale(self, row: Row) -> tuple[object, ...]:
        price = row.unit_price if self.settings.get("unit_price", "list") != "list" else None
        return (row.customer_id, row.product_id, row.quantity, price)

    # The file

    def _rows(self, content: bytes) -> Iterator[tuple[int, dict[str, str] | None]]:
        """Line and the contract's columns as text, None for a malformed row."""
        text = content.decode(self.settings.get("encoding", "utf-8")).removeprefix("\ufeff")
        lines = [line.removesuffix("\r") for line in text.split("\n")]
        skipped = self.settings.get("skip_rows", 0)
        header = [_heading(value) for value in self._split(lines[skipped]) or []]
        columns, fill_down, price = self._columns(header)
        order, number, above = None, 0, dict[str, str]()
        for line, written in enumerate(lines[skipped + 1 :], start=skipped + 2):
            values = self._split(written)
            if values is not None and not any(values):
                continue
            if values is None or len(values) != len(header):
                number += 1
                above.pop(columns["transaction_id"][0], None)
                yield line, None
                continue
            row = {heading: value.strip() for heading, value in zip(header, values, strict=True)}
            key = columns["transaction_id"][0]
            if key in fill_down and not row[key]:
                row[key] = above.get(key, "")
            if order is not None and row[key] == order:
                for heading in fill_down:
                    row[heading] = row[heading] or above.get(heading, "")
            number = number + 1 if row[key] == order else 1
            order, above = row[key], {heading: row[heading] for heading in {*fill_down, key}}
            yield line, self._contract(row, columns, price, number)

    def _columns(self, header: list[str]) -> tuple[dict[str, list[str]], list[str], str | None]:
        """Contract column -> headings as they compare; those to fill down; that of the price."""
        wanted = {name: self.settings.get("columns", {}).get(name, name) for name in CONTRACT}
        columns = {name: [headings] if isinstance(headings, str) else headings for name, headings in wanted.items()}
        keys = {name: [_heading(heading) for heading in headings] for name, headings in columns.items()}
        fill_down = [_heading(heading) for heading in self.settings.get("fill_down", [])]
        price = self.settings.get("unit_price", "list")
        if all(heading in (*header, "<line>") for headings in keys.values() for heading in headings):
            return keys, fill_down, None if price == "list" else _heading(price.removeprefix("column "))
        # The file is in the contract's own layout.
        return {name: [_heading(name)] for name in CONTRACT}, [column for column in fill_down if column in header], None

    def _contract(
        self, row: Mapping[str, str], columns: Mapping[str, list[str]], price: str | None, number: int
    ) -> dict[str, str]:
        parts = {name: [row.get(heading, str(number)) for heading in headings] for name, headings in columns.items()}
        key = parts["transaction_id"]
        if len(key) > 1:
            ids = [self._id(part) for part in key]
            escaped = [part.replace("\\", "\\\\").replace("|", "\\|") for part in ids]
            parts["transaction_id"] = ["|".join(escaped) if all(ids) else ""]
        values = {name: " ".join(part for part in actual if part) for name, actual in parts.items()}
        return values if price is None else {**values, "unit_price": row[price]}

    def _split(self, line: str) -> list[str] | None:
        delimiter, quote = self.settings.get("delimiter", ","), self.settings.get("quote", '"')
        if not quote:
            return line.split(delimiter)
        escape = self.settings.get("escape", "")
        values, at = [], 0
        while True:
            value, at = _value(line, at, delimiter, quote, escape)
            values.append(value)
            if at >= len(line):
                return values
            at += 1

    # The row

    def _id(self, text: str) -> str:
        """Empty where there is nothing, a word that means it, or punctuation alone."""
        actual, words = meant(text), self.settings.get("null_words", NULL_WORDS)
        if is_nothing(actual) or actual.lower() in [word.lower() for word in words]:
            return ""
        return actual.removesuffix(".0") if re.fullmatch(r"[0-9]{1,15}\.0", actual) else actual

    def _validate(self, values: Mapping[str, str]) -> tuple[set[str], Row | None]:
        reasons = set()
        ids = {name: self._id(values[name]) for name in CONTRACT[:3]}
        guest = self.settings.get("guest_customer", "")
        ids["customer_id"] = ids["customer_id"] or guest
        reasons |= {f"missing_{name}" for name, value in ids.items() if not value}
        if ids["customer_id"] and ids["customer_id"] not in (*self.customers, guest):
            reasons.add("unknown_customer")
        if ids["product_id"] and ids["product_id"] not in self.prices:
            reasons.add("unknown_product")
        if any(ROUNDED.fullmatch(part) for value in ids.values() for part in value.split("|")):
            reasons.add("rounded_id")
        status = self.statuses.get(status_word(values["status"]))
        reasons |= set() if status else {"invalid_status"}
        quantity = self._quantity(values["quantity"], status)
        reasons |= set() if quantity is not None else {"invalid_quantity"}
        price = self._price(values, ids["product_id"])
        reasons |= set() if price is not None else {"invalid_unit_price"}
        moment = self._date(values["transaction_date"])
        reasons |= self._date_faults(moment)
        if quantity is None or status is None or moment is None or price is None:
            return reasons, None
        amount = (quantity * price).quantize(Decimal("0.01"), ROUND_HALF_UP)
        return reasons, Row(*ids.values(), quantity, moment[0], status, price, amount)

    def _number(self, text: str) -> Decimal | None:
        mark = "," if self.settings.get("decimal_comma") else "."
        separator = self.settings.get("thousands_separator", "")
        whole, actual, decimals = text.partition(mark)
        if separator and separator in whole:
            first, *groups = whole.removeprefix("-").split(separator)
            if not re.fullmatch(r"[1-9]\d?\d?", first, re.ASCII) or not all(
                re.fullmatch(r"\d{3}", group, re.ASCII) for group in groups
            ):
                return None
            whole = whole.replace(separator, "")
        if not re.fullmatch(r"-?\d+", whole, re.ASCII) or (actual and not re.fullmatch(r"\d*", decimals, re.ASCII)):
            return None
        is_undeclared = not separator and mark == "."
        if is_undeclared and re.fullmatch(r"-?[1-9]\d?\d?\.\d\d\d", text, re.ASCII):
            return None  # a thousand to some
        return Decimal(f"{whole}.{decimals or 0}")

    def _quantity(self, text: str, status: str | None) -> int | None:
        number = self._number(text)
        if number is None or number != int(number) or not -(2**31) < number < 2**31:
            return None
        least = 0 if status in ("cancelled", "refunded") else 1
        is_return = number < 0 and self.settings.get("returns") == "negative"
        return int(number) if number >= least or is_return else None

    def _price(self, values: Mapping[str, str], product: str) -> Decimal | None:
        if "unit_price" not in values:
            return self.prices.get(product, Decimal(0))
        number = self._number(values["unit_price"])
        return number if number is not None and number >= 0 and number == round(number, 4) else None

    def _date(self, text: str) -> tuple[datetime, date, bool] | None:
        """The instant in UTC, the day as written, and whether an offset was written."""
        for date_format in self.settings.get("date_formats", ["iso"]):
            actual = read_written_date(text) if date_format == "iso" else _read_form(text, date_format)
            if actual is None:
                continue
            local, offset = actual
            if offset is not None:
                return local - offset, local.date(), True
            instant = self._instant(local)
            return None if instant is None else (instant, local.date(), False)
        return None

    def _instant(self, local: datetime) -> datetime | None:
        zone = ZoneInfo(self.settings.get("time_zone", "UTC"))
        instant = local.replace(tzinfo=zone, fold=0).astimezone(UTC)
        return instant.replace(tzinfo=None) if instant.astimezone(zone).replace(tzinfo=None) == local else None

    def _date_faults(self, moment: tuple[datetime, date, bool] | None) -> set[str]:
        if moment is None:
            return {"invalid_transaction_date"}
        instant, local_date, has_offset = moment
        earliest = self.settings.get("earliest_day") or self.day.replace(year=self.day.year - 20)
        if local_date < (date.fromisoformat(earliest) if isinstance(earliest, str) else earliest):
            return {"too_early_transaction_date"}
        if not has_offset:
            return {"future_transaction_date"} if local_date > self.day else set()
        name = self.settings.get("time_zone", "UTC")
        zone = timezone(timedelta(hours=-12)) if name == "UTC" else ZoneInfo(name)
        next_day = datetime.combine(self.day + timedelta(days=1), time(), zone).astimezone(UTC).replace(tzinfo=None)
        return {"future_transaction_date"} if instant >= next_day else set()


def _heading(heading: str) -> str:
    return heading if heading == "<line>" else heading_key(heading)


def _value(line: str, at: int, delimiter: str, quote: str, escape: str) -> tuple[str, int]:
    """The value that begins at a position, and where it ends."""
    if not line.startswith(quote, at):
        end = line.find(delimiter, at)
        end = len(line) if end < 0 else end
        return line[at:end], end if end < len(line) else len(line) + 1
    value, at = "", at + 1
    while True:
        if escape and line[at] == escape and line[at + 1 : at + 2] in (quote, escape):
            value, at = value + line[at + 1], at + 2
        elif line[at] != quote:
            value, at = value + line[at], at + 1
        elif line[at + 1 : at + 2] == quote:
            value, at = value + quote, at + 2
        else:
            return value, at + 1 if at + 1 < len(line) else len(line) + 1


def _offset(zone: str | None) -> timedelta | None:
    if zone is None or zone.upper() in ("Z", "UTC", "GMT"):
        return None if zone is None else timedelta(0)
    digits = zone[1:].replace(":", "").ljust(4, "0")
    offset = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return -offset if zone[0] == "-" else offset


def _read_form(text: str, form: str) -> tuple[datetime, timedelta | None] | None:
    parts = re.findall("%.|[^%]", form)
    crowded = "%Y%m%d%H%M%S" in form
    pattern = "".join(_DIRECTIVES.get(part, re.escape(part)) for part in parts)
    match = re.fullmatch(pattern.replace(r"\d\d?", r"\d\d") if crowded else pattern, text, re.ASCII)
    if match is None:
        return None
    actual = match.groupdict()
    year = int(actual.get("Y") or 0) or (lambda short: short + (1900 if short >= 69 else 2000))(int(actual["y"]))
    month = int(actual["m"]) if actual.get("m") else _MONTHS.index(actual["b"].lower()) + 1
    hour = int(actual.get("H") or 0)
    if actual.get("I"):
        hour = int(actual["I"])
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if actual["p"].lower() == "pm" else 0)
    microsecond = int((actual.get("f") or "0").ljust(6, "0")[:6])
    clock = (hour, int(actual.get("M") or 0), int(actual.get("S") or 0), microsecond)
    try:
        return datetime(year, month, int(actual["d"]), *clock), _offset(actual.get("z"))
    except ValueError:
        return None
