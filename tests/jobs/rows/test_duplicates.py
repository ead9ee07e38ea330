"""Ids that occur in several rows of a file are found and settled exactly, wherever the file is cut."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import permutations
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any
from unittest import mock

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.csv.reader import IS_MALFORMED, SourceFile, open_source_file
from jobs.rows.duplicates import DuplicateCandidates
from jobs.rows.ids import IdReader
from jobs.rows.marks import EVENT_HASH
from jobs.rows.validation import ValidationResult
from schemas.rejected_file import SOURCE_LINE
from schemas.reports import ReusedId, ReusedIds
from schemas.sources import DEFAULT
from tests.jobs.dry_run import dry_run, small_pieces
from tests.jobs.test_whole_files import check, pieces
from tests.oracle import values as oracle_values
from tests.oracle.text import SOURCE_COLUMNS
from tests.strategies.files import render, write
from tests.strategies.hostile_content import HEADER
from tests.strategies.rows import Transaction, hostile_texts

ids = st.one_of(st.sampled_from(("T1", " T1", "T1 ", "t1", "T2", "T2\u3000", "")), hostile_texts)
LINE = "T{},C0,P0,{},2023-03-15,pending"
SALE = ("T1", "C0", "P0", "1", "2023-03-15", "pending")


@given(st.lists(ids, max_size=12), pieces)
def test_each_id_that_repeats_is_set_aside(texts: Sequence[str], pieces: Mapping[str, int]) -> None:
    row = dict.fromkeys(SOURCE_COLUMNS, "x")
    content = render([{**row, "transaction_id": text} for text in texts]).content
    with TemporaryDirectory() as folder, small_pieces(**pieces):
        path = Path(folder) / "drop"
        path.write_bytes(content)
        source = open_source_file(path, name="day.csv", required=SOURCE_COLUMNS)
        candidates = DuplicateCandidates(source, Path(folder), IdReader(DEFAULT.null_words))
        contested = [candidates.split(as_if_accepted(chunk)).contested for chunk in source.chunks()]
    occurrences = Counter(text for chunk in contested for text in chunk.get_column("transaction_id"))
    counts = Counter(oracle_values.read_id(text) for text in texts if not set("\r\n\0") & set(text))
    due = {text: count for text, count in counts.items() if text and count > 1}
    assert {text: occurrences[text] for text in due} == due


def as_if_accepted(chunk: pl.DataFrame) -> ValidationResult:
    ids = IdReader(DEFAULT.null_words).read(chunk.get_column("transaction_id"))
    typed = chunk.select(ids, SOURCE_LINE)
    rejected = chunk.clear().drop(IS_MALFORMED).with_columns(reject_reasons=pl.lit(""))
    return ValidationResult(typed, ids.is_not_null(), rejected, typed.clear().with_columns(reject_reasons=pl.lit("")))


sales = st.builds(
    lambda *values: dict(zip(SOURCE_COLUMNS, values)),
    st.sampled_from(("T1", "T1", "T2", " T1")),
    st.sampled_from(("C0", "C0", "C12345", "C9")),
    st.sampled_from(("P0", "P0", "P12345", "P9")),
    st.sampled_from(("1", "01", "2", "1", "0")),
    st.sampled_from(("2023-03-15", "2023-03-15T00:00Z", "2023-03-14")),
    st.sampled_from(("pending", "PENDING", "shipped")),
)
"""Rows of two ids. Most are equal, some have unknown customers or products, some are invalid."""


@pytest.mark.parametrize("collide", [False, True], ids=["hashes", "hashes that all collide"])
@given(rows=st.lists(sales, max_size=8), pieces=pieces)
def test_rows_of_one_id_end_as_the_contract_says(
    collide: bool, rows: Sequence[Transaction], pieces: Mapping[str, int]
) -> None:
    """A hash collision does no harm: duplicate candidates are settled by the id itself."""
    colliding = pl.col("transaction_id").str.len_bytes().cast(pl.UInt64) * 0 + 7
    hashed = colliding if collide else pl.col("transaction_id").hash()
    with (
        mock.patch("jobs.rows.marks.ID_HASH", hashed),
        mock.patch("jobs.rows.duplicates.ID_HASH", hashed),
        mock.patch("jobs.rows.duplicates.EVENT_HASH", hashed if collide else EVENT_HASH),
    ):
        check(render(rows).content, pieces=pieces)


@pytest.mark.parametrize(("column", "value"), [("customer_id", "C12345"), ("product_id", "P12345"), ("quantity", "2")])
def test_different_sales_of_one_id_are_all_rejected(column: str, value: str) -> None:
    other = [value if name == column else text for name, text in zip(SOURCE_COLUMNS, SALE)]
    run = check(write([SALE, other, SALE, ("T2", *SALE[1:])]))
    assert [row["transaction_id"] for row in run.staged] == ["T2"]
    assert run.rejected is not None
    assert [line[-2] for line in run.rejected.lines] == ["conflicting_rows"] * 3
    assert run.duplicate == 0


def test_a_conflict_does_not_hang_on_the_dimensions() -> None:
    """If the second row waited for its product and was loaded later, it would silently overwrite the first."""
    run = check(write([SALE, ("T1", "C0", "P9", *SALE[3:])]))
    assert run.staged == []
    assert run.rejected is not None
    assert [line[-2] for line in run.rejected.lines] == ["conflicting_rows", "unknown_product;conflicting_rows"]


@pytest.mark.parametrize("note", ["a\0", "a\0\0b", "\1", "\1a\1b", "\1\0", 'say "hi", then\ngo', "", "'"])
def test_rows_in_conflict_are_returned_as_they_stood(note: str) -> None:
    rows = [dict(zip(SOURCE_COLUMNS, SALE)), dict(zip(SOURCE_COLUMNS, ("T1", "C0", "P0", "2", *SALE[4:])))]
    notes = [{"note": note, "last": ""}, {"note": "", "last": note}]
    run = check(render(rows, header=[*SOURCE_COLUMNS, "note", "last"], extras=notes).content)
    assert run.rejected is not None
    assert [line[-5:-3] for line in run.rejected.lines] == [(note, ""), ("", note)]


def test_a_later_status_wins_beside_a_conflict() -> None:
    shipped = (*SALE[:5], "shipped")
    run = check(write([SALE, ("T1", "C0", "P0", "2", *SALE[4:]), shipped]))
    assert [row["status"] for row in run.staged] == ["shipped"]


@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_the_order_of_the_lines_decides_no_conflict(order: Sequence[int]) -> None:
    rows = [SALE, ("T1", "C0", "P12345", *SALE[3:]), (*SALE[:5], "shipped"), ("T1", "C9", *SALE[2:])]
    run = check(write([rows[at] for at in order]))
    assert [row["status"] for row in run.staged] == ["shipped"]
    assert run.report.reject_reasons["conflicting_rows"].rows == 3


@pytest.mark.parametrize("order", [1, -1], ids=["oldest first", "newest first"])
def test_two_tills_that_number_alike_are_named(order: int) -> None:
    """Only one sale per id wins, by the contract. The losing sales are reported."""
    harbour = (*SALE[:4], "2023-03-14T10:00Z", "completed")
    main_street = ("T1", "C12345", "P12345", "2", "2023-03-14T11:00Z", "completed")
    run = check(write([harbour, main_street, ("T2", *SALE[1:])][::order]))
    assert (len(run.staged), run.duplicate) == (2, 1)
    first, last = sorted((2, 3) if order > 0 else (3, 4))
    assert run.report.reused_ids == ReusedIds(1, [ReusedId("T1", first, last)])


def test_an_update_or_a_corrected_quantity_reuses_no_id() -> None:
    corrected = (*SALE[:3], "7", "2023-03-15T10:00Z", "shipped")
    run = check(write([SALE, SALE, corrected, (*corrected[:5], "completed")]))
    assert run.report.reused_ids == ReusedIds()


@given(
    # Plain, with a byte order mark in each line, and CRLF.
    line=st.sampled_from((LINE, "\ufeff" + LINE, LINE + "\r")),
    other=st.sampled_from(("", "T8,C0", "T8,C0,P0,1,2023-03-15,pending,", "\0", "T8,\1\2,P0,1,2023-03-15,pending")),
    pieces=pieces,
)
def test_a_conflict_is_read_again_from_its_own_line(line: str, other: str, pieces: Mapping[str, int]) -> None:
    """Beside it may be a blank line, a malformed record, or characters that a file should not have."""
    lines = [HEADER, line.format(1, 1), other, line.format(1, 2), line.format(2, 1), other, line.format(3, 1)]
    run = check("\n".join([*lines, line.format(3, 2)]).encode(), pieces=pieces)
    assert run.rejected is not None
    conflicting = [(row[0].strip("\ufeff"), row[3], row[-3]) for row in run.rejected.lines if "conflicting" in row[-2]]
    assert conflicting == [("T1", "1", "2"), ("T1", "2", "4"), ("T3", "1", "7"), ("T3", "2", "8")]


@given(
    notes=st.lists(
        st.sampled_from(("plain", '"Doe, John"', '"a ""b"""', '"two\nlines"', ' "padded" ', '27" screen')), min_size=1
    ),
    pieces=pieces,
)
def test_a_conflict_is_read_again_with_its_quotes(notes: list[str], pieces: Mapping[str, int]) -> None:
    sales = [(1, 1), (1, 2), (2, 1), (3, 1), (3, 2), (4, 1)]
    rows = [f"T{id_},C0,P0,{quantity},2023-03-15,pending" for id_, quantity in sales]
    lines = [f"{row},{note}" for row, note in zip(rows, itertools.cycle(notes))]
    run = check("\n".join([f"{HEADER},note", *lines]).encode(), pieces=pieces)
    assert run.rejected is not None
    assert [row[0] for row in run.rejected.lines if row[-2] == "conflicting_rows"] == ["T1", "T1", "T3", "T3"]


