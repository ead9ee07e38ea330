"""The ways to write a row: odd but valid spellings, and named faults with their expected reject reasons.

A variant turns the plain values of a row into the text of its line. The values are texts,
and in addition `instant` in UTC and `day`, the day of the file. The reasons are declared
here from the contract, in the contract's order.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import polars as pl

from schemas.reject_reasons import WAITS_FOR
from schemas.sources import CONTRACT_COLUMNS

NUL_STAND_IN = "\x01"
"""Replaced by NUL at the end, because NUL pads the values of plain rows before that."""


def _line(*values: pl.Expr) -> pl.Expr:
    return pl.concat_str(values, separator=",")


def _quoted(value: pl.Expr) -> pl.Expr:
    return pl.concat_str(pl.lit('"'), value, pl.lit('"'))


def _padded(name: str, before: str, after: str) -> pl.Expr:
    return pl.concat_str(pl.lit(before), pl.col(name), pl.lit(after))


ID, CUSTOMER, PRODUCT, QUANTITY, DATE, STATUS = (pl.col(name) for name in CONTRACT_COLUMNS)
AS_IT_IS = _line(ID, CUSTOMER, PRODUCT, QUANTITY, DATE, STATUS)

_INSTANT = pl.col("instant")
_DAY_TEXT = DATE.str.slice(0, 10)
_CLOCK = DATE.str.slice(11, 8)
_NEXT_DAY_TEXT = (pl.col("day") + pl.duration(days=1)).dt.strftime("%Y-%m-%d")


def _in_zone(hours: int, date_format: str) -> pl.Expr:
    return (_INSTANT + pl.duration(hours=hours)).dt.strftime(date_format)


@dataclass(frozen=True, eq=False)
class Variant:
    """One way to write a row; a variant with reasons is a fault."""

    name: str
    reasons: tuple[str, ...] = ()
    columns: dict[str, pl.Expr] = field(default_factory=dict)
    """The values that differ from the plain row's."""
    line: pl.Expr = field(default_factory=lambda: AS_IT_IS)
    blank_lines: int = 0
    """The number of blank lines in `line` before the record."""
    has_quotes: bool = False
    """True for a variant with quotes or NUL; only some files have such variants, as in real data."""

    @property
    def is_malformed(self) -> bool:
        return self.reasons == ("malformed_row",)

    @property
    def is_waiting(self) -> bool:
        """True where only a missing dimension rejects the row, so that it may still conflict with another row."""
        return bool(self.reasons) and set(self.reasons) <= set(WAITS_FOR)


PLAIN = Variant("plain")

# Variants that a moment or an id of an order's history requires.
DATE_ALONE = Variant("date alone", columns={"transaction_date": _INSTANT.dt.strftime("%Y-%m-%d")})
BY_THE_MINUTE = Variant("by the minute", columns={"transaction_date": _INSTANT.dt.strftime("%Y-%m-%d %H:%M")})
EVENING_IN_THE_WEST = Variant(
    "evening in the west", columns={"transaction_date": _in_zone(-5, "%Y-%m-%dT%H:%M:%S-05:00")}
)
LOWERCASE_ID = Variant("lowercase id", columns={"transaction_id": ID.str.to_lowercase()})
# Twelve bytes and 26 characters of two bytes each: exactly the 64 bytes of the column.
LONGEST_ID = Variant("longest id", columns={"transaction_id": _padded("transaction_id", "", "é" * 26)})
# Each such row is written like any other; two of them together are the fault.
CONFLICTING = Variant("conflicting", ("conflicting_rows",))
HISTORY_VARIANTS = (DATE_ALONE, BY_THE_MINUTE, EVENING_IN_THE_WEST, LOWERCASE_ID, LONGEST_ID, CONFLICTING)

