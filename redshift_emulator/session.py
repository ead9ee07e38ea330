"""One client's connection: TLS, sign-in, and a decision about every statement before it reaches PostgreSQL.

A request is read up to its Sync and handled as a whole. A statement is passed on, rewritten, emulated (COPY, UNLOAD,
TRUNCATE) or refused. A refused statement also fails in PostgreSQL, so the transaction fails as in Redshift.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import ssl
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from redshift_emulator import wire
from redshift_emulator.backend import Backend, BackendError
from redshift_emulator.copy_from_s3 import emulate_copy
from redshift_emulator.errors import RedshiftError, as_redshift
from redshift_emulator.s3 import ObjectStore
from redshift_emulator.sign_in import Passwords
from redshift_emulator.statements import Emulated, Plan, split_statements, understand
from redshift_emulator.threads import in_thread
from redshift_emulator.unload_to_s3 import emulate_unload

SERVER_VERSION = "8.0.2"
"""The server version that Redshift reports; the driver's row counts depend on it."""

_FOREIGN_TO_POSTGRESQL = ("client_protocol_version", "driver_version", "os_version", "driver_discovery_version")
_FAILS = "refused by the emulator"


@dataclass(frozen=True)
class ObservedStatement:
    """A statement before it is sent to PostgreSQL, or after it is done and before its sender gets the response."""

    session: int
    sql: str
    is_done: bool


@dataclass
class StatementObserver:
    """Gets every statement of every session; a ConnectionError from `on_statement` cuts the session's connection."""

    on_statement: Callable[[ObservedStatement], None] | None = None
    sessions: itertools.count[int] = field(default_factory=lambda: itertools.count(1))


@dataclass(frozen=True)
class SharedState:
    """The objects that all sessions of one warehouse share."""

    socket_path: Path
    tls: ssl.SSLContext
    passwords: Passwords
    superuser: str
    store: ObjectStore
    observer: StatementObserver


