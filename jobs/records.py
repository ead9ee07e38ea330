"""What a record of a CSV file is, one at a time: RFC 4180 with comma, LF or CRLF.

Slow and exact. It reads the header of every file, and the whole of a file that has
quotes, NULs or lone carriage returns; `source_file` reads every other file with Polars.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from jobs.errors import FileRefused

MAX_RECORD_BYTES = 1024 * 1024
"""No line and no record may be longer: it would be held in memory whole."""

_UP_TO_CLOSING_QUOTE = re.compile(r'[^"]*(?:""[^"]*)*"(?!")')


@dataclass(frozen=True)
class Record:
    first_line: int
    """The physical line on which the record starts."""
    last_line: int
    text: str
    """As it stood, without its line end."""
    fields: list[str] | None
    """None where a quote is out of place."""


def records(lines: Iterable[bytes], *, first_line: int, file_name: str) -> Iterator[Record]:
    """Split physical lines (as a file opened in binary mode gives them) into records; blank lines are passed over.

    A quote opens a field only at its start, and after the closing quote a comma or the
    end of the line must follow. Where something else follows, the record is malformed
    and reading goes on with the next physical line, so one slip of a quote costs one row.
    Raises FileRefused for a quote that nothing closes.
    """
    numbered = enumerate(lines, start=first_line)
    for number, raw in numbered:
        line = _without_line_end(raw.decode("utf-8"))
        if not line:
            continue
        start, parts, size = number, [line], len(raw)
        fields: list[str] | None = []
        at = 0
        while fields is not None:
            if line[at : at + 1] != '"':
                end = line.find(",", at)
                fields.append(line[at:] if end < 0 else line[at:end])
                if end < 0:
                    break
                at = end + 1
                continue
            at += 1
            value: list[str] = []
            closing = _UP_TO_CLOSING_QUOTE.match(line, at)
            while closing is None:
                value.append(line[at:])
                number, raw = next(numbered, (number, b""))
                size += len(raw)
                if not raw or size > MAX_RECORD_BYTES:
                    raise FileRefused(
                        f"{file_name}, line {start}: a quote is opened and not closed "
                        f"{'before the end of the file' if not raw else f'within {MAX_RECORD_BYTES:,} bytes'}; "
                        "close the quote, or write it twice where it is part of a value, and drop the file again"
                    )
                line, at = _without_line_end(raw.decode("utf-8")), 0
                parts.append(line)
                closing = _UP_TO_CLOSING_QUOTE.match(line, at)
            value.append(closing.group()[:-1])
            at = closing.end()
            if at < len(line) and line[at] != ",":
                fields = None
                break
            fields.append("\n".join(value).replace('""', '"'))
            if at == len(line):
                break
            at += 1
        # A quoted nothing alone on a line is as blank as a blank line.
        if fields != [""]:
            yield Record(start, number, "\n".join(parts), fields)


def _without_line_end(line: str) -> str:
    if line.endswith("\n"):
        line = line[:-1]
        if line.endswith("\r"):
            line = line[:-1]
    return line