SPELLINGS = (
    Variant("padded with spaces", columns={name: _padded(name, " ", "  ") for name in CONTRACT_COLUMNS}),
    Variant("padded with tabs", columns={name: _padded(name, "\t", "\t") for name in CONTRACT_COLUMNS}),
    Variant(
        "padded with unicode spaces",
        columns={
            "transaction_id": _padded("transaction_id", "\u00a0", "\u3000"),
            "status": _padded("status", "\u2003", ""),
        },
    ),
    Variant("status in capitals", columns={"status": STATUS.str.to_uppercase()}),
    Variant("status as a title", columns={"status": STATUS.str.to_titlecase()}),
    Variant("leading zeros", columns={"quantity": _padded("quantity", "00", "")}),
    Variant("zeros as decimals", columns={"quantity": _padded("quantity", "", ".0000")}),
    Variant(
        "padded with invisible characters",
        columns={
            "transaction_id": _padded("transaction_id", "\ufeff", ""),
            "product_id": _padded("product_id", "", "\u200b"),
        },
    ),
    Variant("a zone by its name", columns={"transaction_date": _INSTANT.dt.strftime("%Y-%m-%d %H:%M:%S UTC")}),
    Variant("an offset without its colon", columns={"transaction_date": _in_zone(-8, "%Y-%m-%d %H:%M:%S -0800")}),
    Variant("nanoseconds", columns={"transaction_date": _INSTANT.dt.strftime("%Y-%m-%dT%H:%M:%S.000000000Z")}),
    Variant("without a zone", columns={"transaction_date": _INSTANT.dt.strftime("%Y-%m-%dT%H:%M:%S")}),
    Variant("a space for the T", columns={"transaction_date": _INSTANT.dt.strftime("%Y-%m-%d %H:%M:%SZ")}),
    Variant("microseconds", columns={"transaction_date": _INSTANT.dt.strftime("%Y-%m-%dT%H:%M:%S.000000Z")}),
    Variant("one decimal", columns={"transaction_date": _INSTANT.dt.strftime("%Y-%m-%d %H:%M:%S.0")}),
    Variant("west of Greenwich", columns={"transaction_date": _in_zone(-8, "%Y-%m-%dT%H:%M:%S-08:00")}),
    Variant(
        "east of Greenwich",
        # In the last hour of a UTC day it is the next day there, which would be a date in the future.
        columns={
            "transaction_date": pl.when(_INSTANT.dt.hour() < 23)
            .then(_in_zone(1, "%Y-%m-%dT%H:%M:%S+01:00"))
            .otherwise(_in_zone(0, "%Y-%m-%dT%H:%M:%S+00:00"))
        },
    ),
    Variant("quoted", line=_line(*(_quoted(pl.col(name)) for name in CONTRACT_COLUMNS)), has_quotes=True),
    Variant(
        "quoted and padded inside",
        line=_line(*(_quoted(_padded(name, " ", " ")) for name in CONTRACT_COLUMNS)),
        has_quotes=True,
    ),
    Variant("carriage return at the end", line=pl.concat_str(AS_IT_IS, pl.lit("\r"))),
    Variant("after a blank line", line=pl.concat_str(pl.lit("\n"), AS_IT_IS), blank_lines=1),
)


def _fault(name: str, *reasons: str, **texts: str) -> Variant:
    return Variant(name, reasons, {column: pl.lit(text) for column, text in texts.items()})


def _date_fault(name: str, expression: pl.Expr) -> Variant:
    return Variant(name, ("invalid_transaction_date",), {"transaction_date": expression})


def _malformed(name: str, line: pl.Expr, *, has_quotes: bool = False) -> Variant:
    return Variant(name, ("malformed_row",), line=line, has_quotes=has_quotes)


