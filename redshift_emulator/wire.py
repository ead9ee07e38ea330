"""The messages of the PostgreSQL wire protocol, version 3, that the emulator reads and writes."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Mapping
from typing import NamedTuple

PROTOCOL_3 = 196608
SSL_REQUEST = 80877103
GSS_REQUEST = 80877104

SYNC = b"S\x00\x00\x00\x04"
COPY_DONE = b"c\x00\x00\x00\x04"

_HEADER = struct.Struct("!ci")


class Message(NamedTuple):
    """One framed message: its one-byte kind and its body without the length."""

    kind: bytes
    body: bytes


class ParseRequest(NamedTuple):
    """A Parse message: a request to prepare `sql` under `name`; `types` are the types of its binds."""

    name: bytes
    sql: str
    types: tuple[int, ...]


def framed(kind: bytes, body: bytes = b"") -> bytes:
    """The bytes of one message."""
    return kind + struct.pack("!i", len(body) + 4) + body


async def read_message(reader: asyncio.StreamReader) -> Message:
    """The next message; raises asyncio.IncompleteReadError when the other side is gone."""
    kind, length = _HEADER.unpack(await reader.readexactly(5))
    return Message(kind, await reader.readexactly(length - 4))


async def read_startup(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """The request code and the rest of a connection's first packet, which has no kind."""
    (length,) = struct.unpack("!i", await reader.readexactly(4))
    if not 8 <= length <= 10_000:
        raise ConnectionError(f"a start-up packet of {length} bytes is not of the PostgreSQL protocol")
    packet = await reader.readexactly(length - 4)
    return struct.unpack_from("!i", packet)[0], packet[4:]


def startup_packet(parameters: Mapping[str, str]) -> bytes:
    """The start-up packet that asks for a session with these parameters."""
    pairs = b"".join(f"{name}\0{value}\0".encode() for name, value in parameters.items())
    body = struct.pack("!i", PROTOCOL_3) + pairs + b"\0"
    return struct.pack("!i", len(body) + 4) + body


def startup_parameters(packet: bytes) -> dict[str, str]:
    """The parameters of a start-up packet."""
    words = packet.split(b"\0")
    return {name.decode(): value.decode() for name, value in zip(words[::2], words[1::2], strict=False) if name}


def parse_request(body: bytes) -> ParseRequest:
    """The request in a Parse message."""
    name, rest = body.split(b"\0", 1)
    sql, types = rest.split(b"\0", 1)
    (count,) = struct.unpack_from("!H", types)
    return ParseRequest(name, sql.decode(), struct.unpack_from(f"!{count}I", types, 2))


def parse_message(name: bytes, sql: str, types: tuple[int, ...] = ()) -> bytes:
    """The Parse message that prepares `sql` under `name`."""
    return framed(b"P", name + b"\0" + sql.encode() + b"\0" + struct.pack(f"!H{len(types)}I", len(types), *types))


def query_message(sql: str) -> bytes:
    """The simple Query message."""
    return framed(b"Q", sql.encode() + b"\0")


def error_fields(body: bytes) -> dict[str, str]:
    """The fields of an ErrorResponse or NoticeResponse by their letter: S, C (SQLSTATE), M, D, …"""
    return {field[:1].decode(): field[1:].decode("utf-8", "replace") for field in body.split(b"\0") if field}


def error_message(fields: Mapping[str, str]) -> bytes:
    """The ErrorResponse with these fields."""
    return framed(b"E", b"".join(f"{letter}{text}\0".encode() for letter, text in fields.items()) + b"\0")


def parameter_status(name: str, value: str) -> bytes:
    """The ParameterStatus message that reports a setting of the session to the client."""
    return framed(b"S", f"{name}\0{value}\0".encode())


def data_row(body: bytes) -> list[str | None]:
    """The values of a DataRow in text format."""
    (count,) = struct.unpack_from("!H", body)
    values: list[str | None] = []
    position = 2
    for _ in range(count):
        (length,) = struct.unpack_from("!i", body, position)
        position += 4
        if length < 0:
            values.append(None)
        else:
            values.append(body[position : position + length].decode())
            position += length
    return values


class ResultColumn(NamedTuple):
    """A column of a RowDescription."""

    name: str
    type_oid: int
    type_modifier: int


def row_description(body: bytes) -> list[ResultColumn]:
    """The columns of a RowDescription."""
    (count,) = struct.unpack_from("!H", body)
    columns = []
    position = 2
    for _ in range(count):
        end = body.index(b"\0", position)
        name = body[position:end].decode()
        _, _, oid, _, modifier, _ = struct.unpack_from("!IhIhih", body, end + 1)
        columns.append(ResultColumn(name, oid, modifier))
        position = end + 19
    return columns
