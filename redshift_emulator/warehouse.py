"""The running warehouse: starts and stops all parts, gives connection arguments, and creates databases."""

from __future__ import annotations

import asyncio
import itertools
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any

from redshift_emulator.backend import Backend
from redshift_emulator.engine import SUPERUSER, Engine, start_engine
from redshift_emulator.s3 import ObjectStore
from redshift_emulator.session import SharedState, StatementObserver, serve
from redshift_emulator.sign_in import (
    CredentialsEndpoint,
    Passwords,
    UserOf,
    client_trust,
    make_certificates,
    user_by_sts,
)
from redshift_emulator.threads import LoopThread

_APPLICATION = "redshift-emulator"
"""The name of a session. Without one the driver searches the whole call stack for one, for a tenth of a second."""

_SESSION_FUNCTIONS = (
    # functions of Redshift that PostgreSQL lacks
    """CREATE FUNCTION pg_catalog.getdate() RETURNS timestamp LANGUAGE sql STABLE
       AS $$SELECT date_trunc('second', statement_timestamp() AT TIME ZONE 'UTC')$$""",
    """CREATE FUNCTION pg_catalog.pg_last_copy_count() RETURNS integer LANGUAGE sql STABLE
       AS $$SELECT coalesce(nullif(current_setting('redshift.last_copy_count', true), ''), '0')::integer$$""",
    """CREATE FUNCTION pg_catalog.len(text) RETURNS integer LANGUAGE sql IMMUTABLE STRICT
       AS $$SELECT length($1)$$""",
    # everyone may create in public, as in Redshift
    "GRANT ALL ON SCHEMA public TO PUBLIC",
)


@dataclass
class Warehouse:
    """A running warehouse; leaving the `with` block stops it and removes its files outside the data folder."""

    host: str
    port: int
    database: str
    admin_user: str
    admin_password: str
    credentials_url: str
    authority_file: Path
    observer: StatementObserver
    """Gets every statement while it has a callback."""
    _engine: Engine = field(repr=False)
    _passwords: Passwords = field(repr=False)
    _endpoint: CredentialsEndpoint = field(repr=False)
    _loop: LoopThread = field(repr=False)
    _server: asyncio.Server = field(repr=False)
    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1), repr=False)
    _stopped: bool = field(default=False, repr=False)

    @classmethod
    def start(
        cls,
        data_dir: Path | None = None,
        *,
        s3_endpoint_url: str | None = None,
        database: str = "dev",
        admin_user: str = "admin",
        default_role: str = "developer",
        user_of: UserOf | None = None,
        region: str = "us-east-1",
        service_credentials: tuple[str, str] = ("emulator", "emulator"),
    ) -> Warehouse:
        """Starts a warehouse on a free port of 127.0.0.1.

        `data_dir` keeps the data between starts; without it the data is deleted at the end. `s3_endpoint_url` serves S3
        for COPY and UNLOAD, and STS for the roles that they name (with `service_credentials`) and for sign-in.
        `user_of` maps a caller's access key to a database user, instead of STS. `region` is the Region for signing
        requests to S3 and STS.
        """
        engine, loop = start_engine(data_dir), LoopThread()
        try:
            passwords, observer, admin_password = Passwords(), StatementObserver(), secrets.token_urlsafe(16)
            tls, authority = make_certificates(engine.socket_path.parent)
            store = ObjectStore(s3_endpoint_url, service_credentials, region)
            shared = SharedState(engine.socket_path, tls, passwords, SUPERUSER, store, observer)
            loop.run(_prepare(engine, database=database, admin_user=admin_user, admin_password=admin_password))
            server = loop.run(_listen(shared))
            users = user_of or user_by_sts(s3_endpoint_url, default_role=default_role, region=region)
            endpoint = CredentialsEndpoint(passwords, users)
        except BaseException:
            loop.stop()
            engine.stop()
            raise
        return cls(
            host="127.0.0.1",
            port=server.sockets[0].getsockname()[1],
            database=database,
            admin_user=admin_user,
            admin_password=admin_password,
            credentials_url=endpoint.url,
            authority_file=authority,
            observer=observer,
            _engine=engine,
            _passwords=passwords,
            _endpoint=endpoint,
            _loop=loop,
            _server=server,
        )

    def client_environment(self) -> dict[str, str]:
        """The environment variables with which a client process reaches this warehouse."""
        return {**client_trust(self.authority_file), "AWS_ENDPOINT_URL_REDSHIFT_SERVERLESS": self.credentials_url}

    def issue_password(self, user: str) -> tuple[str, datetime]:
        """A temporary password of a database user, as from GetCredentials, and the time when it expires."""
        return self._passwords.issue(user)

    def admin_connection(self, database: str | None = None) -> dict[str, Any]:
        """The arguments with which `redshift_connector.connect` signs in as the admin user."""
        return {
            "host": self.host,
            "port": self.port,
            "database": database or self.database,
            "user": self.admin_user,
            "password": self.admin_password,
            "ssl": True,
            "application_name": _APPLICATION,
        }

    def iam_connection(self, database: str | None = None) -> dict[str, Any]:
        """The arguments with which `redshift_connector.connect` signs in with the caller's role, as the job does."""
        return {
            "iam": True,
            # the driver would reuse a cached password of another warehouse
            "iam_disable_cache": True,
            "host": self.host,
            "port": self.port,
            "database": database or self.database,
            "region": "us-east-1",
            "is_serverless": True,
            "serverless_work_group": "emulator",
            "serverless_acct_id": "123456789012",
            "application_name": _APPLICATION,
        }

    def postgres_connection(self, database: str | None = None) -> dict[str, Any]:
        """Where the PostgreSQL behind the emulator listens, for a tool that can read the catalogue of PostgreSQL only.

        The host is the folder of a Unix socket. The user needs no password.
        """
        folder, port = self._engine.socket_path.parent, int(self._engine.socket_path.suffix[1:])
        return {"host": str(folder), "port": port, "database": database or self.database, "user": SUPERUSER}

    def fresh_database(self) -> str:
        """The name of a new, empty database of this warehouse."""
        name = f"db{next(self._numbers)}_{secrets.token_hex(4)}"
        self._as_superuser(f'CREATE DATABASE "{name}" OWNER "{self.admin_user}"')
        return name

    def drop_database(self, name: str) -> None:
        """Removes a database and closes its connections."""
        self._as_superuser(f'DROP DATABASE "{name}" WITH (FORCE)')

    def stop(self) -> None:
        """Stops all parts and closes open sessions."""
        if self._stopped:
            return
        self._stopped = True
        self._endpoint.stop()
        self._loop.run(_close(self._server))
        self._loop.stop()
        self._engine.stop()

    def __enter__(self) -> Warehouse:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _as_superuser(self, *statements: str) -> None:
        self._loop.run(_run_as_superuser(self._engine, "postgres", statements))


