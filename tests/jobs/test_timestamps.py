"""The one reading of a transaction_date, against the oracle's and against dates worked out by hand."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.rows.timestamps import read_timestamps
from tests import oracle
from tests.hostile_content import HOSTILE_TEXTS
from tests.oracle_files import trim
from tests.strategies import TIMES, hostile_texts, transaction_dates

digits = st.integers(0, 99).map("{:02}".format)
shaped = st.builds(
    "{}-{}-{}{}".format,
    st.one_of(st.integers(0, 9999), st.sampled_from((0, 1, 2000, 9999))).map("{:04}".format),
    st.integers(0, 13).map("{:02}".format),
    st.integers(0, 32).map("{:02}".format),
    st.one_of(
        st.sampled_from(TIMES),
        st.builds(
            "{}{}:{}{}{}".format,
            st.sampled_from("T t"),
            digits,
            digits,
            *(
                st.sampled_from(parts)
                for parts in (
                    ("", ":00", ":59", ":60", ":00.5", ":00.123456", ":00.1234567", ":00."),
                    ("", "Z", "z", "+00:00", "-00:01", "+23:59", "-24:00", "+01:60", "+0100", "+1:00"),
                )
            ),
        ),
    ),
)
"""Texts that look like a date, most of them wrong by a little."""


@given(st.lists(st.one_of(transaction_dates(), shaped, shaped, hostile_texts), max_size=30))
def test_every_text_is_read_as_the_oracle_reads_it(texts: Sequence[str]) -> None:
    """32. Whole columns at a time, as the job reads them: one odd text must not change how others are read."""
    moments = [oracle.read_transaction_date(trim(text)) for text in texts]
    found = read_timestamps(pl.Series("transaction_date", texts, dtype=pl.String))
    assert found.get_column("instant_utc").to_list() == moments
    days = [date.fromisoformat(trim(text)[:10]) if instant_utc else None for text, instant_utc in zip(texts, moments)]
    assert found.get_column("local_date").to_list() == days


def test_every_hostile_text_is_read_as_the_oracle_reads_it() -> None:
    found = read_timestamps(pl.Series(HOSTILE_TEXTS)).get_column("instant_utc").to_list()
    assert found == [oracle.read_transaction_date(trim(text)) for text in HOSTILE_TEXTS]
    assert sum(instant_utc is not None for instant_utc in found) >= 6


@pytest.mark.parametrize(
    ("text", "instant_utc"),
    [
        ("2023-03-15", datetime(2023, 3, 15)),
        ("2023-03-15T10:20", datetime(2023, 3, 15, 10, 20)),
        ("2023-03-15 10:20:30.5Z", datetime(2023, 3, 15, 10, 20, 30, 500000)),
        ("2023-03-15T01:30+02:00", datetime(2023, 3, 14, 23, 30)),
        ("2023-03-15T23:59:59.999999-23:59", datetime(2023, 3, 16, 23, 58, 59, 999999)),
        ("0001-01-01", datetime(1, 1, 1)),
        ("0001-01-01T00:00+00:01", None),
        ("9999-12-31T23:59:59.999999Z", datetime(9999, 12, 31, 23, 59, 59, 999999)),
        ("9999-12-31T23:59-00:01", None),
        ("1582-10-10", datetime(1582, 10, 10)),
        ("2023-02-29", None),
        ("15/03/2023", None),
        ("45000", None),
        ("2023-03-15T24:00", None),
        ("٢٠٢٣-03-15", None),
        ("\n2023-03-15 10:20:30\u3000", datetime(2023, 3, 15, 10, 20, 30)),
        ("2023-03-15\u200b", None),
    ],
)
def test_a_date_is_iso_8601_and_stands_in_utc(text: str, instant_utc: datetime | None) -> None:
    """32."""
    assert read_timestamps(pl.Series([text])).get_column("instant_utc").to_list() == [instant_utc]


def test_no_texts_are_no_dates() -> None:
    assert read_timestamps(pl.Series([], dtype=pl.String)).height == 0
    assert read_timestamps(pl.Series([None], dtype=pl.String)).rows() == [(None, None)]
