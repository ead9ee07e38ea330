"""Detects a file's format from its first bytes, not its name, and gives its content as UTF-8 with line feeds.

Gzip is unpacked, UTF-16 and a declared encoding are decoded, lone carriage returns of a file
without line feeds become line feeds. A file of another format is refused with the name of that format.
"""

from __future__ import annotations

import codecs
import gzip
import re
import zlib
from collections.abc import Iterator
from functools import partial

from jobs.csv.content import Content, Streamed
from jobs.csv.records import MAX_RECORD_BYTES
from jobs.errors import FileRefused

BLOCK_BYTES = 1024 * 1024
GZIP = b"\x1f\x8b"
_HEAD_BYTES = 4096
_MOST_LAYERS = 3
"""A .csv.gz that is compressed again in transit has two layers."""

_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (codecs.BOM_UTF8, "utf-8"),
)
_TWO_BYTES = (
    (re.compile(rb"(?:[\t -~]\0){8}"), "utf-16-le"),
    (re.compile(rb"(?:\0[\t -~]){8}"), "utf-16-be"),
)
_WESTERN = ("cp1252", "iso8859-1", "iso8859-15")
_FORMATS = (
    (b"\xd0\xcf\x11\xe0", "a workbook of Excel 97; open it and save it as CSV UTF-8"),
    (b"%PDF", "a PDF document; export the rows as CSV"),
    (b"PAR1", "a Parquet file; export the rows as CSV"),
    (b"SQLite format 3", "an SQLite database; export the rows as CSV"),
    (b"\x28\xb5\x2f\xfd", "compressed with Zstandard; compress it with gzip or not at all"),
    (b"BZh", "compressed with bzip2; compress it with gzip or not at all"),
    (b"\xfd7zXZ", "compressed with xz; compress it with gzip or not at all"),
    (b"\x04\x22\x4d\x18", "compressed with LZ4; compress it with gzip or not at all"),
    (b"\xff\x06\0\0sNaPpY", "compressed with Snappy; compress it with gzip or not at all"),
    (b"\x1f\x9d", "compressed with compress (.Z); compress it with gzip or not at all"),
    (b"-----BEGIN PGP", "encrypted or signed with PGP; save its content as CSV"),
    (b"PK\x05\x06", "an empty zip archive; export the rows as CSV"),
    (b"ARROW1", "an Arrow file; export the rows as CSV"),
    (b"SEQ\x06", "a sequence file of Hadoop; export the rows as CSV"),
    (b"PGDMP", "a dump of PostgreSQL; export the rows as CSV"),
    (b"7z\xbc\xaf", "a 7-Zip archive; unpack it"),
    (b"Rar!", "a RAR archive; unpack it"),
    (b"{\\rtf", "an RTF document; save its rows as CSV"),
    (b"Obj\x01", "an Avro file; export the rows as CSV"),
    (b"\x89PNG", "an image; export the rows as CSV"),
    (b"\xff\xd8\xff", "an image; export the rows as CSV"),
    (b"GIF8", "an image; export the rows as CSV"),
    (b"version https://git-lfs", "a pointer of Git LFS and not the file itself; fetch that"),
    (b"ORC", "an ORC file; export the rows as CSV"),
)
_TAR_AT = 257
_ZIP = b"PK\x03\x04"
_WORKBOOK_SIGNS = (b"[Content_Types].xml", b"xl/", b"mimetypeapplication/vnd.oasis.opendocument.spreadsheet", b".iwa")


def unpacked(content: Content, name: str) -> Content:
    """The content of a file that may be compressed with gzip, whatever its name is.

    Reading it raises FileRefused where the file is torn.
    """
    for _ in range(_MOST_LAYERS):
        if not _head(content).startswith(GZIP):
            break
        content = Streamed(partial(_unpack, content, name))
    return content


def _unpack(packed: Content, name: str) -> Iterator[bytes]:
    try:
        with packed.open("rb") as file, gzip.open(file) as source:
            yield from iter(lambda: source.read(BLOCK_BYTES), b"")
    except (EOFError, gzip.BadGzipFile, zlib.error) as reason:
        raise FileRefused(f"{name} is not a whole gzip file ({reason}); compress it again and upload it") from None