async def _listen(shared: SharedState) -> asyncio.Server:
    """Starts to serve clients on a free port of 127.0.0.1."""
    return await asyncio.start_server(
        lambda reader, writer: serve(shared, reader, writer), "127.0.0.1", 0, limit=1 << 20
    )


async def _prepare(engine: Engine, *, database: str, admin_user: str, admin_password: str) -> None:
    """Creates the missing users, functions and databases of a data folder, and sets a new admin password."""
    admin_session = await Backend.connect(engine.socket_path, {"user": SUPERUSER, "database": "postgres"})
    try:
        known = await admin_session.run(f"SELECT 1 FROM pg_roles WHERE rolname = '{admin_user}'")
        if not known:
            await _run_as_superuser(engine, "template1", _SESSION_FUNCTIONS)
            await admin_session.run(f'CREATE ROLE "{admin_user}" SUPERUSER LOGIN')
            await admin_session.run(f'CREATE DATABASE "{database}" OWNER "{admin_user}"')
        await admin_session.run(f"ALTER ROLE \"{admin_user}\" PASSWORD '{admin_password}'")
    finally:
        admin_session.close()


async def _run_as_superuser(engine: Engine, database: str, statements: Sequence[str]) -> None:
    admin_session = await Backend.connect(engine.socket_path, {"user": SUPERUSER, "database": database})
    try:
        for statement in statements:
            await admin_session.run(statement)
    finally:
        admin_session.writer.close()
        await admin_session.writer.wait_closed()


async def _close(server: asyncio.Server) -> None:
    server.close()
    sessions = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in sessions:
        task.cancel()
    await asyncio.gather(*sessions, return_exceptions=True)
    await asyncio.get_running_loop().shutdown_default_executor()
