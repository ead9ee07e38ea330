"""How a transaction_date is read, compared with the oracle and with dates worked out by hand."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from unittest import mock

import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from jobs.rows.timestamps import INSTANT_UTC, LATEST_DAY, LOCAL_DATE, TimestampReader
from schemas.source_values import date_format
from tests.oracle import values as oracle_values
from tests.strategies.hostile_content import HOSTILE_TEXTS
from tests.strategies.rows import TIMES, hostile_texts, transaction_dates

digits = st.one_of(st.integers(0, 99), st.integers(0, 12)).map("{:02}".format)
shaped = st.builds(
    "{0}{4}{1}{4}{2}{3}".format,
    st.one_of(st.integers(0, 9999), st.sampled_from((0, 1, 2000, 9999))).map("{:04}".format),
    st.integers(0, 13).map("{:02}".format),
    st.integers(0, 32).map("{:02}".format),
    st.one_of(
        st.sampled_from(TIMES),
        st.builds(
            "{}{}:{}{}{}{}{}".format,
            st.sampled_from(("T", " ", "t", "  ", "\xa0")),
            digits,
            digits,
            *(
                st.sampled_from(parts)
                for parts in (
                    ("", ":00", ":59", ":60", ":00.5", ":00,123456", ":00.123456789", ":00."),
                    ("", "", "", " AM", "pm", " P.M."),
                    ("", "Z", "z", "+00:00", "-00:01", "+23:59", "-24:00", "+01:60", "+0100", "+1:00", " UTC", " +02"),
                    ("", "", "", "[UTC]", "[]"),
                )
            ),
        ),
    ),
    st.sampled_from("--/."),
)
"""Texts that look like a date. Most are slightly wrong."""

joined = st.builds(
    "{}{}{}{}".format,
    *(
        st.sampled_from(parts)
        for parts in (
            (
                *("2023-03-15", "2023/3/5", "20230315", "2023031", "230315", "20231503", "20030229", "2023-0315"),
                *(
                    "15 Mar 2023",
                    "15-MAR-2023",
                    "15. march 2023",
                    "1/Sept/2023",
                    "31 Feb 2023",
                    "15 Mar 23",
                    "15 März 2023",
                ),
                *("Mar 15, 2023", "March 15 2023", "Sept. 1,2023", "Marc 15, 2023", "Mar 15 2023,", "15 Mar2023"),
                *(
                    "Wed, 15 Mar 2023",
                    "Wednesday 15 March 2023",
                    "Tue Mar 14 2023",
                    "Tue, 15 Mar 2023",
                    "Mi, 15 Mar 2023",
                ),
            ),
            ("", " ", ", ", "T", "t", "  ", "-", ",", " at "),
            (
                *("", "10:20", "9:05", "10:20:30.5", "1020", "102030", "102030,25", "905", "2460", "10", "9", "25"),
                *(
                    "10 PM",
                    "9 am",
                    "9:05 p.m.",
                    "10:20:30 p. m.",
                    "12AM",
                    "13 PM",
                    "0 AM",
                    "10.20.30",
                    "10.20.30.123456",
                ),
            ),
            (
                *("", "Z", " z", "+1", "+01", "+1:00", "+0100", "+01:00", "+100", "+1:60", " +24", "-05", " −5:30"),
                *(" UTC", "GMT+1", " UTC+01:00", "utc-0530", " UTC +1", " CET", "+1[Europe/Berlin]", "Z (UTC)"),
                *(" GMT+0100 (Central European Standard Time)", " (CET)", "+1()"),
            ),
        )
    ),
)
"""A day, a time and an offset in all their forms, and in some that are none."""


def read(texts: Sequence[str | None], formats: Sequence[str] = ("iso",), time_zone: str = "UTC") -> pl.DataFrame:
    return TimestampReader(formats, time_zone).read(pl.Series("transaction_date", texts, dtype=pl.String))


def moments(texts: Sequence[str], formats: Sequence[str] = ("iso",), time_zone: str = "UTC") -> list[datetime | None]:
    return read(texts, formats, time_zone).get_column(INSTANT_UTC).to_list()


@given(st.lists(st.one_of(transaction_dates(), shaped, joined, hostile_texts), max_size=30))
@example(["0001-01-01T00:00Z"])
def test_every_text_is_read_as_the_oracle_reads_it(texts: Sequence[str]) -> None:
    """Whole columns are read at a time, as in the job: one odd text must not change how others are read."""
    expected = [oracle_values.read_transaction_date(text) for text in texts]
    actual = read(texts)
    assert actual.get_column(INSTANT_UTC).to_list() == expected
    days = [oracle_values.written_day(text) if moment else None for text, moment in zip(texts, expected)]
    assert actual.get_column(LOCAL_DATE).to_list() == days
    # Python has no year 0, in which the day before 0001-01-01 is.
    latest_days = actual.select(pl.when(pl.col(LATEST_DAY).dt.year() >= 1).then(LATEST_DAY)).to_series()
    for text, moment, latest in zip(texts, expected, latest_days):
        if moment is not None and datetime(1, 1, 2) < moment < datetime(9999, 12, 30):
            assert not oracle_values.is_future(text, latest)
            assert oracle_values.is_future(text, latest - timedelta(days=1))


def test_every_hostile_text_is_read_as_the_oracle_reads_it() -> None:
    actual = moments(HOSTILE_TEXTS)
    assert actual == [oracle_values.read_transaction_date(text) for text in HOSTILE_TEXTS]
    assert sum(moment is not None for moment in actual) >= 6


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2023-03-15", datetime(2023, 3, 15)),
        ("2023-03-15T10:20", datetime(2023, 3, 15, 10, 20)),
        ("2023-03-15 10:20:30.5Z", datetime(2023, 3, 15, 10, 20, 30, 500000)),
        ("2023-03-15T01:30+02:00", datetime(2023, 3, 14, 23, 30)),
        ("2023-03-15 03:50:26 -0400", datetime(2023, 3, 15, 7, 50, 26)),
        ("2023-03-15T10:00:00+02", datetime(2023, 3, 15, 8)),
        ("2023-03-15 10:00:00 UTC", datetime(2023, 3, 15, 10)),
        ("2023-03-15 10:00:00 GMT", datetime(2023, 3, 15, 10)),
        ("2023-03-15T09:00:00.1234567", datetime(2023, 3, 15, 9, 0, 0, 123456)),
        ("2023-03-15 09:00:00,999999999Z", datetime(2023, 3, 15, 9, 0, 0, 999999)),
        ("2023-03-15T23:59:59.999999-23:59", datetime(2023, 3, 16, 23, 58, 59, 999999)),
        ("0001-01-01", datetime(1, 1, 1)),
        ("0001-01-01T00:00+00:01", None),
        ("9999-12-31T23:59:59.999999Z", datetime(9999, 12, 31, 23, 59, 59, 999999)),
        ("9999-12-31T23:59-00:01", None),
        ("1582-10-10", datetime(1582, 10, 10)),
        ("2023-02-29", None),
        ("0000-00-00", None),
        ("15/03/2023", None),
        ("45000", None),
        ("2023-03-15T24:00", None),
        ("2023-03-15 10:00 PM", datetime(2023, 3, 15, 22)),
        ("2023-03-15 12:05:00 am", datetime(2023, 3, 15, 0, 5)),
        ("2023-03-15 09:30:00.5 PM +0200", datetime(2023, 3, 15, 19, 30, 0, 500000)),
        ("2023-03-15 13:00 PM", None),
        ("2023-03-15 0:30 AM", None),
        ("2023/3/5 9:05", datetime(2023, 3, 5, 9, 5)),
        ("2023.03.15", datetime(2023, 3, 15)),
        ("2023/15/03", None),
        ("2023-03-15 \u202f10:00:00", datetime(2023, 3, 15, 10)),
        ("2023-03-15T10:00:00+01:00[Europe/Berlin]", datetime(2023, 3, 15, 9)),
        ("2023-03-15 10:00:00 \u221205:00", datetime(2023, 3, 15, 15)),
        ("2023-03-15T10:00[Europe/Berlin]", None),
        ("20230315", datetime(2023, 3, 15)),
        ("20230315T102030Z", datetime(2023, 3, 15, 10, 20, 30)),
        ("20230315T1020+0200", datetime(2023, 3, 15, 8, 20)),
        ("20230315 10:20:30,25", datetime(2023, 3, 15, 10, 20, 30, 250000)),
        ("2023-03-15 102030", datetime(2023, 3, 15, 10, 20, 30)),
        ("20230315102030", datetime(2023, 3, 15, 10, 20, 30)),
        ("20230315102030.1234567", datetime(2023, 3, 15, 10, 20, 30, 123456)),
        ("20230315102030Z", datetime(2023, 3, 15, 10, 20, 30)),
        ("2023-03-15-10.20.30.123456", datetime(2023, 3, 15, 10, 20, 30, 123456)),
        ("2023-03-15 10 PM", datetime(2023, 3, 15, 22)),
        ("2023-03-15 12am", datetime(2023, 3, 15)),
        ("2023-03-15, 10:20:30 p.m.", datetime(2023, 3, 15, 22, 20, 30)),
        ("2023-03-15 10:20 p.\xa0m.", datetime(2023, 3, 15, 22, 20)),
        ("2023-03-15T10", datetime(2023, 3, 15, 10)),
        ("2023-03-15T10Z", datetime(2023, 3, 15, 10)),
        ("2023-03-15 10:00 UTC+01:00", datetime(2023, 3, 15, 9)),
        ("2023-03-15 10:00 GMT+1", datetime(2023, 3, 15, 9)),
        ("2023-03-15 10:00:00 -3:30", datetime(2023, 3, 15, 13, 30)),
        ("15 Mar 2023", datetime(2023, 3, 15)),
        ("15-MAR-2023 10:20:30", datetime(2023, 3, 15, 10, 20, 30)),
        ("March 15, 2023, 10:20 PM", datetime(2023, 3, 15, 22, 20)),
        ("Sept. 1, 2023", datetime(2023, 9, 1)),
        ("Wed, 15 Mar 2023 10:20:30 +0100", datetime(2023, 3, 15, 9, 20, 30)),
        ("Wed Mar 15 2023 10:20:30 GMT+0100 (Central European Standard Time)", datetime(2023, 3, 15, 9, 20, 30)),
        ("15. Mar 2023 at 10:20", datetime(2023, 3, 15, 10, 20)),
        ("Mar 15, 2023 at 10:20 PM", datetime(2023, 3, 15, 22, 20)),
        # Another day of the week than that of the date.
        ("Thu, 15 Mar 2023", None),
        # Two meanings: day or month first, which century, an hour ahead or ten, which zone.
        ("15 Mar 23", None),
        ("201203101112", None),
        ("2023-03-15 10-05", None),
        ("2023-03-15 10:00 +100", None),
        ("2023-03-15 10:00 CST", None),
        # A time that was cut off.
        ("2023-03-15 1", None),
        ("2023-03-15 10:2", None),
        ("2023-W11-3", None),
        ("2023-074", None),
        ("2023-03-15 10:00:60", None),
        ("2023-03-15 10:00:00 CET", None),
        ("٢٠٢٣-03-15", None),
        ("\n2023-03-15 10:20:30\u3000", datetime(2023, 3, 15, 10, 20, 30)),
        ("2023-03-15\u200b", datetime(2023, 3, 15)),
    ],
)
def test_a_date_is_iso_8601_and_stored_in_utc(text: str, moment: datetime | None) -> None:
    assert moments([text]) == [moment]


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_dates_in_many_forms_are_read_some_at_a_time(size: int) -> None:
    texts = ["20230315 10:15", "no date", "15 Mar 2023", "20230230", "March 15, 2023 10 PM", "2023-03-15", "20230316"]
    with mock.patch("jobs.rows.timestamps._SLICE", size):
        days = TimestampReader().read(pl.Series(texts)).get_column(LOCAL_DATE).to_list()
    day = date(2023, 3, 15)
    assert days == [day, None, day, None, day, day, date(2023, 3, 16)]


def test_no_texts_are_no_dates() -> None:
    assert read([]).height == 0
    assert read([None]).rows() == [(None, None, None)]


@pytest.mark.parametrize("repeats", [1, 300], ids=["alone", "the form of the file"])
@pytest.mark.parametrize(
    ("form", "text", "moment"),
    [
        ("%d.%m.%Y %H:%M", "05.3.2023 9:05", datetime(2023, 3, 5, 9, 5)),
        ("%m/%d/%Y", "03/05/2023", datetime(2023, 3, 5)),
        ("%m/%d/%Y", "15/03/2023", None),
        ("%d/%m/%y %I:%M %p", "15/03/23 12:05 am", datetime(2023, 3, 15, 0, 5)),
        ("%d/%m/%y %I:%M %p", "15/03/23 12:05 PM", datetime(2023, 3, 15, 12, 5)),
        ("%d %b %Y", "15 mar 2023", datetime(2023, 3, 15)),
        ("%B %d, %Y", "December 1, 1999", datetime(1999, 12, 1)),
        ("%Y%m%d%H%M%S", "20230315102030", datetime(2023, 3, 15, 10, 20, 30)),
        ("%Y-%m-%dT%H:%M:%S.%f%z", "2023-03-15T10:20:30.1234567+0200", datetime(2023, 3, 15, 8, 20, 30, 123456)),
        ("%d.%m.%Y", "31.02.2023", None),
        ("%d.%m.%Y", "2023-03-15", None),
        ("%d.%m.%Y", "15.03.23", None),
        ("iso", "2023-03-15", datetime(2023, 3, 15)),
    ],
)
def test_a_declared_format_is_the_only_one(form: str, text: str, moment: datetime | None, repeats: int) -> None:
    assert form == "iso" or date_format(form) == form
    assert moments([text] * repeats, [form]) == [moment] * repeats


def test_declared_formats_are_tried_in_their_order() -> None:
    texts = ["01/02/2023", "13/02/2023", "02/13/2023", "2023-02-13"]
    day_first = [datetime(2023, 2, 1), datetime(2023, 2, 13), datetime(2023, 2, 13), None]
    assert moments(texts, ["%d/%m/%Y", "%m/%d/%Y"]) == day_first
    assert moments(texts, ["%m/%d/%Y", "%d/%m/%Y"]) == [datetime(2023, 1, 2), *day_first[1:]]
    assert moments(texts, ["%m/%d/%Y", "iso"])[3] == datetime(2023, 2, 13)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2023-03-15 10:00:00", datetime(2023, 3, 15, 9)),
        ("2023-07-15", datetime(2023, 7, 14, 22)),
        ("2023-07-15T10:00:00Z", datetime(2023, 7, 15, 10)),
        ("2023-10-29 02:30:00", datetime(2023, 10, 29, 0, 30)),  # occurs twice that night: the first one counts
        ("2023-03-26 02:30:00", None),  # does not occur that night
    ],
)
def test_a_time_without_an_offset_is_in_the_zone_of_the_source(text: str, moment: datetime | None) -> None:
    assert moments([text], time_zone="Europe/Berlin") == [moment]
    assert moments([text, "2023-07-15T10:00:00.5Z"], time_zone="Europe/Berlin")[0] == moment


@pytest.mark.parametrize(
    ("time_zone", "text", "latest"),
    [
        ("UTC", "2023-03-16T01:15:00Z", date(2023, 3, 15)),
        ("UTC", "2023-03-16T12:00:00Z", date(2023, 3, 16)),
        ("UTC", "2023-03-16T01:15:00", date(2023, 3, 16)),
        ("America/New_York", "2023-03-16T03:59:00Z", date(2023, 3, 15)),
        ("America/New_York", "2023-03-16T04:00:00Z", date(2023, 3, 16)),
        ("Asia/Tokyo", "2023-03-15 15:00 +0000", date(2023, 3, 16)),
    ],
)
def test_with_an_offset_the_day_is_that_of_the_shop(time_zone: str, text: str, latest: date) -> None:
    assert read([text], time_zone=time_zone).get_column(LATEST_DAY).to_list() == [latest]
