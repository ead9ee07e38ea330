"""Files and drops as Hypothesis strategies; their rows come from rows.py, which says how to use both."""

from __future__ import annotations

import gzip
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, Callable

from hypothesis import strategies as st

from tests.oracle.text import REJECTED_COLUMNS, SOURCE_COLUMNS, as_dropped
from tests.oracle.warehouse import Drop
from tests.strategies.hostile_content import BROKEN_FILES, HEADER, SOUND_LINE, HostileFile
from tests.strategies.rows import (
    Draw,
    Transaction,
    hostile_texts,
    hostile_transactions,
    partition_days,
    transactions,
    uploads,
)


@dataclass(frozen=True)
class RenderedFile:
    """The bytes of a sound file, and what was meant by them."""

    content: bytes
    gz: bool
    header: tuple[str, ...]
    rows: tuple[tuple[int, tuple[str, ...]], ...]
    """Per row: source_line and the expected reading of every field, unquoted, in the header's order."""
    values: tuple[Transaction, ...]
    """Per row: the expected reading of the six columns, untrimmed."""


def render(
    rows: Sequence[Transaction],
    *,
    header: Sequence[str] = SOURCE_COLUMNS,
    extras: Sequence[Mapping[str, str]] = (),
    quoted: Sequence[int] = (),
    blank_lines: Sequence[int] = (),
    line_ends: Sequence[str] = ("\n",),
    byte_order_mark: bool = False,
    final_line_end: bool = True,
    gz: bool = False,
) -> RenderedFile:
    """Bytes for these rows.

    `header` has the headings as they shall stand, the six in any dress and others; `extras` gives the
    other columns' values by row. `quoted` is a bit mask by line (the header is the first) of fields to
    quote without need. `blank_lines` stand ahead of a row (or, one further, of the end); `line_ends`
    are used in turn.
    """
    ends = _in_turn(line_ends)
    columns = [heading.strip().lower() for heading in header]
    lines = [tuple(header)]
    for at, row in enumerate(rows):
        cells = {**(extras[at] if at < len(extras) else {}), **row}
        lines.append(tuple(cells.get(column, "") for column in columns))

    text = ""
    starts = []
    for at, fields in enumerate(lines):
        for _ in range(blank_lines[at - 1] if 0 < at <= len(blank_lines) else 0):
            text += next(ends)
        starts.append(1 + text.count("\n"))
        mask = quoted[at] if at < len(quoted) else 0
        text += ",".join(_cell(field, bool(mask >> place & 1)) for place, field in enumerate(fields))
        if final_line_end or at < len(rows):
            text += next(ends)
    if final_line_end and len(blank_lines) > len(rows):
        text += "".join(next(ends) for _ in range(blank_lines[len(rows)]))

    content = (b"\xef\xbb\xbf" if byte_order_mark else b"") + text.encode("utf-8")
    actual = as_dropped if set(REJECTED_COLUMNS) <= set(columns) else str
    return RenderedFile(
        content=gzip.compress(content, mtime=0) if gz else content,
        gz=gz,
        header=tuple(map(actual, header)),
        rows=tuple((start, tuple(map(actual, fields))) for start, fields in zip(starts[1:], lines[1:])),
        values=tuple({column: actual(value) for column, value in row.items()} for row in rows),
    )


def write(rows: Sequence[Sequence[str]]) -> bytes:
    """A plain file of rows given in the order of SOURCE_COLUMNS."""
    return render([dict(zip(SOURCE_COLUMNS, row)) for row in rows]).content


def _cell(field: str, quoted: bool) -> str:
    must = '"' in field or field.endswith("\r") or "," in field or "\n" in field
    return '"' + field.replace('"', '""') + '"' if quoted or must else field


def _in_turn(line_ends: Sequence[str]) -> Any:
    while True:
        yield from line_ends


EXTRA_COLUMNS = (
    "note",
    "Ünïcode",
    "a,b",
    'say "hi"',
    "two\nlines",
    "",
    "source_line",
    "price",
    "transaction_id_2",
    "=1+1",
)
_EXTRA_HEADINGS = st.one_of(
    st.lists(st.sampled_from(EXTRA_COLUMNS), max_size=2, unique=True),
    st.sampled_from((["", ""], list(REJECTED_COLUMNS))),
    st.just([]),
)
_DRESSES: Sequence[Callable[[str], str]] = (str, str, str.upper, str.title, " {} ".format, "\t{}".format)


@st.composite
def transaction_files(
    draw: Draw,
    *,
    rows: st.SearchStrategy[Transaction] | None = None,
    max_rows: int = 6,
    gz: bool | None = False,
) -> RenderedFile:
    """A sound file of such rows in any dress; `gz=None` lets the strategy choose."""
    drawn = draw(st.lists(transactions() if rows is None else rows, max_size=max_rows))
    again = draw(st.sampled_from((None, None, "the same sale", "another sale", None)))
    if drawn and again:
        drawn = [*drawn, drawn[-1] if again == "the same sale" else {**drawn[-1], "quantity": "5"}]
    names = draw(_EXTRA_HEADINGS)
    columns = draw(st.permutations((*SOURCE_COLUMNS, *names)))
    header = [draw(st.sampled_from(_DRESSES))(column) if column in SOURCE_COLUMNS else column for column in columns]
    masks = st.one_of(st.just(0), st.just(-1), st.integers(0, 2 ** len(columns) - 1))
    counts = st.sampled_from((0, 0, 0, 1, 2))
    lines = len(drawn) + 1
    return render(
        drawn,
        header=header,
        extras=[{name.strip().lower(): draw(hostile_texts) for name in names} for _ in drawn],
        quoted=draw(st.lists(masks, min_size=lines, max_size=lines)),
        blank_lines=draw(st.lists(counts, min_size=lines, max_size=lines)),
        line_ends=draw(st.sampled_from((("\n",), ("\r\n",), ("\n", "\r\n")))),
        byte_order_mark=draw(st.booleans()),
        final_line_end=draw(st.booleans()),
        gz=draw(st.booleans()) if gz is None else gz,
    )


