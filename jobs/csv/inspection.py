"""Inspects all bytes in one pass before any row is read: encoding, length of lines, quotes."""

from __future__ import annotations

import codecs
from dataclasses import dataclass

import polars as pl

from jobs.csv.content import Content
from jobs.csv.records import MAX_RECORD_BYTES
from jobs.errors import FileRefused

_END_OF_FILE = b"\x1a"
"""DOS's end-of-file character."""
_TAIL_BYTES = 64


@dataclass(frozen=True)
class NotUtf8:
    """The first byte that is not UTF-8."""

    line: int
    byte: int
    reason: str


@dataclass(frozen=True)
class Inspection:
    is_unquoted: bool
    """No quote, no NUL, and carriage returns only before line feeds: Polars can parse it unchanged."""
    not_utf8: NotUtf8 | None
    end: int
    """Number of bytes before DOS's end-of-file character, or of all bytes."""


def inspect(content: Content, name: str, quote: str) -> Inspection:
    """Read the file once; raises FileRefused where a line is too long to hold in memory."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    not_utf8: NotUtf8 | None = None
    is_unquoted, offset, line_bytes, ends_in_return = True, 0, 0, False
    tail = b""
    marks = [mark.encode("utf-8") for mark in (quote, "\0") if mark]
    with content.open("rb") as file:
        # At most the longest line allowed, so a longer line leaves a whole block without a line end.
        for block in iter(lambda: file.read(MAX_RECORD_BYTES), b""):
            # Polars checks UTF-8 many times faster, but does not report where it fails.
            if not_utf8 is None and (decoder.getstate()[0] or not (block.isascii() or _is_utf8(block))):
                not_utf8 = _decode(decoder, block, content, offset)
            if b"\r" in block or ends_in_return:
                text = b"\r" + block if ends_in_return else block
                ends_in_return = block.endswith(b"\r")
                is_unquoted &= text.count(b"\r") - ends_in_return == text.count(b"\r\n")
            is_unquoted &= not any(mark in block for mark in marks)
            first_end = block.find(b"\n")
            line_bytes += len(block) if first_end < 0 else first_end
            if line_bytes > MAX_RECORD_BYTES:
                raise FileRefused(
                    f"{name}, line {_line_at(content, offset)}: the line is longer than {MAX_RECORD_BYTES:,} bytes, "
                    "which no transaction is; is this the right file?"
                )
            if first_end >= 0:
                line_bytes = len(block) - block.rfind(b"\n") - 1
            offset += len(block)
            tail = (tail + block[-_TAIL_BYTES:])[-_TAIL_BYTES:]
    not_utf8 = not_utf8 or _decode(decoder, b"", content, offset)
    return Inspection(is_unquoted and not ends_in_return, not_utf8, _end(tail, offset))


def _decode(decoder: codecs.IncrementalDecoder, block: bytes, content: Content, offset: int) -> NotUtf8 | None:
    """The first byte of a block that is not UTF-8. The block begins at `offset`; an empty one ends the file."""
    try:
        decoder.decode(block, not block)
    except UnicodeDecodeError as reason:
        start = offset + len(block) - len(reason.object) + reason.start
        return NotUtf8(_line_at(content, start), reason.object[reason.start], reason.reason)
    return None


def _end(tail: bytes, size: int) -> int:
    text = tail.rstrip(b"\r\n")
    return size - len(tail) + len(text.rstrip(_END_OF_FILE)) if text.endswith(_END_OF_FILE) else size


def _is_utf8(block: bytes) -> bool:
    try:
        pl.Series([block], dtype=pl.Binary()).cast(pl.String())
    except pl.exceptions.PolarsError:
        return False
    return True


def _line_at(content: Content, offset: int) -> int:
    """The line of a byte. It is counted only for a refusal, since counting costs as much as the rest of the
    inspection."""
    with content.open("rb") as file:
        lines = 1
        while offset > 0:
            block = file.read(min(offset, MAX_RECORD_BYTES))
            lines, offset = lines + block.count(b"\n"), offset - len(block)
        return lines
