"""What a file is, by its first bytes and not by its name, and its content as UTF-8 with line feeds.

Gzip is unpacked, UTF-16 and a declared encoding are decoded, lone carriage returns of a file
without line feeds become line feeds. What is no CSV at all is refused by what it is.
"""

from __future__ import annotations

import codecs
import gzip
import re
import zlib
from pathlib import Path

from jobs.csv.records import MAX_RECORD_BYTES
from jobs.errors import FileRefused
from jobs.room import MAX_FILE_BYTES

BLOCK_BYTES = 1024 * 1024
GZIP = b"\x1f\x8b"
_HEAD_BYTES = 4096
_MOST_LAYERS = 3
"""A .csv.gz that is compressed once more on its way has two layers."""

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
_FORMATS = (
    (b"\xd0\xcf\x11\xe0", "a workbook of Excel 97; open it and save it as CSV UTF-8"),
    (b"%PDF", "a PDF document; export the rows as CSV"),
    (b"PAR1", "a Parquet file; export the rows as CSV"),
    (b"SQLite format 3", "an SQLite database; export the rows as CSV"),
    (b"\x28\xb5\x2f\xfd", "compressed with Zstandard; compress it with gzip or not at all"),
    (b"BZh", "compressed with bzip2; compress it with gzip or not at all"),
    (b"\xfd7zXZ", "compressed with xz; compress it with gzip or not at all"),
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
_WORKBOOK_SIGNS = (b"[Content_Types].xml", b"xl/", b"mimetypeapplication/vnd.oasis.opendocument.spreadsheet")


def unpack(packed: Path, unpacked: Path, name: str) -> Path:
    """Unpack a gzip file; raises FileRefused where it is torn or unpacks to more than fits on the disk."""
    written = 0
    try:
        with gzip.open(packed, "rb") as source, unpacked.open("wb") as target:
            for block in iter(lambda: source.read(BLOCK_BYTES), b""):
                written += target.write(block)
                if written > MAX_FILE_BYTES:
                    raise FileRefused(
                        f"{name} unpacks to more than {MAX_FILE_BYTES:,} bytes; "
                        "split it and upload the parts of the day one by one"
                    )
    except (EOFError, gzip.BadGzipFile, zlib.error) as reason:
        raise FileRefused(f"{name} is not a whole gzip file ({reason}); pack it anew and upload it again") from None
    return unpacked


def is_gzip(path: Path) -> bool:
    """True by its first bytes: a tool may pack a file or unpack it on its way and leave its name."""
    return _head(path).startswith(GZIP)


def unpack_all(path: Path, name: str, scratch: Path) -> Path:
    """The content of a file that may be compressed with gzip, whatever it is called."""
    for layer in range(_MOST_LAYERS):
        if not is_gzip(path):
            return path
        path = unpack(path, scratch / f"{path.name}.{layer}.unpacked", name)
    return path


def refuse_other_formats(path: Path, name: str) -> None:
    """Raises FileRefused where the first bytes say that this is no CSV file."""
    head = _head(path)
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
        is_html = b"<html" in text.lower()
        file_format = f"{'a web page (HTML)' if is_html else 'an XML document'}; export the rows as CSV"
    if file_format is None and text[:1] in (b"{", b"[") and text[1:].lstrip()[:1] in (b'"', b"{", b"[", b"}", b"]"):
        file_format = "JSON; export the rows as CSV"
    if file_format is not None:
        raise FileRefused(f"{name} is {file_format}, and upload that; nothing was loaded")


def encoding_of(path: Path, declared: str) -> str:
    """That of the byte order mark; without one, UTF-16 where ASCII takes two bytes, or else the declared one."""
    head = _head(path)
    named = next((encoding for mark, encoding in _BYTE_ORDER_MARKS if head.startswith(mark)), None)
    return named or next((encoding for pattern, encoding in _TWO_BYTES if pattern.match(head)), declared)


def as_utf8(path: Path, name: str, encoding: str, scratch: Path) -> Path:
    """The file in UTF-8, line by line as it was; raises FileRefused at a byte that the encoding does not have."""
    if encoding == "utf-8":
        return path
    converted = scratch / f"{path.name}.utf-8"
    decoder = codecs.getincrementaldecoder(encoding)()
    lines = 1
    with path.open("rb") as source, converted.open("wb") as target:
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
            target.write(text.encode("utf-8", "surrogatepass"))
    return converted


def decoded_lines(reason: UnicodeDecodeError) -> int:
    """Line feeds in what could be decoded before the byte that could not."""
    return bytes(reason.object[: reason.start]).count(b"\n")


def with_line_feeds(path: Path, scratch: Path) -> Path:
    """The file with a line feed for each carriage return where it has none at all (`CSV Macintosh`)."""
    with path.open("rb") as source:
        first = source.read(MAX_RECORD_BYTES)
        if b"\r" not in first or b"\n" in first:
            return path
        if any(b"\n" in block for block in iter(lambda: source.read(BLOCK_BYTES), b"")):
            return path
        source.seek(0)
        converted = scratch / f"{path.name}.lines"
        with converted.open("wb") as target:
            for block in iter(lambda: source.read(BLOCK_BYTES), b""):
                target.write(block.replace(b"\r", b"\n"))
    return converted


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_HEAD_BYTES)