@st.composite
def hostile_files(draw: Draw) -> HostileFile:
    """A named broken file, a sound file with bytes cut, doubled or thrown in, or lines of noise."""
    kind = draw(st.sampled_from(("named", "damaged", "damaged", "noise", "noise", "bytes")))
    if kind == "named":
        return draw(st.sampled_from(BROKEN_FILES))  # type: ignore[no-any-return]
    if kind == "damaged":
        rendered = draw(transaction_files(rows=transactions(), max_rows=4, gz=None))
        content = rendered.content
        start = draw(st.integers(0, len(content)))
        stop = min(len(content), start + draw(st.integers(0, 8)))
        thrown_in = draw(st.sampled_from((b"", b'"', b"\n", b"\r", b",", b"\x00", b"\xe9", b'"\n"', b"\xef\xbb\xbf")))
        again = content[start:stop] if draw(st.booleans()) else b""
        return HostileFile(kind, content[:start] + thrown_in + again + content[stop:], gz=rendered.gz)
    if kind == "noise":
        pieces = st.sampled_from(
            ('"', '"', ",", ",", "\n", "\n", "\r", "\r\n", " ", "x", "\x00", SOUND_LINE, "\n" + SOUND_LINE)
        )
        return HostileFile(kind, f"{HEADER}\n{''.join(draw(st.lists(pieces, max_size=20)))}".encode())
    return HostileFile(kind, draw(st.binary(max_size=40)), gz=draw(st.booleans()))


FILE_NAMES = (
    "transactions",
    "transactions_2023-03-15",
    "a b",
    "a+b",
    "100%",
    "%41",
    "x=1&y=2",
    "Ünïcode 小物 \U0001f600",
    "it's",
    "'; DROP TABLE fact_transactions; --",
    '"quoted"',
    "..",
    "two\nlines",
    "a\\b",
    "#?*",
    "-",
)


@st.composite
def s3_keys(draw: Draw, *, partition_day: date | None = None, gz: bool = False) -> str:
    """A key inside the layout, its file name as nasty as S3 allows."""
    day = draw(partition_days) if partition_day is None else partition_day
    name = draw(st.sampled_from(FILE_NAMES))
    return f"transactions/year={day:%Y}/month={day:%m}/day={day:%d}/{name}.csv{'.gz' if gz else ''}"


stray_keys = st.sampled_from(
    (
        "transactions/",
        "transactions/year=2023/month=03/day=15/",
        "transactions/year=2023/month=03/day=15/_SUCCESS",
        "transactions/year=2023/month=03/day=15/a.csv.tmp",
        "transactions/year=2023/month=03/day=15/a.csv.bz2",
        "transactions/year=2023/month=03/day=15/a.csvs",
        "transactions/year=2023/month=03/day=15/more/a.csv",
        "transactions/year=2023/month=02/day=29/a.csv",
        "transactions/year=2023/month=003/day=15/a.csv",
        "transactions/year=٢٠٢٣/month=03/day=15/a.csv",
        "transactions/2023/03/15/a.csv",
        "transactions/a.csv",
        "a.csv",
        "archive/transactions/year=2023/month=03/day=15/a.csv",
    )
)
"""Keys that name no transactions file of the layout."""


@st.composite
def drops(
    draw: Draw,
    *,
    bucket: str = "drop-bucket",
    hostile: bool = False,
    max_rows: int = 6,
) -> Drop:
    """A version of a file of one of three days, with rows of that day; `hostile` lets rows be hostile too."""
    day = draw(partition_days)
    rows = transactions(partition_day=day)
    if hostile:
        rows = st.one_of(rows, rows, hostile_transactions(partition_day=day), rows, rows)
    rendered = draw(transaction_files(rows=rows, max_rows=max_rows, gz=None))
    return Drop(
        bucket=bucket,
        key=draw(s3_keys(partition_day=day, gz=rendered.gz)),
        version_id=draw(st.sampled_from(("v0", "v1"))),
        uploaded_at=draw(uploads),
        content=rendered.content,
    )


@st.composite
def drop_lists(
    draw: Draw,
    *,
    bucket: str = "drop-bucket",
    hostile: bool = False,
    min_size: int = 1,
    max_size: int = 4,
    max_rows: int = 6,
) -> list[Drop]:
    """Drops of different identity; some repeat an earlier file as a new upload."""
    drawn = draw(
        st.lists(
            st.tuples(drops(bucket=bucket, hostile=hostile, max_rows=max_rows), st.sampled_from((0, 1, 0))),
            min_size=min_size,
            max_size=max_size,
        )
    )
    dropped: list[Drop] = []
    for at, (drop, once_more) in enumerate(drawn):
        if once_more and dropped:
            drop = replace(dropped[-1], uploaded_at=drop.uploaded_at)
        dropped.append(replace(drop, version_id=f"v{at}"))
    return dropped
