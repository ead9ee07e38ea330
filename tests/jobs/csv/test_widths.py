"""A row with too few or too many values is malformed, and no other is: also where rows make up for each other.

Polars pads a short row and cuts a long one without a word.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from jobs.csv.reader import open_source_file
from tests.oracle.text import SOURCE_COLUMNS

WIDTH = len(SOURCE_COLUMNS)
SOUND = ",".join("abcdef")

rows = st.lists(st.sampled_from(["", "a", "bc"]), min_size=1, max_size=WIDTH + 6).map(",".join)
line_ends = st.sampled_from(["\n", "\r\n"])


def _made_up_for() -> list[tuple[str, str]]:
    """Rows behind 24 lines that end otherwise: where the first of them would be, a longer one has the same text."""
    without_last = "a,b,c,d,e,"
    long = f"{SOUND},{without_last}"
    return [*[(SOUND, "\n")] * 23, *((text, "\r\n") for text in (without_last, long, f"{SOUND},{'x' * 12}"))]


@given(st.lists(st.tuples(rows, line_ends), max_size=12), st.booleans())
@example([(f"{SOUND},g", "\n")], False)
@example([("a", "\n"), (f"{SOUND},a,,,", "\n")], False)
@example([(f"{SOUND},,,,,", "\n"), ("a", "\n")], False)
@example([(f"{SOUND},", "\n"), ("a,b,c,d,", "\n"), ("a,b,c,d,e,", "\n")], False)
@example([(f"{SOUND},a,,,,,", "\n"), ("a", "\n"), ("a", "\n")], False)
@example(_made_up_for(), True)
def test_only_rows_of_another_width_are_malformed(lines: list[tuple[str, str]], is_mixed: bool) -> None:
    ended = [(text, end if is_mixed else "\n") for text, end in lines]
    with TemporaryDirectory() as folder:
        path = Path(folder) / "drop"
        text = "".join(text + end for text, end in [(",".join(SOURCE_COLUMNS), "\n"), (SOUND, "\n"), *ended])
        path.write_bytes(text.encode())
        source = open_source_file(path, name="day.csv", required=SOURCE_COLUMNS)
        flags = [row for chunk in source.chunks() for row in chunk.select("source_line", "is_malformed").rows()]
    expected = [(at, len(row.split(",")) != WIDTH) for at, (row, _) in enumerate(lines, start=3) if row.strip(",")]
    assert flags == [(2, False), *expected]


@pytest.mark.parametrize("empty", [1, 3_000], ids=["a few", "many"])
def test_an_empty_last_value_is_no_missing_one(tmp_path: Path, empty: int) -> None:
    path = tmp_path / "drop"
    lines = [",".join(SOURCE_COLUMNS), SOUND, *["a,b,c,d,e,"] * empty, "a,b,c,d,e", f"{SOUND},"]
    path.write_text("\n".join(lines))
    source = open_source_file(path, name="day.csv", required=SOURCE_COLUMNS)
    malformed = [flag for chunk in source.chunks() for flag in chunk.get_column("is_malformed")]
    assert malformed == [False] * (empty + 1) + [True, True]
