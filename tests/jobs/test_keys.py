"""Which keys are drops, and the keys of everything that the pipeline writes about them."""

from __future__ import annotations

import hashlib
import re
import sys
import unicodedata
from datetime import date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.drops import (
    LONGEST_KEY_BYTES,
    Drop,
    DropKey,
    KeyOutsideLayout,
    drop_precedence,
    is_drop,
    is_not_a_drop,
    parse_key,
    transactions_key,
)
from schemas.sources import heading_key
from schemas.work_bucket import rejected_folder, rejected_key, rejected_part, report_key, staging_prefix
from tests import oracle
from tests.strategies.files import s3_keys, stray_keys

HEADING_KEYS = "79c37837ce48fee9180482bd682fc2a12488df01164cd72f086b72190b66872e"
"""SHA-256 of the keys of all code points."""


@given(s3_keys())
def test_a_key_inside_the_layout_gives_day_and_name(key: str) -> None:
    if "\n" in key:
        with pytest.raises(KeyOutsideLayout, match="has a character that cannot be seen"):
            parse_key(key)
        return
    oracles = oracle.Drop(bucket="b", key=key, version_id="v1", uploaded_at=datetime(2023, 3, 16))
    assert parse_key(key) == DropKey("transactions", key.rpartition("/")[2], oracles.partition_day)
    assert not is_not_a_drop(key) or key.rpartition("/")[2].startswith((".", "_"))
    drop = Drop("b", key, "v1")
    assert (drop.load_id, drop.uri) == (oracles.load_id, oracles.uri)


@pytest.mark.parametrize(
    "character",
    [
        *("\x00", "\t", "\n", "\r", "\x1b", "\x7f", "\x85", "\x9f"),
        *("\xad", "\u200b", "\u200d", "\u202e", "\u2066", "\ufeff", "\U000e0041"),
        *("\u2028", "\u2029", "\ud800", "\udcff"),
    ],
)
@pytest.mark.parametrize("where", ["{}a.csv", "a{}.csv", "a.csv{}"])
def test_an_unseen_character_in_a_key_is_refused_and_named(character: str, where: str) -> None:
    for folder in ("transactions/year=2023/month=03/day=15/", "dimensions/dim_products"):
        with pytest.raises(KeyOutsideLayout) as refused:
            parse_key(folder + where.format(character))
        assert f"cannot be seen (U+{ord(character):04X}); drop the file again under a name" in str(refused.value)
        assert str(refused.value).isprintable()


def test_every_python_sees_the_same_characters() -> None:
    """Glue's Python has Unicode 13 and the functions' Python a later one. Both must read the same keys."""
    numbers = range(sys.maxunicode + 1)
    refused = {number for number in numbers if not is_drop(f"dimensions/dim_products{chr(number)}.csv")} - {ord("/")}
    named = {"Cc", "Cf", "Zl", "Zp", "Cs"}
    of_this_python = {number for number in numbers if unicodedata.category(chr(number)) in named}
    assert of_this_python <= refused
    assert {unicodedata.category(chr(number)) for number in refused - of_this_python} <= {"Cn"}, "or unassigned"
    assert len(refused) == 2285, "as Unicode 15.1 has it"


def test_every_python_gives_a_heading_the_same_case() -> None:
    keys = "".join(heading_key(chr(number)) for number in range(sys.maxunicode + 1) if not 0xD800 <= number < 0xE000)
    assert hashlib.sha256(keys.encode()).hexdigest() == HEADING_KEYS
    assert heading_key("Größe_ÄÖ ΟΔΟΣ") == "größeäöοδος"


