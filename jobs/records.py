"""What a record of a CSV file is, one at a time: RFC 4180 with comma, LF or CRLF.

Slow and exact. It reads the header of every file, and of files with quotes, NULs or
lone carriage returns the records that `source_file` cannot tell to be simple.
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
    """As it stood, line ends inside quotes included, without the one behind it."""
    fields: list[str] | None
    """None where a quote is out of place."""


class UnclosedQuote(FileRefused):
    """The lines ran out inside a quoted field."""


def records(lines: Iterable[str], *, first_line: int, file_name: str) -> Iterator[Record]:
    """Split physical lines, given without their line ends, into records; blank ones are passed over.

    A quote opens a field only at its start, and after the closing quote a comma or the
    end of the line must follow. Where something else follows, the record is malformed
    and reading goes on with the next physical line, so one slip of a quote costs one row.
    Raises UnclosedQuote, or FileRefused for a record too long to hold.
    """
    numbered = enumerate(lines, start=first_line)
    for number, line in numbered:
        start, parts, size = number, [line], 0
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
                size += len(line) + 1
                number, line = next(numbered, (0, ""))
                if not number or size > MAX_RECORD_BYTES:
                    raise _unclosed(file_name, start, ran_out=not number)
                at = 0
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


def without_line_end(raw: bytes) -> str:
    """A physical line as text, without the LF or CRLF at its end."""
    line = raw.decode("utf-8")
    if line.endswith("\n"):
        line = line[:-1]
        if line.endswith("\r"):
            line = line[:-1]
    return line


def _unclosed(file_name: str, line: int, *, ran_out: bool) -> FileRefused:
    where = "before the end of the file" if ran_out else f"within {MAX_RECORD_BYTES:,} bytes"
    return (UnclosedQuote if ran_out else FileRefused)(
        f"{file_name}, line {line}: a quote is opened and not closed {where}; "
        "close the quote, or write it twice where it is part of a value, and drop the file again"
    )