async def serve(shared: SharedState, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Serves one client until it disconnects; then PostgreSQL rolls back its transaction and frees its locks."""
    backend: Backend | None = None
    try:
        backend = await _sign_in(shared, reader, writer)
        if backend is not None:
            await _Session(shared, reader, writer, backend, next(shared.observer.sessions)).run()
    except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError, asyncio.CancelledError):
        pass  # the client or PostgreSQL is gone, or the warehouse stops: no response is possible
    finally:
        if backend is not None:
            backend.close()
        writer.transport.abort()


async def _sign_in(shared: SharedState, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Backend | None:
    code, packet = await wire.read_startup(reader)
    if code == wire.GSS_REQUEST:
        writer.write(b"N")
        code, packet = await wire.read_startup(reader)
    if code == wire.SSL_REQUEST:
        writer.write(b"S")
        await writer.start_tls(shared.tls)
        code, packet = await wire.read_startup(reader)
    elif code == wire.PROTOCOL_3:
        await _refuse_connection(writer, RedshiftError("28000", "SSL connection is required"))
        return None
    if code != wire.PROTOCOL_3:
        return None
    asked = wire.startup_parameters(packet)
    user = asked.get("user", "")
    salt = os.urandom(4)
    writer.write(wire.framed(b"R", (5).to_bytes(4, "big") + salt))
    hashed = (await wire.read_message(reader)).body.rstrip(b"\0")
    if not await _password_is_right(shared, user=user, hashed=hashed, salt=salt):
        await _refuse_connection(writer, RedshiftError("28000", f'password authentication failed for user "{user}"'))
        return None
    parameters = {name: value for name, value in asked.items() if name not in _FOREIGN_TO_POSTGRESQL}
    try:
        backend = await Backend.connect(shared.socket_path, parameters)
    except BackendError as error:
        await _refuse_connection(writer, RedshiftError(error.fields["C"], error.fields["M"]))
        return None
    for message in backend.greeting:
        if message.kind == b"S" and message.body.startswith(b"server_version\0"):
            writer.write(wire.parameter_status("server_version", SERVER_VERSION))
        else:
            writer.write(wire.framed(*message))
    await writer.drain()
    return backend


async def _password_is_right(shared: SharedState, *, user: str, hashed: bytes, salt: bytes) -> bool:
    admin_session = await Backend.connect(shared.socket_path, {"user": shared.superuser, "database": "postgres"})
    try:
        literal = _literal(user)
        rows = await admin_session.run(f"SELECT rolpassword FROM pg_authid WHERE rolname = {literal}")
        stored = rows[0][0] if rows else None
        if not shared.passwords.accepts(user=user, hashed=hashed, salt=salt, stored=stored):
            return False
        if not rows:
            # the first sign-in of a role with temporary credentials creates its database user
            with suppress(BackendError):  # a first sign-in at the same time may have created it
                await admin_session.run(f"CREATE ROLE {_identifier(user)} LOGIN")
        return True
    finally:
        admin_session.close()


def _literal(text: str) -> str:
    return "E'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


def _identifier(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


async def _refuse_connection(writer: asyncio.StreamWriter, error: RedshiftError) -> None:
    writer.write(wire.error_message({"S": "FATAL", **error.fields()}))
    await writer.drain()
    writer.close()
    with suppress(ConnectionError, ssl.SSLError):
        await writer.wait_closed()


@dataclass
class _Session:
    shared: SharedState
    client_reader: asyncio.StreamReader
    client: asyncio.StreamWriter
    backend: Backend
    number: int
    prepared: dict[bytes, Plan] = field(default_factory=dict)
    portals: dict[bytes, Plan] = field(default_factory=dict)
    texts: dict[bytes, str] = field(default_factory=dict)
    """Name of a prepared statement -> its text."""
    executing: str = ""
    last_copy_count: int = 0
    copy_count_is_stale: bool = False
    """True when PostgreSQL's copy of the count may have been rolled back; Redshift's never is."""

    async def run(self) -> None:
        """Handles requests until the client disconnects, even in the middle of a request."""
        requests: asyncio.Queue[list[wire.Message]] = asyncio.Queue(maxsize=8)
        listening = asyncio.create_task(self._listen(requests))
        handling = asyncio.create_task(self._handle(requests))
        try:
            done, _ = await asyncio.wait({listening, handling}, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            listening.cancel()
            handling.cancel()
            await asyncio.gather(listening, handling, return_exceptions=True)

    async def _listen(self, requests: asyncio.Queue[list[wire.Message]]) -> None:
        request: list[wire.Message] = []
        while True:
            message = await wire.read_message(self.client_reader)
            if message.kind == b"X":
                return
            if message.kind == b"H":
                continue  # the driver flushes after every message, and always sends a Sync later
            request.append(message)
            if message.kind in b"SQ":
                await requests.put(request)
                request = []

    async def _handle(self, requests: asyncio.Queue[list[wire.Message]]) -> None:
        while True:
            request = await requests.get()
            if request[-1].kind == b"Q":
                await self._simple(request[-1].body[:-1].decode())
            else:
                await self._extended(request)
            if self.copy_count_is_stale and self.backend.status == b"I":
                await self._publish_copy_count()
                self.copy_count_is_stale = False
            self.client.write(wire.framed(b"Z", self.backend.status))
            await self.client.drain()

    async def _simple(self, text: str) -> None:
        statements = split_statements(text)
        if not statements:
            self.client.write(wire.framed(b"I"))
        for statement in statements:
            plan = understand(statement)
            self.executing = statement
            await self._observe(is_done=False)
            if plan.emulated is None:
                self.backend.writer.write(wire.query_message(plan.sql))
                failed = await self._relay(plan.refusal)
            else:
                failed = not await self._emulate(plan.emulated)
            if failed:
                return

    async def _extended(self, request: list[wire.Message]) -> None:
        """Passes a request on; PostgreSQL finishes the earlier messages before an emulated statement runs."""
        refusal: RedshiftError | None = None
        outgoing: list[bytes] = []
        for message in request:
            if message.kind == b"P":
                asked = wire.parse_request(message.body)
                plan = understand(asked.sql, binds=len(asked.types))
                self.prepared[asked.name], self.texts[asked.name] = plan, asked.sql
                refusal = refusal or plan.refusal
                outgoing.append(wire.parse_message(asked.name, plan.sql, asked.types))
                continue
            if message.kind == b"B":
                portal, statement, _ = message.body.split(b"\0", 2)
                if statement in self.prepared:
                    self.portals[portal], self.executing = self.prepared[statement], self.texts[statement]
            elif message.kind == b"E":
                await self._observe(is_done=False)
                executed = self.portals.get(message.body.split(b"\0", 1)[0])
                if executed is not None and executed.emulated is not None:
                    self.backend.writer.write(b"".join(outgoing) + wire.SYNC)
                    outgoing = []
                    if await self._relay(refusal) or not await self._emulate(executed.emulated):
                        return
                    continue
            outgoing.append(wire.framed(*message))
        self.backend.writer.write(b"".join(outgoing))
        await self._relay(refusal)

    async def _relay(self, refusal: RedshiftError | None = None) -> bool:
        """Passes on PostgreSQL's response, except the final ReadyForQuery; returns True for an error."""
        failed = False
        while (message := await self.backend.receive()).kind != b"Z":
            if message.kind == b"E":
                failed = True
                self._send_error(refusal or as_redshift(wire.error_fields(message.body)))
            else:
                if message.kind == b"C":
                    await self._observe(is_done=True)
                self.client.write(wire.framed(*message))
                if message.kind == b"D":
                    await self.client.drain()
        return failed

    async def _observe(self, *, is_done: bool) -> None:
        on_statement = self.shared.observer.on_statement
        if on_statement is not None:
            await in_thread(on_statement, ObservedStatement(self.number, self.executing, is_done))

    def _send_error(self, error: RedshiftError) -> None:
        self.client.write(wire.error_message({"S": "ERROR", **error.fields()}))

    async def _emulate(self, emulated: Emulated) -> bool:
        """Carries out a statement that PostgreSQL cannot; False when it failed, and with it the transaction."""
        try:
            tag = await self._perform(emulated)
        except BackendError as error:
            self._send_error(as_redshift(error.fields))
            return False
        except RedshiftError as error:
            await self._fail_transaction()
            self._send_error(error)
            return False
        await self._observe(is_done=True)
        self.client.write(wire.framed(b"C", tag.encode() + b"\0"))
        return True

    async def _perform(self, emulated: Emulated) -> str:
        if emulated.copy is not None:
            count = await emulate_copy(emulated.copy, self.backend, self.shared.store)
            self.last_copy_count = count
            self.copy_count_is_stale = self.backend.status == b"T"
            await self._publish_copy_count()
            return "COPY"
        if emulated.unload is not None:
            await emulate_unload(emulated.unload, self.backend, self.shared.store)
            return "UNLOAD"
        assert emulated.commits is not None
        await self.backend.run(emulated.commits)
        if self.backend.status == b"T":
            await self.backend.run("COMMIT")
        return "TRUNCATE TABLE"

    async def _publish_copy_count(self) -> None:
        await self.backend.run(f"SET redshift.last_copy_count = {self.last_copy_count}")

    async def _fail_transaction(self) -> None:
        if self.backend.status == b"T":
            with suppress(BackendError):
                await self.backend.run(_FAILS)