@pytest.mark.parametrize("repeats", [2, 40], ids=["in a few buckets", "in many buckets"])
@pytest.mark.parametrize("quantities", ["11", "12"], ids=["once more", "a conflict"])
def test_a_file_is_read_twice_and_once_more_for_conflicts(repeats: int, quantities: str) -> None:
    """However many ids repeat. Where rows conflict, it is read a third time."""
    twice = [(f"T{at}", *SALE[1:]) for at in range(repeats)] * 2
    conflicting = [
        (f"T{at}", *SALE[1:3], quantity, *SALE[4:]) for at in range(repeats, 2 * repeats) for quantity in quantities
    ]
    are_conflicting = quantities == "12"
    content = write([*twice, *conflicting])
    reads = {"transaction_ids": 0, "unread_chunks": 0}

    def counting(name: str) -> object:
        read = getattr(SourceFile, name)

        def counted(source: SourceFile) -> object:
            reads[name] += 1
            return read(source)

        return counted

    counted = mock.patch.multiple(SourceFile, **{name: counting(name) for name in reads})
    with small_pieces(chunk_bytes=len(HEADER)), counted:
        run = dry_run(content)
    assert run.error is None
    expected = repeats if are_conflicting else 2 * repeats
    assert (len(run.staged), run.duplicate) == (expected, expected)
    assert reads == {"transaction_ids": 1, "unread_chunks": 1 + are_conflicting}


