"""Hostile files (bombs, endless lines, very many columns, quotes and reasons) are refused, or read in bounded memory.

test_whole_files compares hostile text in fields with the oracle. test_refused_files has the sentences.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import subprocess
import sys
import time
from pathlib import Path
from unittest import mock

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import jobs.csv.quoted
import jobs.csv.reader
from jobs.csv.reader import open_source_file
from jobs.csv.records import MAX_RECORD_BYTES
from jobs.errors import FileRefused
from schemas.reports import Report
from tests.jobs.dry_run import DryRun, dry_run
from tests.oracle.files import read_cells
from tests.oracle.text import FORMULA_SIGNS, SOURCE_COLUMNS, as_shown
from tests.strategies.hostile_content import HEADER, SOUND_LINE

MIB = 1024 * 1024


def load(*lines: str) -> DryRun:
    run = dry_run("\n".join([HEADER, *lines, ""]).encode())
    assert run.error is None, str(run.error)
    return run


def open_drop(path: Path) -> jobs.csv.reader.SourceFile:
    return open_source_file(path, name="day.csv", required=SOURCE_COLUMNS)


# Each begins with a readable part and never ends.
BOMBS = {
    "a gigabyte of nothing": (gzip.compress(b"\0" * 16 * MIB), 64, "line 2: the line is longer than 1,048,576 bytes"),
    "fifty million blank lines": (gzip.compress(b"\n" * 16 * MIB), 3, ""),
}

# Not ru_maxrss: it starts at the memory of the parent process.
_IN_A_PROCESS_OF_ITS_OWN = """
import sys
from tests.jobs.dry_run import dry_run
run = dry_run(open(sys.argv[1], "rb").read(), gz=True)
(peak_kib,) = (line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(int(peak_kib) // 1024, str(run.error or ""), sep="|")
"""


@pytest.mark.parametrize(("member", "times", "sentence"), BOMBS.values(), ids=BOMBS)
def test_a_gzip_bomb_is_looked_through_in_little_memory(
    tmp_path: Path, member: bytes, times: int, sentence: str
) -> None:
    bomb = tmp_path / "bomb.csv.gz"
    bomb.write_bytes(gzip.compress(f"{HEADER}\n".encode()) + member * times)
    assert bomb.stat().st_size < 2 * MIB
    done = subprocess.run(
        [sys.executable, "-c", _IN_A_PROCESS_OF_ITS_OWN, str(bomb)],
        cwd=Path(__file__).parents[3],
        stdout=subprocess.PIPE,
        check=True,
        timeout=300,
    )
    peak_mib, said = done.stdout.decode().strip().split("|")
    assert sentence in said
    assert bool(said) == bool(sentence)
    assert int(peak_mib) < 300


class CountingFile(io.FileIO):
    """Counts the bytes that are read."""

    bytes_read = 0

    def read(self, size: int = -1) -> bytes:
        block = super().read(size)
        CountingFile.bytes_read += len(block or b"")
        return block or b""


def test_a_line_of_two_gigabytes_is_refused_after_two_blocks(tmp_path: Path) -> None:
    path = tmp_path / "drop"
    with path.open("wb") as file:
        file.write(f"{HEADER}\n{SOUND_LINE}\n".encode())
        # A sparse file: two gigabytes to read, almost nothing on the disk.
        file.truncate(2048 * MIB)
    CountingFile.bytes_read = 0
    counted = mock.patch.object(Path, "open", lambda self, _mode: CountingFile(self))
    with counted, pytest.raises(FileRefused, match="line 3: the line is longer than 1,048,576 bytes"):
        open_drop(path)
    # The block before is read again, to count its lines.
    assert CountingFile.bytes_read <= 5 * MAX_RECORD_BYTES


def test_a_quote_that_is_never_closed_costs_its_line_and_is_not_held(tmp_path: Path) -> None:
    path = tmp_path / "drop"
    path.write_bytes(f'{HEADER},note\n{SOUND_LINE},"\n'.encode() + f"{SOUND_LINE},{'x' * 1000}\n".encode() * 40_000)
    source = open_drop(path)
    with mock.patch("jobs.csv.blocks.CHUNK_BYTES", 2 * MAX_RECORD_BYTES):
        frames = list(source.chunks())
    assert sum(frame.height for frame in frames) == 40_001
    assert [frame.get_column("is_malformed").sum() for frame in frames] == [1] + [0] * (len(frames) - 1)
    assert max(frame.height for frame in frames) < 4000


def test_a_row_with_a_million_fields_is_one_malformed_row() -> None:
    run = load(SOUND_LINE, "x" + "," * 1_000_000, SOUND_LINE.replace("T1", "T2"))
    assert [row["transaction_id"] for row in run.staged] == ["T1", "T2"]
    assert {reason: rejected.rows for reason, rejected in run.report.reject_reasons.items()} == {"malformed_row": 1}
    assert run.report.reject_reasons["malformed_row"].samples[0].fault == (
        "1,000,001 values under 6 headings, the last empty"
    )


def test_a_thousand_columns_are_read_and_one_more_refused() -> None:
    more = ",".join(f"c{at}" for at in range(994))
    rows = [SOUND_LINE.replace("T1", f"T{at}") + "," * 994 for at in range(50)]
    content = "\n".join([f"{HEADER},{more}", *rows]).encode()
    assert len(dry_run(content).staged) == 50
    error = dry_run(content.replace(b"\n", b",c994\n", 1)).error
    assert str(error) == (
        "day.csv, line 1: the header has 1,001 columns and at most 1,000 are read; "
        "delete columns that are not needed, and upload the file again"
    )


@pytest.mark.parametrize(
    ("line", "rows"),
    [('"\n' * 100_000, 100_000), ('""a\n' * 50_000, 50_000), ('a"\n' * 50_000, 50_000), ('"' * 1_000_000, 1)],
    ids=["alone on their lines", "doubled and followed", "in the middle", "a million in a row"],
)
def test_hosts_of_quotes_cost_a_row_each(line: str, rows: int) -> None:
    with mock.patch.object(pl.Series, "scatter", autospec=True, side_effect=pl.Series.scatter) as scatter:
        run = load(SOUND_LINE, line.rstrip("\n"))
    assert run.report.counts is not None
    assert (run.report.counts["rows_read"], run.report.counts["rejected"]) == (rows + 1, rows)
    # Work on a whole chunk is done once for the chunk, not once for each quote.
    assert scatter.call_count < 100


@pytest.mark.parametrize(
    "extra",
    ['"Doe, John"', '"27"" screen"', '27" screen', ' "Doe, John" ', '""', '"Doe"'],
    ids=["with a comma", "doubled", "in the middle", "blanks around", "empty", "needless"],
)
def test_quotes_in_every_row_send_no_line_the_slow_way(extra: str) -> None:
    """With one quoted comma in each row, the job once split every line in Python and was ninety times slower."""
    lines = [f"{SOUND_LINE.replace('T1', f'T{number}', 1)},{extra}" for number in range(1, 2_001)]
    with mock.patch.object(jobs.csv.quoted, "_exact_frame", side_effect=jobs.csv.quoted._exact_frame) as exact:
        run = dry_run("\n".join([f"{HEADER},remark", *lines, ""]).encode())
    assert run.report.counts is not None
    assert (run.report.counts["rows_read"], run.report.counts["inserted"]) == (2_000, 2_000)
    assert sum(len(call.args[1]) for call in exact.call_args_list) == 0


@pytest.mark.parametrize("quote", ["", '"'], ids=["plain", "quoted"])
def test_short_lines_do_not_make_a_chunk_large(tmp_path: Path, quote: str) -> None:
    """Sixteen megabytes of commas once became a frame of 2.7 million rows and 3.5 GB."""
    path = tmp_path / "drop"
    path.write_bytes(f"{HEADER},{quote}extra{quote}\n".encode() + b"x,,,,,,\n" * 300_000 + SOUND_LINE.encode() + b",")
    source = open_drop(path)
    assert source.is_unquoted == (not quote)
    heights, lines = zip(*((chunk.height, chunk.item(0, "source_line")) for chunk in source.chunks()))
    assert sum(heights) == 300_001
    assert max(heights) <= jobs.csv.blocks.CHUNK_VALUES / source.layout.width
    assert list(lines) == [2 + sum(heights[:at]) for at in range(len(heights))]


def test_short_lines_below_a_wide_header_are_read_twice_at_most(tmp_path: Path) -> None:
    path = tmp_path / "drop"
    path.write_bytes(f"{HEADER}{',' * 100}\n".encode() + b"x\n" * 500_000)
    with mock.patch("jobs.csv.blocks.CHUNK_VALUES", 1_000_000):
        source = open_drop(path)
        before = _bytes_read()
        heights = [chunk.height for chunk in source.chunks()]
    assert sum(heights) == 500_000
    assert len(heights) > 50
    assert _bytes_read() - before < 10 * path.stat().st_size


def _bytes_read() -> int:
    """The bytes that this process has read so far."""
    return int(Path("/proc/self/io").read_text().split()[1])


TEN_REASONS = ",,,x,2023-99-99,lost".replace(",,,x", f"{'t' * 65},nobody,nothing,x")


def test_every_other_row_rejected_for_every_reason_there_is() -> None:
    """The report has three samples of each reason, whatever the number of rows."""
    sound = [SOUND_LINE.replace("T1", f"T{at}") for at in range(20_000)]
    bad = [TEN_REASONS, ",,,-1,soon,", f"T,C,P,1,2023-03-16,{'s' * 17}", "a,b"]
    run = load(*(line for at, row in enumerate(sound) for line in (row, bad[at % 4])))
    assert run.report.counts is not None
    assert (run.report.counts["inserted"], run.report.counts["rejected"]) == (20_000, 20_000)
    rejected = run.report.reject_reasons
    assert set(rejected) == {
        *("malformed_row", "missing_transaction_id", "missing_customer_id", "missing_product_id"),
        *("unknown_customer", "unknown_product", "invalid_quantity", "invalid_transaction_date"),
        *("future_transaction_date", "invalid_status", "value_too_long"),
    }
    assert {len(reason.samples) for reason in rejected.values()} == {3}
    assert len(run.report.to_json()) < 20_000
    assert run.rejected is not None
    assert len(run.rejected.lines) == 20_000


UNSEEN = ("\x00", "\x07", "\x1b[31m", "\u202e", "\u2066", "\u200b", "\ufeff", "\x85", "\u2028", "\x7f")


@pytest.mark.parametrize("slip", ["T\0", "T\r1"], ids=["NUL", "CR"])
def test_a_malformed_record_of_several_lines_is_kept_whole(slip: str) -> None:
    record = f'{slip},C0,P0,1,2023-03-15,pending,"of two\nlines","and two\nmore\n"'
    run = dry_run(f"{HEADER},note,memo\n{record}\n{SOUND_LINE},,\n".encode())
    assert [row["transaction_id"] for row in run.staged] == ["T1"]
    assert run.rejected is not None
    assert [line[-1] for line in run.rejected.lines] == [as_shown(record)]


def test_what_cannot_be_seen_is_kept_as_it_stood() -> None:
    """The text is escaped only where it is displayed (lambdas.printable). A correction needs the row unchanged."""
    ids = [f"T{sign}1" for sign in UNSEEN]
    run = load(*(SOUND_LINE.replace("T1", name).replace("C12345", "nobody") for name in ids))
    assert run.rejected is not None
    kept = [line[0] or line[8].partition(",")[0] for line in run.rejected.lines]
    assert kept == ids
    samples = [sample for rejected in run.report.reject_reasons.values() for sample in rejected.samples]
    assert {sample.values["transaction_id"] for sample in samples if sample.values} <= set(ids)


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=30), min_size=1, max_size=3))
def test_a_report_is_one_json_object_whatever_it_quotes(texts: list[str]) -> None:
    header = ",".join([HEADER, *(_quoted(text) for text in texts)])
    content = "\n".join([header, _quoted("".join(texts)), ""]).encode()
    report = dry_run(content).report
    text = report.to_json()
    assert Report.from_json(text) == report
    assert not set(text.encode()) & set(range(0x20)) - {0x0A}, "control characters must be escaped in JSON"
    assert json.loads(text)["ignored_columns"] == report.ignored_columns


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("heading", ["a\rb", "a\r\nb", "a\nb", 'a"b', "a,b"])
def test_a_heading_of_several_lines_is_one_in_the_rejected_file(heading: str, end: str) -> None:
    """A carriage return outside quotes would end the header, for any CSV reader."""
    rows = [f"{HEADER},{_quoted(heading)}", f"{SOUND_LINE.replace('C12345', 'nobody')},x", ""]
    run = dry_run(end.join(rows).encode())
    assert run.rejected_content is not None, str(run.error)
    text = run.rejected_content.decode("utf-8")
    header, row = csv.reader(io.StringIO(text, newline=""), strict=True)
    assert header == [*HEADER.split(","), heading.replace("\r\n", "\n"), "source_line", "reject_reasons", "source_text"]
    assert row[6:9] == ["x", str(2 + heading.count("\n")), "unknown_customer"]


@pytest.mark.parametrize("status", ["Completed", '"Completed"'])
@pytest.mark.parametrize("end", ["\r", "\r\n", ""])
def test_a_file_cut_inside_its_last_line_end_keeps_its_last_row(status: str, end: str) -> None:
    content = f"{HEADER}\r\n{SOUND_LINE.replace('Completed', status)}{end}".encode()
    # The last byte is in a block of its own, too.
    for block_bytes in (MAX_RECORD_BYTES, len(content) - 1):
        with mock.patch("jobs.csv.inspection.MAX_RECORD_BYTES", block_bytes):
            run = dry_run(content)
        assert run.error is None, str(run.error)
        assert [row["status"] for row in run.staged] == ["completed"]
        assert run.report.reject_reasons == {}


def test_a_sample_is_cut_and_never_holds_up_the_report() -> None:
    run = load(f"T1,nobody,P12345,1,2023-03-15,pending,{'é' * 500_000}", f"{'x' * 1_000_000}")
    samples = run.report.reject_reasons["malformed_row"].samples
    assert [sample.fault for sample in samples] == ["7 values under 6 headings", "1 value under 6 headings"]
    assert len(run.report.to_json()) < 5000


@pytest.mark.parametrize(
    ("heading", "transaction_id"), [("a " * 150_000, "T2"), ("note", "9" * 200_000)], ids=["heading", "id"]
)
def test_the_time_for_a_long_text_grows_as_its_length(heading: str, transaction_id: str) -> None:
    content = f"{HEADER},{heading}\n{SOUND_LINE},\n{transaction_id},C0,P0,1,2023-03-15,pending,\n"
    started = time.process_time()
    run = dry_run(content.encode())
    # Each step costs well under a second. With the square of the length it would cost more than a minute.
    assert time.process_time() - started < 20
    assert run.error is None, str(run.error)


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


formulas = st.tuples(
    st.text("'", max_size=2),
    st.sampled_from(FORMULA_SIGNS),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
).map("".join)


@given(st.lists(formulas, min_size=1, max_size=4))
def test_rejected_files_hold_no_formula_and_can_be_read_back(values: list[str]) -> None:
    """The formula is in a heading, an extra column, a value or a malformed row."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*HEADER.split(","), *(f"{value}{at}" for at, value in enumerate(values))])
    writer.writerow([*SOUND_LINE.replace("C12345", "nobody").split(","), *values])
    writer.writerow([*SOUND_LINE.replace("T1", "T2").split(","), *values])
    writer.writerow([values[0]])
    run = dry_run(out.getvalue().encode())
    if run.error is not None:
        # The cells may repeat or damage a heading. The file is then refused and nothing is written.
        assert run.rejected_content is None
        return
    assert run.rejected_content is not None
    for row in read_cells(run.rejected_content):
        assert not [cell for cell in row if cell[:1] and cell[0] in FORMULA_SIGNS]
    again = dry_run(run.rejected_content)
    assert again.error is None
    assert again.rejected_content is not None
    assert [row[:-3] for row in read_cells(again.rejected_content)[:2]] == [
        row[:-3] for row in read_cells(run.rejected_content)[:2]
    ]
