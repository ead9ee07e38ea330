"""Ids that a file speaks of more than once are found and settled exactly, however the file is cut."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import mock

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.csv.reader import open_source_file
from jobs.rows.duplicates import DuplicateCandidates, repeated_hashes
from jobs.rows.validation import latest
from tests.jobs.dry_run import small_pieces
from tests.jobs.judging import text_rows, transform
from tests.jobs.test_laws import KNOWING
from tests.oracle_files import SOURCE_COLUMNS, trim
from tests.strategies import hostile_texts, render, transactions

ids = st.one_of(st.sampled_from(("T1", " T1", "T1 ", "t1", "T2", "T2\u3000", "")), hostile_texts)
passes = st.sampled_from((1, 2, 5))


@given(st.lists(ids, max_size=12), passes)
def test_every_id_that_repeats_is_found_and_no_other(texts: Sequence[str], passes: int) -> None:
    row = dict.fromkeys(SOURCE_COLUMNS, "x")
    content = render([{**row, "transaction_id": text} for text in texts]).content
    with TemporaryDirectory() as folder, small_pieces(bytes_per_pass=1 + len(content) // passes):
        path = Path(folder) / "drop"
        path.write_bytes(content)
        source = open_source_file(path, name="day.csv", required=SOURCE_COLUMNS)
        repeated = repeated_hashes(source)
        read = pl.concat([chunk.select("transaction_id") for chunk in source.chunks()] or [pl.DataFrame()])
    assert repeated.is_unique().all()
    counts = Counter(trim(text) for text in texts if not set("\r\n\0") & set(trim(text)))
    due = {text for text, count in counts.items() if text and count > 1}
    if not due:
        return
    contested = DuplicateCandidates(repeated, Path())
    uncontested, set_aside = contested.split(read.with_columns(pl.col("transaction_id").str.strip_chars()).drop_nulls())
    found = Counter(set_aside.get_column("transaction_id").to_list())
    assert {text: found[text] for text in due} == {text: counts[text] for text in due}
    assert not due & set(uncontested.get_column("transaction_id"))


@pytest.mark.parametrize("collide", [False, True], ids=["hashes", "hashes that all collide"])
@given(rows=st.lists(transactions(faults=False), max_size=12), rows_per_pass=st.sampled_from((1, 2, 1000)))
def test_every_contested_id_has_its_one_winner(
    collide: bool, rows: Sequence[dict[str, str]], rows_per_pass: int
) -> None:
    """A collision of hashes does no harm: what is contested is settled by the id itself."""
    accepted = transform(**KNOWING)(text_rows(rows)).accepted
    expected = latest(accepted)
    colliding = pl.col("transaction_id").str.len_bytes().cast(pl.UInt64) * 0 + 7
    with TemporaryDirectory() as folder, small_pieces(rows_per_pass=rows_per_pass):
        hashed = accepted.select(pl.col("transaction_id").hash()).to_series()
        repeated = pl.Series([7], dtype=pl.UInt64) if collide else hashed.filter(hashed.is_duplicated()).unique()
        with (
            mock.patch("jobs.rows.duplicates._HASH", colliding)
            if collide
            else small_pieces(rows_per_pass=rows_per_pass)
        ):
            contested = DuplicateCandidates(repeated, Path(folder))
            won = []
            for number in range(0, accepted.height, 3):
                uncontested, set_aside = contested.split(accepted[number : number + 3])
                won.append(uncontested)
                contested.set_aside(set_aside, number)
            won.extend(contested.winners())
    found = pl.concat([accepted.clear(), *won]).sort("transaction_id")
    assert found.rows() == expected.sort("transaction_id").rows()