def test_rows_of_one_id_are_never_held_together() -> None:
    """An export that writes NULL or 0 for every id must not need memory for all of its rows."""
    moments = [(*SALE[:4], f"2023-03-15T{at // 60:02}:{at % 60:02}Z", "pending") for at in range(150)]
    heights = []
    concat = pl.concat

    def noted(frames: Sequence[pl.DataFrame], **more: object) -> pl.DataFrame:
        whole = concat(frames, **more)
        # A hash takes 8 bytes and a mark one bit. Only the number of whole rows must not grow.
        if isinstance(whole, pl.DataFrame) and whole.columns != ["hash"]:
            heights.append(whole.height)
        return whole

    with small_pieces(chunk_bytes=4 * len(HEADER)), mock.patch("polars.concat", noted):
        run = dry_run(write([*moments, *[SALE] * 150]))
    assert run.error is None
    assert (len(run.staged), run.duplicate) == (1, 299)
    assert max(heights) < 50


@pytest.mark.parametrize(
    ("repeats", "groups", "steps"),
    [(50, 1_000, 1), (200, 1_000, 1), (200, 16, 2)],
    ids=["fifty ids", "two hundred ids", "two hundred ids in two steps"],
)
def test_a_row_set_aside_is_read_twice_however_many_there_are(repeats: int, groups: int, steps: int) -> None:
    """Once to settle its event and once to settle its id: a bucket is not looked for in the files of the others."""
    rows_read = []
    read_ipc = pl.read_ipc

    def counted(source: Path, **more: bool) -> pl.DataFrame:
        rows = read_ipc(source, **more)
        if rows.columns != ["hash"]:
            rows_read.append(rows.height)
        return rows

    with small_pieces(groups=groups), mock.patch("polars.read_ipc", counted):
        run = dry_run(write([(f"T{at}", *SALE[1:]) for at in range(repeats)] * 2))
    assert (len(run.staged), run.duplicate) == (repeats, repeats)
    assert repeats < sum(rows_read) <= steps * 2 * (2 * repeats)


