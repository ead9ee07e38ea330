"""Reads a transaction_date: its instant in UTC, its day as written, and the latest day it may have.

By default it accepts ISO 8601 and every other form with one meaning (jobs/rows/date_forms.py). A source may declare
other formats instead: then those are tried in their order, and nothing else is a date. What lacks an offset is in the
source's time zone.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta

import polars as pl

from jobs.rows.date_forms import ISO_8601, OTHER_FORMS, alternatives
from jobs.rows.text import bare
from schemas.source_values import date_pattern
from schemas.sources import ISO

INSTANT_UTC = "instant_utc"
LOCAL_DATE = "local_date"
LATEST_DAY = "latest_day"
_DATES = {INSTANT_UTC: pl.Datetime("us"), LOCAL_DATE: pl.Date(), LATEST_DAY: pl.Date()}

_DAY = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
_CLOCK = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]"
_ISO_FORMS = {
    "%Y-%m-%dT%H:%M:%SZ": rf"^{_DAY}T{_CLOCK}:[0-5][0-9]Z$",
    "%Y-%m-%d %H:%M:%S": rf"^{_DAY} {_CLOCK}:[0-5][0-9]$",
    "%Y-%m-%d": rf"^{_DAY}$",
    "%Y-%m-%dT%H:%M:%S": rf"^{_DAY}T{_CLOCK}:[0-5][0-9]$",
}
"""Format -> pattern: Polars parses these several times faster, but leniently, so the pattern decides."""
_MONTHS = {
    name: str(month)
    for month, name in enumerate(
        ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"], 1
    )
}
_WEEKDAYS = {name: day for day, name in enumerate(["mon", "tue", "wed", "thu", "fri", "sat", "sun"], 1)}
_NUMBERS_ONLY = re.compile("(?:%[YmdHMS]|[^%])*")

_MICROSECONDS = 1_000_000
_YEAR_1 = -62_135_596_800 * _MICROSECONDS
_SAMPLE = 256
_SLICE = 20_000
_UTC = "UTC"
_BEHIND_UTC = timedelta(hours=12)
"""The offset of the zone on earth in which a day ends last."""


class TimestampReader:
    """Reads the timestamps of one source format."""

    def __init__(self, formats: Sequence[str] = (ISO,), time_zone: str = _UTC) -> None:
        """`formats` as a source declares them; `time_zone` is that of a timestamp without an offset."""
        self._time_zone = time_zone
        first, *others = (
            pattern
            for form in formats
            for pattern in ((ISO_8601, *OTHER_FORMS) if form == ISO else (date_pattern(form),))
        )
        self._first, self._others = first, others
        # Only a form that is declared first may be tried before the others.
        self._plain_forms = (
            _ISO_FORMS
            if formats[0] == ISO
            else {form: date_pattern(form) for form in formats[:1] if _NUMBERS_ONLY.fullmatch(form)}
        )

    def read(self, text: pl.Series) -> pl.DataFrame:
        """Columns INSTANT_UTC (UTC, microseconds), LOCAL_DATE, and LATEST_DAY; null where a text is no date.

        LATEST_DAY is compared with the day of the file. A shop's file holds the days of its
        own calendar, so without an offset it is the written day. With one it is the day of
        that moment in the source's time zone, or where none is declared in the zone on
        earth in which the day is the earliest.
        """
        return self._read_plain_forms(text, self._plain_forms)

    def _read_plain_forms(self, text: pl.Series, forms: Mapping[str, str]) -> pl.DataFrame:
        """Read the form of most of the file first; the few other texts are read separately, in the same way."""
        form = self._form_of(text.head(_SAMPLE), forms)
        if form is None:
            return self._read_any(text)
        is_plain = text.str.contains(forms[form])
        dates = self._read_plain(text, form)
        if is_plain.all():
            return dates
        remaining = {name: pattern for name, pattern in forms.items() if name != form}
        return _scattered(dates, ~is_plain, self._read_plain_forms(text.filter(~is_plain), remaining))

    @staticmethod
    def _form_of(sample: pl.Series, forms: Mapping[str, str]) -> str | None:
        """The form that most of the sample is written in; None where none is."""
        written = {form: sample.str.contains(pattern).sum() for form, pattern in forms.items()}
        form = max(written, key=lambda form: written[form], default=None)
        return form if form is not None and written[form] else None

    def _read_plain(self, text: pl.Series, form: str) -> pl.DataFrame:
        written = text.str.to_datetime(form, time_unit="us", strict=False, cache=False)
        is_local = not form.endswith("Z")
        dates = self._as_read(written, written, is_local=is_local)
        # Four digits cannot be too late, and hardly ever are too early.
        return _in_range(dates) if (dates.get_column(INSTANT_UTC).to_physical() < _YEAR_1).any() else dates

    def _as_read(self, local: pl.Series, instant_utc: pl.Series, *, is_local: bool) -> pl.DataFrame:
        """`local` is the written clock time; `instant_utc` the moment, where there is an offset."""
        day = local.dt.date()
        if is_local:
            moment = self._to_utc(local)
            if self._time_zone != _UTC:
                day = day.set(moment.is_null(), None)
            return pl.DataFrame([moment.alias(INSTANT_UTC), day.alias(LOCAL_DATE), day.alias(LATEST_DAY)])
        if self._time_zone == _UTC:
            latest = (instant_utc - _BEHIND_UTC).dt.date()
        else:
            latest = instant_utc.dt.replace_time_zone(_UTC).dt.convert_time_zone(self._time_zone).dt.date()
        return pl.DataFrame([instant_utc.alias(INSTANT_UTC), day.alias(LOCAL_DATE), latest.alias(LATEST_DAY)])

    def _to_utc(self, local: pl.Series) -> pl.Series:
        """The first reading of an hour that occurs twice; null for an hour that does not occur."""
        if self._time_zone == _UTC:
            return local
        zoned = local.dt.replace_time_zone(self._time_zone, ambiguous="earliest", non_existent="null")
        return zoned.dt.convert_time_zone(_UTC).dt.replace_time_zone(None)

    def _read_any(self, text: pl.Series) -> pl.DataFrame:
        """As `read`, for every form."""
        cleaned = bare(text)
        dates = self._read_form(cleaned, self._first)
        unread = dates.get_column(INSTANT_UTC).is_null() & cleaned.is_not_null()
        if not (self._others and unread.any()):
            return dates
        # Some at a time: each form has a column of its own while it is told which texts are written in it.
        pieces = cleaned.filter(unread).to_frame().iter_slices(_SLICE)
        others = pl.concat([self._read_in_order(piece.to_series(), self._others) for piece in pieces], rechunk=True)
        return _scattered(dates, unread, others)

    def _read_in_order(self, text: pl.Series, forms: Sequence[str]) -> pl.DataFrame:
        """Read each text by the first of the forms in which it is a date."""
        dates = pl.DataFrame(schema=_DATES).clear(text.len())
        # One pattern tells which forms occur. Polars keeps 32 patterns compiled, and the forms alone are 20.
        for place, written in enumerate(text.str.extract_groups(alternatives(forms)).struct.unnest()):
            is_written, later = written.is_not_null(), forms[place + 1 :]
            if not is_written.any():
                continue
            some = text.filter(is_written)
            read = self._read_form(some, forms[place])
            unread = read.get_column(INSTANT_UTC).is_null()
            if later and unread.any():
                read = _scattered(read, unread, self._read_in_order(some.filter(unread), later))
            dates = _scattered(dates, is_written, read)
        return dates

    def _read_form(self, text: pl.Series, pattern: str) -> pl.DataFrame:
        """Each part of a date is a group of the pattern, named as strptime names it."""
        parts = text.str.extract_groups(pattern).struct.unnest()
        written = parts.select(_clock_time(parts.columns).alias("local")).to_series()
        if "z" not in parts.columns:
            return _in_range(self._as_read(written, written, is_local=True))
        zone = parts.get_column("z")
        has_offset = zone.is_not_null()
        zoned = self._as_read(written, written - _offset(zone), is_local=False)
        local = self._as_read(written, written, is_local=True)
        return _in_range(
            pl.DataFrame([with_zone.zip_with(has_offset, without) for with_zone, without in zip(zoned, local)])
        )


def _clock_time(parts: Collection[str]) -> pl.Expr:
    """The date and time as written, without its offset; null where there is no such day."""
    # Not pl.format: Polars 1.36 panics in it where a column's first chunk is empty.
    day = pl.concat_str(_year(parts), _month(parts).str.zfill(2), pl.col("d").str.zfill(2), separator="-")
    date = day.str.to_date("%Y-%m-%d", strict=False)
    if "a" in parts:
        weekday = pl.col("a").str.slice(0, 3).str.to_lowercase().replace_strict(_WEEKDAYS, default=None)
        date = pl.when(weekday.is_null() | (weekday == date.dt.weekday())).then(date)
    seconds = (_hour(parts) * 60 + _number("M", parts)) * 60 + _number("S", parts)
    moment = date.cast(pl.Datetime("us")).to_physical() + seconds * _MICROSECONDS
    if "f" in parts:
        moment += pl.col("f").str.slice(0, 6).str.pad_end(6, "0").cast(pl.Int64).fill_null(0)
    return moment.cast(pl.Datetime("us"))


def _year(parts: Collection[str]) -> pl.Expr:
    if "Y" in parts:
        return pl.col("Y")
    short = _number("y", parts)
    return (short + pl.when(short < 69).then(2000).otherwise(1900)).cast(pl.String)


def _month(parts: Collection[str]) -> pl.Expr:
    for name in {"b", "B"} & set(parts):
        return pl.col(name).str.slice(0, 3).str.to_lowercase().replace_strict(_MONTHS, default=None)
    return pl.col("m")


def _hour(parts: Collection[str]) -> pl.Expr:
    if "I" not in parts:
        return _number("H", parts)
    half = pl.when(pl.col("p").str.contains("^[Pp]")).then(12).otherwise(0)
    return _number("I", parts) % 12 + half


def _number(name: str, parts: Collection[str]) -> pl.Expr:
    return pl.col(name).cast(pl.Int64).fill_null(0) if name in parts else pl.lit(0)


def _offset(zone: pl.Series) -> pl.Series:
    """The offset of `±H`, `±HH`, `±HHMM` or `±HH:MM`, after a word or not; zero for a word alone."""
    parts = zone.str.extract_groups("(?P<sign>[+−-])(?P<hours>[0-9]{1,2}):?(?P<minutes>[0-9]{2})?$").struct.unnest()
    minutes = pl.col("hours").cast(pl.Int64) * 60 + pl.col("minutes").cast(pl.Int64).fill_null(0)
    signed = pl.when(pl.col("sign") == "+").then(minutes).otherwise(-minutes)
    return parts.select(pl.duration(minutes=signed.fill_null(0), time_unit="us")).to_series()


def _scattered(dates: pl.DataFrame, where: pl.Series, others: pl.DataFrame) -> pl.DataFrame:
    """The dates with the others in the places that are true."""
    places = where.arg_true()
    return pl.DataFrame([column.scatter(places, other) for column, other in zip(dates, others)])


def _in_range(dates: pl.DataFrame) -> pl.DataFrame:
    is_in_range = pl.col(INSTANT_UTC).dt.year().is_between(1, 9999)
    return dates.select(pl.when(is_in_range).then(pl.all()))
