"""Source settings: the format of one shop's files, and the only parser of these settings.

The Pulumi program and the `pipeline` command read them from `sources/<name>.yaml`; the
job gets the same mapping as JSON in an argument. All three use this parser, so a wrong
file is refused before anything is deployed. The defaults are the contract: a CSV file in
UTF-8 with the contract's own headings.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import date
from difflib import get_close_matches
from typing import Any, Callable

from schemas.drops import CUSTOMERS, PRODUCTS
from schemas.source_values import (
    WrongValue,
    date_format,
    day,
    encoding,
    heading_list,
    identifier,
    one_character,
    quoted,
    text,
    text_list,
    time_zone,
    truth,
    whole_number,
)
from schemas.statuses import STATUSES, status_key

CONTRACT_COLUMNS = ("transaction_id", "customer_id", "product_id", "quantity", "transaction_date", "status")
PRODUCT_COLUMNS = ("product_id", "product_name", "category", "price", "supplier_id")
CUSTOMER_COLUMNS = ("customer_id", "first_name", "last_name", "email", "membership_level")

LINE_NUMBER = "<line>"
"""A heading that the reader supplies: the number of a row within its order, from 1."""
KEY_SEPARATOR = "|"
"""Separates the parts of a transaction_id of several columns; in a part, `|` and `\\` get a `\\` before them."""

_CASED = re.compile("[^\u2c2f\ua7c0-\ua7ff\U00010570-\U0001ffff]+")
"""All letters whose case every Python version knows."""
NOT_IN_HEADING_KEY = r"_#.:*`'\"“”„«»‘’\[\]\u00ad\u200b-\u200f\u2060\ufeff-"
"""A class of a pattern: R writes Transaction.ID, SQL Server [Transaction ID], a form Transaction ID*."""

REJECT, NEGATIVE = "reject", "negative"
ISO = "iso"
"""The date format that means every form of ISO 8601 with only one reading."""
# Of databases, pandas, R, Ruby and JavaScript, of pivot tables and of web analytics.
_DATABASES = ("NULL", "\\N", "(null)", "<null>", "[NULL]")
_PROGRAMS = ("nan", "NaT", "None", "nil", "NA", "<NA>", "undefined")
_SHEETS = ("#N/A", "N/A", "(none)", "(blank)", "(not set)")
NULL_WORDS = (*_DATABASES, *_PROGRAMS, *_SHEETS)
EARLIEST_YEARS = 20
MAX_SKIPPED_ROWS = 1000

_THOUSANDS = ("", ",", ".", "'", " ")
_LIST_PRICE, _PRICE_COLUMN = "list", "column "


class InvalidSource(ValueError):
    """Settings that cannot be used; `faults` has one sentence for each fault."""

    def __init__(self, name: str, faults: list[str]) -> None:
        self.faults = tuple(faults)
        super().__init__(f"the source settings {name!r} cannot be used: " + "; ".join(faults))


@dataclass(frozen=True)
class SourceSettings:
    """One source format. Every default is the contract's; docs/sources.md has an example of each setting."""

    name: str = "default"
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: _own_headings(CONTRACT_COLUMNS))
    """Contract column -> the headings it is made of: several for transaction_id (a key of several columns) and
    transaction_date (a date and a time, joined by a blank), none for a customer_id or status the files lack."""
    products: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: _own_headings(PRODUCT_COLUMNS))
    """Column of dim_products -> its heading in a file of products, or none where the files lack it."""
    customers: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: _own_headings(CUSTOMER_COLUMNS))
    fill_down: tuple[str, ...] = ()
    """Headings written only on an order's first line."""
    statuses: Mapping[str, str] = field(default_factory=dict)
    """The source's word, as `status_key` has it -> status; the word "" is an empty value."""
    status_ranks: tuple[str, ...] = STATUSES
    """All statuses, the lowest rank first."""
    delimiter: str = ","
    encoding: str = "utf-8"
    quote: str = '"'
    """Empty where a quote is an ordinary character."""
    escape: str = ""
    """Before a quote inside a quoted value; empty where a quote is written twice."""
    skip_rows: int = 0
    """Physical lines above the header."""
    decimal_comma: bool = False
    thousands_separator: str = ""
    """A blank matches any blank, the non-breaking one included."""
    date_formats: tuple[str, ...] = (ISO,)
    """Tried in this order; nothing else is a date."""
    time_zone: str = "UTC"
    """The zone of a timestamp without an offset. A repeated hour means its first; a skipped hour is no date."""
    null_words: tuple[str, ...] = NULL_WORDS
    """Words that mean "no value" in an id, in any case. So do punctuation alone and the error of a formula."""
    guest_customer: str = ""
    """The customer_id of a row without one; valid even if dim_customers lacks it. Empty: such a row is rejected."""
    earliest_day: date | None = None
    """The first plausible day; None: EARLIEST_YEARS before the drop's day."""
    returns: str = REJECT
    """NEGATIVE: a quantity below zero is a return, and so is its amount."""
    unit_price: str | None = None
    """The heading of the price that the customer paid for one piece; None: the list price of dim_products."""

    @classmethod
    def parse(cls, mapping: object, *, name: str = "default") -> SourceSettings:
        """The settings in a mapping parsed from YAML or JSON; a missing key has its default.

        Raises InvalidSource with a sentence for every key, type or value that is wrong.
        """
        if not isinstance(mapping, Mapping):
            raise InvalidSource(name, [f"they are {mapping!r}, but must be keys with their values"])
        values: dict[str, Any] = {"name": name}
        faults = []
        for key, value in mapping.items():
            reader = _SETTINGS.get(key) if isinstance(key, str) else None
            if reader is None:
                faults.append(_unknown_key(key))
                continue
            try:
                values[key] = reader(value)
            except WrongValue as wrong:
                faults.append(f"{key} is {wrong.value!r}, but must be {wrong.wanted}")
        settings = cls(**values)
        faults = faults or _contradictions(settings)
        if faults:
            raise InvalidSource(str(values["name"]), faults)
        return settings

    def to_mapping(self) -> dict[str, Any]:
        """The mapping from which `parse` makes these settings: the name, and the keys that differ from the default."""
        changed = {
            setting.name: getattr(self, setting.name)
            for setting in fields(self)
            if setting.name == "name" or getattr(self, setting.name) != getattr(DEFAULT, setting.name)
        }
        return {key: _plain(key, value) for key, value in changed.items()}

    def to_json(self) -> str:
        """Canonical: equal settings give equal text."""
        return json.dumps(self.to_mapping(), sort_keys=True, ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> SourceSettings:
        """Raises InvalidSource."""
        try:
            mapping = json.loads(text)
        except ValueError as reason:
            raise InvalidSource("?", [f"{text[:80]!r} is no JSON ({reason})"]) from None
        return cls.parse(mapping)

    def to_argument(self) -> str:
        """The canonical JSON as base64url, for a command line without quoting rules."""
        return base64.urlsafe_b64encode(self.to_json().encode("utf-8")).decode("ascii")

    @classmethod
    def from_argument(cls, argument: str) -> SourceSettings:
        """Raises InvalidSource."""
        try:
            text = base64.urlsafe_b64decode(argument.encode("ascii")).decode("utf-8")
        except (binascii.Error, UnicodeError) as reason:
            raise InvalidSource("?", [f"{argument[:80]!r} is no base64url text ({reason})"]) from None
        return cls.from_json(text)

    @property
    def reads_contract_layout(self) -> bool:
        """True where a file that lacks these headings and has all six of the contract may be read by those.

        Not where the contract's transaction_id is a part of the key: without the other parts, sales would merge.
        """
        return "transactionid" not in map(heading_key, self.columns.get("transaction_id", ()))

    def of_dimension(self, name: str) -> SourceSettings:
        """The settings for the source's file of a dimension: its headings as `columns`, without settings of orders."""
        columns = {PRODUCTS: self.products, CUSTOMERS: self.customers}[name]
        return replace(self, columns=columns, fill_down=(), unit_price=None)

    @property
    def headings(self) -> tuple[str, ...]:
        """Every heading that is read, once, in the order of the contract's columns; without LINE_NUMBER."""
        named = [heading for parts in self.columns.values() for heading in parts]
        named += [self.unit_price] if self.unit_price is not None else []
        return tuple(dict.fromkeys(heading for heading in named if heading != LINE_NUMBER))

    def first_plausible_day(self, partition_day: date) -> date:
        """The earliest day on which a sale in a file of `partition_day` may have been made."""
        if self.earliest_day is not None:
            return self.earliest_day
        year = max(partition_day.year - EARLIEST_YEARS, 1)
        # The year 20 years before may have no 29th of February.
        last = 28 if (partition_day.month, partition_day.day) == (2, 29) else partition_day.day
        return date(year, partition_day.month, last)


def heading_key(heading: str) -> str:
    """One key for all spellings of a heading: case, blanks and NOT_IN_HEADING_KEY do not count."""
    return _CASED.sub(lambda letters: letters.group().lower(), re.sub(rf"[\s{NOT_IN_HEADING_KEY}]", "", heading))


def _own_headings(columns: Sequence[str]) -> dict[str, tuple[str, ...]]:
    return {name: (name,) for name in columns}


def _headings_of(known: Sequence[str]) -> Callable[[object], dict[str, tuple[str, ...]]]:
    def read(value: object) -> dict[str, tuple[str, ...]]:
        if not isinstance(value, Mapping):
            raise WrongValue(value, f"a heading for each of {', '.join(known)}")
        columns = _own_headings(known)
        for column, headings in value.items():
            if column not in known:
                raise WrongValue(column, f"made of {', '.join(known)}{_nearest(column, known)}")
            columns[column] = heading_list(headings)
        return columns

    return read


def _statuses(value: object) -> dict[str, str]:
    if not isinstance(value, Mapping):
        raise WrongValue(value, f"words, each with one of {', '.join(STATUSES)}")
    statuses: dict[str, str] = {}
    for word, status in value.items():
        lowered = status_key(text(word))
        if status not in STATUSES:
            raise WrongValue({word: status}, f"words, each with one of {', '.join(STATUSES)}")
        if statuses.setdefault(lowered, status) != status:
            raise WrongValue({word: status}, f"one status a word, and {lowered!r} is {statuses[lowered]} as well")
    return statuses


def _status_ranks(value: object) -> tuple[str, ...]:
    ranks = text_list(value)
    if sorted(ranks) != sorted(STATUSES):
        raise WrongValue(value, f"each of {', '.join(STATUSES)} once, the lowest rank first")
    return ranks


def _date_formats(value: object) -> tuple[str, ...]:
    formats = text_list(value)
    if not formats:
        raise WrongValue(value, "a list of at least one format")
    return tuple(format_ if format_ == ISO else date_format(format_) for format_ in formats)


def _one_of(*allowed: str) -> Callable[[object], str]:
    def read(value: object) -> str:
        if value not in allowed:
            raise WrongValue(value, f"one of {quoted(allowed)}")
        return str(value)

    return read


def _unit_price(value: object) -> str | None:
    heading = value[len(_PRICE_COLUMN) :].strip() if isinstance(value, str) and value.startswith(_PRICE_COLUMN) else ""
    if value != _LIST_PRICE and not heading_key(heading):
        raise WrongValue(value, f"{_LIST_PRICE!r}, or 'column ' and a heading, such as 'column Lineitem price'")
    return heading or None


def _name(value: object) -> str:
    name = text(value)
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,62}", name):
        raise WrongValue(value, "small letters, digits and hyphens")
    return name