class Disk:
    """Watches the files of rows that are set aside."""

    def __init__(self) -> None:
        self.files: list[tuple[int, int]] = []
        """(bytes, rows) of each file that was written."""
        self.most_rows = 0
        """The most rows that were on disk at once."""
        self._rows: dict[Path, int] = {}

    @contextmanager
    def watched(self) -> Iterator[None]:
        write_ipc, unlink = pl.DataFrame.write_ipc, Path.unlink

        def written(rows: pl.DataFrame, file: Path, **more: Any) -> None:
            write_ipc(rows, file, **more)
            if rows.columns != ["hash"]:
                self.files.append((file.stat().st_size, rows.height))
                self._rows[file] = rows.height
                self.most_rows = max(self.most_rows, sum(self._rows.values()))

        def unlinked(path: Path, missing_ok: bool = False) -> None:
            self._rows.pop(path, None)
            unlink(path, missing_ok)

        with mock.patch.object(pl.DataFrame, "write_ipc", written), mock.patch.object(Path, "unlink", unlinked):
            yield


def test_rows_set_aside_in_many_buckets_take_no_more_disk_than_in_one() -> None:
    """A bucket's file has the texts of its own rows alone, so its cost does not grow with the number of buckets."""
    ids = [Random(at // 2).randbytes(30).hex() for at in range(4000)]
    content = write([(id_, *SALE[1:]) for id_ in ids])
    taken = []
    for rows_per_bucket, groups in ((10**9, 2), (800, 1_000), (800, 4)):
        disk = Disk()
        with (
            small_pieces(
                rows_per_bucket=rows_per_bucket,
                groups=groups,
                held_bytes=1 << 18,
                chunk_bytes=1 << 20,
                chunk_values=1 << 20,
            ),
            disk.watched(),
        ):
            assert dry_run(content).duplicate == 2000
            sizes, heights = zip(*disk.files)
            taken.append((len(sizes), sum(sizes) / sum(heights)))
    (few_files, in_few), (many_files, in_many), (_, in_two_steps) = taken
    assert many_files > 4 * few_files > 0
    assert in_many < 1.5 * in_few
    assert in_two_steps < 1.5 * in_few


@pytest.mark.parametrize("groups", [1_000, 16], ids=["in one step", "in two steps"])
def test_a_row_set_aside_is_on_disk_once(groups: int) -> None:
    """A job is refused before it starts where its disk has no room for the rows once, so twice would fill the disk."""
    ids, disk = 120, Disk()
    with small_pieces(groups=groups), disk.watched():
        run = dry_run(
            write((f"T{at}", *SALE[1:4], day, "pending") for day in ("2023-03-14", "2023-03-15") for at in range(ids))
        )
    assert (len(run.staged), run.duplicate) == (ids, ids)
    assert 2 * ids * 0.9 < disk.most_rows < 2 * ids * 1.1


def test_the_hashes_of_ids_have_left_the_disk_when_rows_are_set_aside() -> None:
    hashes = []

    def seen(*given: Any) -> None:
        folder = given[-1]
        hashes.append([path.name for path in folder.glob("hashes-*")])

    write_ipc, written = pl.DataFrame.write_ipc, []

    def noted(rows: pl.DataFrame, file: Path, **more: Any) -> None:
        written.extend(["hash"] if rows.columns == ["hash"] else [])
        write_ipc(rows, file, **more)

    with (
        small_pieces(),
        mock.patch("jobs.rows.duplicates.refuse_without_room", seen),
        mock.patch.object(pl.DataFrame, "write_ipc", noted),
    ):
        run = dry_run(write([(f"T{at}", *SALE[1:]) for at in range(60)] * 2))
    assert (len(run.staged), run.duplicate) == (60, 60)
    assert (len(written) > 1, hashes) == (True, [[]])