@pytest.mark.parametrize("letter", ["a", "é", "\U0001f600"])
@pytest.mark.parametrize("ending", [".csv", ".csv.gz"])
def test_the_longest_key_leaves_room_for_the_key_of_its_rejected_file(letter: str, ending: str) -> None:
    folder = "transactions/year=2023/month=03/day=15/"
    room = LONGEST_KEY_BYTES - len(folder) - len(ending)
    name = letter * (room // len(letter.encode())) + "b" * (room % len(letter.encode())) + ending
    assert len((folder + name).encode()) == LONGEST_KEY_BYTES
    assert parse_key(folder + name).file_name == name
    day, load_id = date(2023, 3, 15), "0" * 16
    part = rejected_folder(day, name, load_id) + rejected_part(day, load_id, 99_999)
    assert all(len(key.encode()) <= 1024 for key in (rejected_key(day, name, load_id), part))
    with pytest.raises(KeyOutsideLayout, match="is 961 bytes long, more than 960; drop the file again under a"):
        parse_key(folder + "b" + name)


@given(st.dates())
def test_the_key_of_a_day_is_read_as_that_day(day: date) -> None:
    key = transactions_key(day)
    assert parse_key(key) == DropKey("transactions", f"transactions_{day.isoformat()}.csv", day)
    parts = day.isoformat().split("-")
    assert key == "transactions/year={}/month={}/day={}/transactions_{}.csv".format(*parts, day.isoformat())


@given(stray_keys)
def test_a_key_outside_the_layout_is_refused_by_name(key: str) -> None:
    with pytest.raises(KeyOutsideLayout) as refused:
        parse_key(key)
    if "day=29" in key:
        assert str(refused.value) == (
            f"the key {key!r} names the day 2023-02-29, which is not in the calendar; "
            "drop the file again under its real day"
        )
    else:
        assert str(refused.value) == (
            f"the key {key!r} is outside the layout; drop transactions as "
            "transactions/year=YYYY/month=MM/day=DD/NAME.csv (or .csv.gz) and dimensions as "
            "dimensions/dim_products*.csv or dimensions/dim_customers*.csv"
        )


@pytest.mark.parametrize(
    ("key", "kind"),
    [
        ("dimensions/dim_products.csv", "dim_products"),
        ("dimensions/dim_products_2023-03.csv.gz", "dim_products"),
        ("dimensions/dim_customers;'--.csv", "dim_customers"),
    ],
)
def test_a_dimension_is_known_by_its_name(key: str, kind: str) -> None:
    assert parse_key(key) == DropKey(kind, key.rpartition("/")[2], None)


@pytest.mark.parametrize(
    ("key", "day", "name"),
    [
        ("transactions/year=2023/month=3/day=5/a.csv", date(2023, 3, 5), "a.csv"),
        ("transactions/year=2023/month=03/day=15/A.CSV", date(2023, 3, 15), "A.CSV"),
        ("transactions/year=2023/month=3/day=15/a.Csv.GZ", date(2023, 3, 15), "a.Csv.GZ"),
    ],
)
def test_a_day_without_zeros_and_an_ending_in_capitals_are_read(key: str, day: date, name: str) -> None:
    assert parse_key(key) == DropKey("transactions", name, day)


@pytest.mark.parametrize(
    "key", ["dimensions/", "dimensions/products.csv", "dimensions/a/dim_products.csv", "dim_products.csv"]
)
def test_another_key_is_no_dimension(key: str) -> None:
    with pytest.raises(KeyOutsideLayout):
        parse_key(key)


@pytest.mark.parametrize(
    ("key", "passed_over"),
    [
        ("transactions/", True),
        ("transactions/year=2023/month=03/day=15/", True),
        ("transactions/year=2023/month=03/day=15/_SUCCESS", True),
        ("transactions/year=2023/month=03/day=15/.a.csv", True),
        ("transactions/year=2023/month=03/day=15/a.csv.tmp", True),
        ("a.csv.part", True),
        ("", True),
        ("transactions/year=2023/month=03/day=15/a.csv", False),
        ("transactions/year=2023/month=03/day=15/a.csv.gz", False),
        ("transactions/year=2023/month=03/day=15/a.CSV", False),
        ("transactions/year=2023/month=03/day=15/_temporary/0/part-00000.csv", True),
        ("transactions/.spark-staging-1/year=2023/month=03/day=15/part-00000.csv", True),
        ("transactions/year=2023/month=03/day=15/.hidden/a.csv", True),
        ("__MACOSX/a.csv", True),
        ("transactions/year=2023/month=03/day=15/~$a.csv", True),
        ("transactions/year=2023/month=03/day=15/Thumbs.db", True),
        ("transactions/year=2023/month=03/day=15/desktop.ini", True),
        ("transactions/year=2023/month=03/day=15/.a.csv.crc", True),
        ("transactions/year=2023/month=03/day=15/a.csv.filepart", True),
        ("transactions/year=2023/month=03/day=15/a.csv.TMP", True),
        ("transactions/year=2023/month=03/day=15/a.csv.crdownload", True),
        ("transactions/year=2023/month=03/day=15_$folder$", True),
        ("transactions/year=2023/month=03/day=15/a_b.csv", False),
        ("transactions/year=2023/month=03/day=15/part-00000.csv", False),
        ("transactions/year=2023/month=03/day=15/part.csv", False),
        ("transactions/year=2023/month=03/day=15/thumbs.db.csv", False),
        ("transactions/a_b/c.d/a.csv", False),
        ("stray.txt", False),
    ],
)
def test_leftovers_are_passed_over_in_silence_and_strays_are_not(key: str, passed_over: bool) -> None:
    assert is_not_a_drop(key) is passed_over


@given(s3_keys(), st.integers(1, 99))
def test_the_keys_of_a_drop_differ_from_those_of_every_other_load(key: str, attempt: int) -> None:
    load_id, other = Drop("b", key, "v1").load_id, Drop("b", key, "v2").load_id
    assert re.fullmatch("[0-9a-f]{16}", load_id)
    assert load_id != other
    prefixes = [staging_prefix(load_id, attempt), staging_prefix(load_id, 10 * attempt), staging_prefix(other, attempt)]
    assert not any(prefix != shorter and prefix.startswith(shorter) for prefix in prefixes for shorter in prefixes)
    assert report_key(load_id, attempt) == f"reports/{load_id}/{attempt}.json"
    name = key.rpartition("/")[2]
    lies = rejected_key(date(2023, 3, 5), name, load_id)
    assert lies.startswith("rejected/year=2023/month=03/day=05/")
    assert lies.endswith(f".{load_id}.csv"), "the rejected file is plain CSV, whatever the drop was"
    assert lies.count("/") == 4


moments = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1)).map(
    lambda instant_utc: instant_utc.replace(microsecond=0)
)
parts = st.tuples(st.dates(), moments, st.sampled_from(("0" * 16, "f" * 16, "0123456789abcdef")))


@given(parts, parts, st.integers(-12, 12))
def test_drop_precedence_orders_as_its_parts_do(lower: tuple, upper: tuple, hours: int) -> None:  # type: ignore[type-arg]
    zone = timezone(timedelta(hours=hours))

    def text(part: tuple, zone: timezone) -> str:  # type: ignore[type-arg]
        day, instant_utc, load_id = part
        return drop_precedence(day, instant_utc.replace(tzinfo=timezone.utc).astimezone(zone), load_id)

    first, second = text(lower, timezone.utc).encode(), text(upper, zone).encode()
    assert (first < second, first == second) == (lower < upper, lower == upper)
    assert len(first) <= 64