def _earliest_day(value: object) -> date | None:
    return None if value is None else day(value)


_SETTINGS: dict[str, Callable[[object], object]] = {
    "name": _name,
    "columns": _headings_of(CONTRACT_COLUMNS),
    "products": _headings_of(PRODUCT_COLUMNS),
    "customers": _headings_of(CUSTOMER_COLUMNS),
    "fill_down": heading_list,
    "statuses": _statuses,
    "status_ranks": _status_ranks,
    "delimiter": one_character,
    "encoding": encoding,
    "quote": lambda value: value if value == "" else one_character(value),
    "escape": lambda value: value if value == "" else one_character(value),
    "skip_rows": lambda value: whole_number(value, MAX_SKIPPED_ROWS),
    "decimal_comma": truth,
    "thousands_separator": _one_of(*_THOUSANDS),
    "date_formats": _date_formats,
    "time_zone": time_zone,
    "null_words": text_list,
    "guest_customer": identifier,
    "earliest_day": _earliest_day,
    "returns": _one_of(REJECT, NEGATIVE),
    "unit_price": _unit_price,
}


def _unknown_key(key: object) -> str:
    return f"{key!r} is no setting{_nearest(key, list(_SETTINGS))}"


def _nearest(word: object, names: Sequence[str]) -> str:
    nearest = get_close_matches(str(word), names, n=1)
    return f"; do you mean {nearest[0]!r}?" if nearest else f"; known are {', '.join(names)}"


