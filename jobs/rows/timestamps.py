"""The one reading of a transaction_date.

ISO 8601 and nothing else: `YYYY-MM-DD`, then optionally `T` or a space with `HH:MM`,
`HH:MM:SS` or `HH:MM:SS.ffffff`, then optionally `Z` or `±HH:MM`. Without a zone it is UTC.
"""

from __future__ import annotations

import polars as pl

_DAY = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
_CLOCK = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]"
_PLAIN_FORMS = {
    "%Y-%m-%dT%H:%M:%SZ": rf"^{_DAY}T{_CLOCK}:[0-5][0-9]Z$",
    "%Y-%m-%d %H:%M:%S": rf"^{_DAY} {_CLOCK}:[0-5][0-9]$",
    "%Y-%m-%d": rf"^{_DAY}$",
    "%Y-%m-%dT%H:%M:%S": rf"^{_DAY}T{_CLOCK}:[0-5][0-9]$",
}
"""Format -> pattern: Polars parses these several times faster, but leniently, so the pattern decides."""
_ISO_8601 = (
    rf"^(?<day>{_DAY})"
    rf"(?:[T ](?<clock>{_CLOCK})(?::(?<seconds>[0-5][0-9])(?:\.(?<fraction>[0-9]{{1,6}}))?)?"
    rf"(?:Z|(?<sign>[+-])(?<zone>(?:[01][0-9]|2[0-3]):[0-5][0-9]))?)?$"
)
_MICROSECONDS = 1_000_000
_YEAR_1 = -62_135_596_800 * _MICROSECONDS
_SAMPLE = 256


def read_timestamps(text: pl.Series) -> pl.DataFrame:
    """Columns `instant_utc` (UTC, microseconds) and `local_date` (the calendar day as written).

    Both are null where the trimmed text is not a date. A shop's file holds the days of
    its own calendar, so it is the written day that is compared with the day of the file.
    """
    form = _form_of(text.head(_SAMPLE))
    if form is None:
        return _read_any(text)
    is_unquoted = text.str.contains(_PLAIN_FORMS[form]).fill_null(False)
    # A file is written in one form nearly throughout; the few others are read apart.
    return _read_plain(text, form) if is_unquoted.all() else _read_apart(text, is_unquoted, form)


def _form_of(sample: pl.Series) -> str | None:
    """The plain form that most of the sample is written in; None where none is."""
    written = {form: sample.str.contains(pattern).sum() for form, pattern in _PLAIN_FORMS.items()}
    form = max(written, key=lambda form: written[form])
    return form if written[form] else None


def _read_plain(text: pl.Series, form: str) -> pl.DataFrame:
    instant_utc = text.str.to_datetime(form, time_unit="us", strict=False, cache=False)
    found = pl.DataFrame([instant_utc.alias("instant_utc"), instant_utc.dt.date().alias("local_date")])
    # Four digits cannot be too late, and hardly ever are too early.
    return _in_range(found) if (instant_utc.to_physical() < _YEAR_1).any() else found


def _read_apart(text: pl.Series, is_unquoted: pl.Series, form: str) -> pl.DataFrame:
    found, others = _read_plain(text, form), _read_any(text.filter(~is_unquoted))
    where = (~is_unquoted).arg_true()
    return pl.DataFrame([found.get_column(name).scatter(where, others.get_column(name)) for name in found.columns])


def _read_any(text: pl.Series) -> pl.DataFrame:
    """As read_timestamps, for every form."""
    parts = text.str.strip_chars().str.extract_groups(_ISO_8601).struct.unnest()
    day = pl.col("day").str.to_date("%Y-%m-%d", strict=False)
    shift = _minutes("zone") * 60 * _MICROSECONDS
    instant_utc = (
        day.cast(pl.Datetime("us")).to_physical()
        + (_minutes("clock") * 60 + _number("seconds")) * _MICROSECONDS
        + _number(pl.col("fraction").str.pad_end(6, "0"))
        - pl.when(pl.col("sign") == "-").then(-shift).otherwise(shift)
    )
    return _in_range(parts.select(instant_utc.cast(pl.Datetime("us")).alias("instant_utc"), day.alias("local_date")))


def _in_range(found: pl.DataFrame) -> pl.DataFrame:
    is_in_range = pl.col("instant_utc").dt.year().is_between(1, 9999)
    return found.select(pl.when(is_in_range).then(pl.all()))


def _minutes(name: str) -> pl.Expr:
    """Of `HH:MM`; 0 where there is none."""
    return _number(pl.col(name).str.slice(0, 2)) * 60 + _number(pl.col(name).str.slice(3, 2))


def _number(digits: pl.Expr | str) -> pl.Expr:
    expression = pl.col(digits) if isinstance(digits, str) else digits
    return expression.cast(pl.Int64).fill_null(0)
