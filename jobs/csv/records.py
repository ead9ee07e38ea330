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
    """Split physical lines, given without their line feeds, into records; blank ones are passed over.

    A quote opens a field only at its start, and after the closing quote a comma or the
    end of the line must follow. Where something else follows, the record is malformed
    and reading goes on with the next physical line, so one slip of a quote costs one row.
    Raises UnclosedQuote, or FileRefused for a record too long to hold.
    """
    numbered = enumerate(lines, start=first_line)
    for number, line in numbered:
        start, parts, size = number, [line], 0
        fields: list[str] = []
        is_sound, at = True, 0
        while True:
            line_end = len(line) - line.endswith("\r")
            if line[at : at + 1] != '"':
                comma = line.find(",", at)
                fields.append(line[at : line_end if comma < 0 else comma])
                if comma < 0:
                    break
                at = comma + 1
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
            fields.append("\n".join(value).replace('""', '"'))
            at, line_end = closing.end(), len(line) - line.endswith("\r")
            is_sound = at >= line_end or line[at] == ","
            if at >= line_end or not is_sound:
                break
            at += 1
        # A quoted nothing alone on a line is as blank as a blank line.
        if fields != [""] or not is_sound:
            text = "\n".join(parts)
            yield Record(start, number, text[: len(text) - len(line) + line_end], fields if is_sound else None)


def _unclosed(file_name: str, line: int, *, ran_out: bool) -> FileRefused:
    where = "before the end of the file" if ran_out else f"within {MAX_RECORD_BYTES:,} bytes"
    return (UnclosedQuote if ran_out else FileRefused)(
        f"{file_name}, line {line}: a quote is opened and not closed {where}; "
        "close the quote, or write it twice where it is part of a value, and drop the file again"
    )