def _contradictions(settings: SourceSettings) -> list[str]:
    """Contradictions between values that are valid alone."""
    checks = (_marks, _headings, _dimension_headings, _numbers)
    return [sentence for check in checks for sentence in check(settings)]


def _marks(settings: SourceSettings) -> list[str]:
    faults = [
        f"delimiter is {settings.delimiter!r}, but must differ from {other}"
        for other in ("quote", "escape")
        if settings.delimiter == getattr(settings, other)
    ]
    if settings.quote and settings.escape == settings.quote:
        faults.append(
            f"escape is {settings.escape!r}, but must differ from quote; leave it out where quotes are doubled"
        )
    if settings.escape and not settings.quote:
        faults.append(f"escape is {settings.escape!r}, but means nothing where quote is empty")
    return faults


def _headings(settings: SourceSettings) -> list[str]:
    faults = []
    for column, headings in settings.columns.items():
        if not headings and column not in ("customer_id", "status"):
            faults.append(f"columns: {column} has no heading, but only customer_id and status may lack one")
        if len(headings) > 1 and column not in ("transaction_id", "transaction_date"):
            faults.append(f"columns: {column} has {len(headings)} headings, but must have one")
        if LINE_NUMBER in headings and (column != "transaction_id" or headings[0] == LINE_NUMBER):
            faults.append(f"columns: {LINE_NUMBER} may only be used in transaction_id, after the heading of the order")
    if not settings.columns["customer_id"] and not settings.guest_customer:
        faults.append("columns: customer_id has no heading, so guest_customer must name the customer")
    if not settings.columns["status"] and "" not in settings.statuses:
        faults.append('columns: status has no heading, so statuses must say what "" means')
    read = {heading_key(heading) for heading in settings.headings}
    faults += [
        f"fill_down: {heading!r} is none of the headings in columns{_nearest(heading, settings.headings)}"
        for heading in settings.fill_down
        if heading_key(heading) not in read
    ]
    return faults


def _dimension_headings(settings: SourceSettings) -> list[str]:
    faults = []
    for setting, columns in (("products", settings.products), ("customers", settings.customers)):
        for column, headings in columns.items():
            if len(headings) > 1 or LINE_NUMBER in headings:
                faults.append(f"{setting}: {column} is {', '.join(headings)}, but must be one heading")
            if not headings and column in ("product_id", "price", "customer_id"):
                faults.append(f"{setting}: {column} has no heading, but every row must have one")
    return faults


def _numbers(settings: SourceSettings) -> list[str]:
    decimal_mark = "," if settings.decimal_comma else "."
    if settings.thousands_separator != decimal_mark:
        return []
    return [f"thousands_separator is {decimal_mark!r}, which is the decimal mark already"]


def _plain(key: str, value: object) -> object:
    """A value as JSON has it."""
    if key in ("columns", "products", "customers") and isinstance(value, Mapping):
        return {column: list(headings) for column, headings in value.items() if headings != (column,)}
    if key == "unit_price":
        return f"{_PRICE_COLUMN}{value}"
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Mapping):
        return dict(value)
    return list(value) if isinstance(value, tuple) else value


DEFAULT = SourceSettings()
"""Today's contract."""