def refuse_other_formats(content: Content, name: str) -> None:
    """Raises FileRefused where the first bytes say that this is no CSV file."""
    head = _head(content)
    file_format = next((file_format for sign, file_format in _FORMATS if head.startswith(sign)), None)
    if file_format is None and head.startswith(_ZIP):
        is_workbook = any(sign in head for sign in _WORKBOOK_SIGNS)
        file_format = (
            "a workbook (Excel or the like), not CSV; open it and save it as CSV UTF-8"
            if is_workbook
            else "a zip archive; unpack it"
        )
    if file_format is None and head[_TAR_AT:].startswith(b"ustar"):
        file_format = "a tar archive; unpack it"
    text = head.removeprefix(codecs.BOM_UTF8).lstrip()
    if file_format is None and text[:1] == b"<":
        is_html = any(tag in text.lower() for tag in (b"<html", b"<!doctype html", b"<table", b"<body", b"<div"))
        file_format = f"{'a web page (HTML)' if is_html else 'an XML document'}; export the rows as CSV"
    if file_format is None and text[:1] in (b"{", b"[") and text[1:].lstrip()[:1] in (b'"', b"{", b"[", b"}", b"]"):
        file_format = "JSON; export the rows as CSV"
    if file_format is not None:
        raise FileRefused(f"{name} is {file_format}, and upload that; nothing was loaded")


def encoding_of(content: Content, declared: str) -> str:
    """The encoding that the byte order mark names. Without a mark: UTF-16 where ASCII takes two bytes, else the
    declared one.

    A declared Western European encoding gives way to UTF-8 where all non-ASCII bytes are valid UTF-8: that never
    happens by chance.
    """
    head = _head(content)
    marked = next((encoding for mark, encoding in _BYTE_ORDER_MARKS if head.startswith(mark)), None)
    encoding = marked or next((encoding for pattern, encoding in _TWO_BYTES if pattern.match(head)), declared)
    return "utf-8" if encoding in _WESTERN and _is_beyond_ascii_in_utf8(content) else encoding


def _is_beyond_ascii_in_utf8(content: Content) -> bool:
    decoder, is_ascii = codecs.getincrementaldecoder("utf-8")(), True
    try:
        with content.open("rb") as file:
            for block in iter(lambda: file.read(BLOCK_BYTES), b""):
                is_ascii = is_ascii and block.isascii()
                decoder.decode(block)
            decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return not is_ascii


def as_utf8(content: Content, name: str, encoding: str) -> Content:
    """The file in UTF-8 with its lines unchanged; reading raises FileRefused at a byte that the encoding lacks."""
    return content if encoding == "utf-8" else Streamed(partial(_decode, content, name, encoding))


def _decode(content: Content, name: str, encoding: str) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder(encoding)()
    lines = 1
    with content.open("rb") as source:
        block = b"-"
        while block:
            block = source.read(BLOCK_BYTES)
            try:
                text = decoder.decode(block, not block)
            except UnicodeDecodeError as reason:
                lines += decoded_lines(reason)
                raise FileRefused(
                    f"{name}, about line {lines}: the byte 0x{reason.object[reason.start]:02x} is not "
                    f"{encoding} ({reason.reason}); save the file in that encoding and upload it again"
                ) from None
            lines += text.count("\n")
            yield text.encode("utf-8", "surrogatepass")


def decoded_lines(reason: UnicodeDecodeError) -> int:
    """The number of line feeds before the byte that cannot be decoded."""
    return bytes(reason.object[: reason.start]).count(b"\n")


def with_line_feeds(content: Content) -> Content:
    """The file with each carriage return as a line feed, if it has no line feed at all (`CSV Macintosh`)."""
    with content.open("rb") as source:
        first = source.read(MAX_RECORD_BYTES)
        if b"\r" not in first or b"\n" in first:
            return content
        if any(b"\n" in block for block in iter(lambda: source.read(BLOCK_BYTES), b"")):
            return content
    return Streamed(partial(_replace_returns, content))


def _replace_returns(content: Content) -> Iterator[bytes]:
    with content.open("rb") as source:
        for block in iter(lambda: source.read(BLOCK_BYTES), b""):
            yield block.replace(b"\r", b"\n")


def _head(content: Content) -> bytes:
    with content.open("rb") as file:
        return file.read(_HEAD_BYTES)