FAULTS = (
    _malformed("too few fields", _line(ID, CUSTOMER, PRODUCT, QUANTITY, DATE)),
    _malformed("too many fields", _line(ID, CUSTOMER, PRODUCT, QUANTITY, DATE, STATUS, pl.lit("thank you"))),
    _malformed("comma at the end", pl.concat_str(AS_IT_IS, pl.lit(","))),
    _malformed("unquoted comma in a number", _line(ID, CUSTOMER, PRODUCT, pl.lit("1,000"), DATE, STATUS)),
    _malformed("a remark", pl.concat_str(pl.lit("# end of page, order "), ID)),
    _malformed(
        "text after a quote",
        _line(ID, _quoted(CUSTOMER) + pl.lit("x"), PRODUCT, QUANTITY, DATE, STATUS),
        has_quotes=True,
    ),
    _malformed(
        "a quote that is never closed",
        _line(ID, _padded("customer_id", '"', ""), PRODUCT, QUANTITY, DATE, STATUS),
        has_quotes=True,
    ),
    _malformed(
        "NUL in a value",
        _line(_padded("transaction_id", f"T{NUL_STAND_IN}", ""), CUSTOMER, PRODUCT, QUANTITY, DATE, STATUS),
        has_quotes=True,
    ),
    _malformed("too few fields and all of them wrong", pl.lit(",,,0,tomorrow")),
    _fault("no transaction_id", "missing_transaction_id", transaction_id=""),
    _fault("blank transaction_id", "missing_transaction_id", transaction_id=" \u2003\t"),
    _fault("transaction_id of a database", "missing_transaction_id", transaction_id="\\N"),
    _fault("transaction_id of a spreadsheet", "rounded_id", transaction_id="1.23457E+11"),
    _fault("customer_id of pandas", "missing_customer_id", customer_id="nan"),
    _fault("no customer_id", "missing_customer_id", customer_id=""),
    _fault("blank customer_id", "missing_customer_id", customer_id="  "),
    _fault("no product_id", "missing_product_id", product_id=""),
    Variant("quoted blank product_id", ("missing_product_id",), {"product_id": pl.lit('" "')}, has_quotes=True),
    _fault("unknown customer_id", "unknown_customer", customer_id="C0"),
    _fault("customer_id in small letters", "unknown_customer", customer_id="c12345"),
    _fault("customer_id without its letter", "unknown_customer", customer_id="12345"),
    _fault("unknown product_id", "unknown_product", product_id="P0"),
    _fault("product_id in small letters", "unknown_product", product_id="p12345"),
    _fault("product_id with a zero ahead", "unknown_product", product_id="P012345"),
    _fault("no quantity", "invalid_quantity", quantity=""),
    _fault("quantity zero", "invalid_quantity", quantity="0", status="shipped"),
    _fault("negative quantity", "invalid_quantity", quantity="-1"),
    _fault("signed quantity", "invalid_quantity", quantity="+2"),
    _fault("part of a piece", "invalid_quantity", quantity="1.5"),
    _fault("a thousand or one", "invalid_quantity", quantity="1.000"),
    _fault("quantity with an exponent", "invalid_quantity", quantity="1e3"),
    _fault("quantity in other digits", "invalid_quantity", quantity="\u0663"),
    _fault("quantity in words", "invalid_quantity", quantity="two"),
    _fault("quantity NaN", "invalid_quantity", quantity="NaN"),
    Variant("quantity with thousands", ("invalid_quantity",), {"quantity": pl.lit('"1,000"')}, has_quotes=True),
    _fault("quantity beyond the column", "invalid_quantity", quantity="2147483648"),
    _fault("no date", "invalid_transaction_date", transaction_date=""),
    _fault("a date in words", "invalid_transaction_date", transaction_date="yesterday"),
    _fault("a date of a spreadsheet", "invalid_transaction_date", transaction_date="45000"),
    _fault("a day outside the calendar", "invalid_transaction_date", transaction_date="2023-02-29"),
    _date_fault("day first", _INSTANT.dt.strftime("%d/%m/%Y")),
    _date_fault("two digits of the year", _INSTANT.dt.strftime("%y-%m-%d")),
    _date_fault("day first with points", _INSTANT.dt.strftime("%d.%m.%Y")),
    _date_fault("day first without dashes", _INSTANT.dt.strftime("%d%m%Y")),
    _date_fault("hour 24", pl.concat_str(_DAY_TEXT, pl.lit("T24:00:00Z"))),
    _date_fault("second 60", pl.concat_str(_DAY_TEXT, pl.lit("T10:00:60Z"))),
    _date_fault("a time cut off", pl.concat_str(_DAY_TEXT, pl.lit("T1"))),
    _date_fault("a zone by name", pl.concat_str(_DAY_TEXT, pl.lit("T"), _CLOCK, pl.lit(" CET"))),
    _fault("a placeholder date", "too_early_transaction_date", transaction_date="1899-12-30"),
    Variant("the next day", ("future_transaction_date",), {"transaction_date": _NEXT_DAY_TEXT}),
    _fault("a date far ahead", "future_transaction_date", transaction_date="9999-12-31"),
    Variant(
        # At this instant the file's day is over everywhere on earth.
        "noon of the next day",
        ("future_transaction_date",),
        {"transaction_date": pl.concat_str(_NEXT_DAY_TEXT, pl.lit("T14:00:00+02:00"))},
    ),
    _fault("no status", "invalid_status", status=""),
    _fault("an undeclared status", "invalid_status", status="returned"),
    _fault("two statuses", "invalid_status", status="pending/shipped"),
    # The uppercase form of the long s is S, but only ASCII letters are lowercased.
    _fault("a status with a long s", "invalid_status", status="\u017fhipped"),
    Variant(
        "transaction_id too long", ("value_too_long",), {"transaction_id": _padded("transaction_id", "", "x" * 53)}
    ),
    # 39 characters, but 66 bytes.
    Variant(
        "transaction_id too long in bytes",
        ("value_too_long",),
        {"transaction_id": _padded("transaction_id", "", "é" * 27)},
    ),
    _fault("customer_id too long in bytes", "unknown_customer", "value_too_long", customer_id="\U0001f6d2" * 17),
    _fault("product_id too long in bytes", "unknown_product", "value_too_long", product_id="商" * 22),
    _fault("status too long", "invalid_status", status="awaiting collection"),
    _fault("status too long in bytes", "invalid_status", status="livré à la porte"),
    _fault(
        "neither customer nor product known", "unknown_customer", "unknown_product", customer_id="C0", product_id="P0"
    ),
    _fault("no customer and no quantity", "missing_customer_id", "invalid_quantity", customer_id="", quantity=""),
    _fault("neither date nor status", "invalid_transaction_date", "invalid_status", transaction_date="-", status="-"),
    Variant(
        "the next day, and quantity zero",
        ("invalid_quantity", "future_transaction_date"),
        {"transaction_date": _NEXT_DAY_TEXT, "quantity": pl.lit("0"), "status": pl.lit("shipped")},
    ),
    _fault(
        "all values missing but the quantity, which is 0",
        "missing_transaction_id",
        "missing_customer_id",
        "missing_product_id",
        "invalid_quantity",
        "invalid_transaction_date",
        "invalid_status",
        # A record without any value is a blank line.
        **{**dict.fromkeys(CONTRACT_COLUMNS, ""), "quantity": "0"},
    ),
    _fault(
        "all values wrong",
        "unknown_customer",
        "unknown_product",
        "invalid_quantity",
        "invalid_transaction_date",
        "invalid_status",
        "value_too_long",
        transaction_id="T" * 65,
        customer_id="C" * 65,
        product_id="P" * 65,
        quantity="many",
        transaction_date="soon",
        status="lost in the warehouse",
    ),
)

VARIANTS = (PLAIN, *HISTORY_VARIANTS, *SPELLINGS, *FAULTS)
VARIANT_INDEX = {variant: index for index, variant in enumerate(VARIANTS)}
