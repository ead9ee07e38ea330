"""One PostgreSQL session behind the emulator, and the emulator's own queries on it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from redshift_emulator import wire

# PostgreSQL accepts connections before it is ready: for a moment, on a busy machine for many seconds.
_STARTING_SECONDS = 120


class BackendError(Exception):
    """PostgreSQL returned an error; `fields` are the fields of its ErrorResponse."""

    def __init__(self, fields: Mapping[str, str]) -> None:
        super().__init__(f"{fields.get('C')}: {fields.get('M')}")
        self.fields = dict(fields)


@dataclass
class Backend:
    """A session of PostgreSQL; `status` is I (idle), T (in a transaction) or E (in a failed one)."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    greeting: list[wire.Message]
    status: bytes = b"I"

    @classmethod
    async def connect(cls, socket_path: Path, parameters: Mapping[str, str]) -> Backend:
        """Opens a session. The caller has checked the password, since PostgreSQL trusts every client of its socket."""
        deadline = time.monotonic() + _STARTING_SECONDS
        while time.monotonic() < deadline:
            reader, writer = await asyncio.open_unix_connection(str(socket_path), limit=1 << 20)
            writer.write(wire.startup_packet(parameters))
            backend = cls(reader, writer, [])
            try:
                await backend._read_greeting()
            except BackendError as error:
                backend.close()
                # 57P03: the server is still starting up
                if error.fields["C"] != "57P03":
                    raise
                await asyncio.sleep(0.02)
            else:
                return backend
        raise ConnectionError(f"PostgreSQL behind {socket_path} did not become ready")

    async def _read_greeting(self) -> None:
        while True:
            message = await self.receive()
            if message.kind == b"E":
                raise BackendError(wire.error_fields(message.body))
            self.greeting.append(message)
            if message.kind == b"Z":
                return

    async def receive(self) -> wire.Message:
        """The next message from PostgreSQL."""
        message = await wire.read_message(self.reader)
        if message.kind == b"Z":
            self.status = message.body
        return message

    async def run(self, sql: str) -> list[list[str | None]]:
        """Runs `sql` as a simple query; returns its rows as text, or raises BackendError."""
        self.writer.write(wire.query_message(sql))
        rows: list[list[str | None]] = []
        error: BackendError | None = None
        while (message := await self.receive()).kind != b"Z":
            if message.kind == b"D":
                rows.append(wire.data_row(message.body))
            elif message.kind == b"E":
                error = BackendError(wire.error_fields(message.body))
        if error is not None:
            raise error
        return rows

    def close(self) -> None:
        """Ends the session at once; PostgreSQL rolls back an open transaction."""
        self.writer.transport.abort()
