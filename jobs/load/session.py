"""One signed-in connection to the warehouse, and how work is sent and retried through it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Callable, Protocol, TypeVar

import redshift_connector
from redshift_connector.error import Error as DriverError
from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from jobs.arguments import WarehouseAddress
from jobs.errors import WarehouseBusy, WarehouseLost
from jobs.load.driver_errors import translate_driver_errors

_ATTEMPTS = 5
_Result = TypeVar("_Result")


class Cursor(Protocol):
    """The part of a DB-API cursor that is used here."""

    def fetchone(self) -> Any: ...
    def fetchall(self) -> Any: ...


class Connection(Protocol):
    """The part of a DB-API connection that is used here."""

    def cursor(self) -> Any: ...
    def commit(self) -> None: ...
    def rollback(self) -> None: ...
    def close(self) -> None: ...


class WarehouseSession:
    """One signed-in connection for a whole attempt, opened when it is first needed and again when it is lost.

    Signing in costs more than any statement of a small load, so the session is kept
    while the rows are validated.
    """

    def __init__(self, warehouse: WarehouseAddress) -> None:
        self.warehouse = warehouse
        self._connection: Connection | None = None

    def __enter__(self) -> WarehouseSession:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @retry(
        # Other transient errors take longer than seconds to pass.
        retry=retry_if_exception_type((WarehouseBusy, WarehouseLost)),
        stop=stop_after_attempt(_ATTEMPTS),
        wait=wait_random_exponential(multiplier=0.5, max=30),
        reraise=True,
    )
    def run(self, send: Callable[[Connection], _Result]) -> _Result:
        """Send one piece of work; a retry sends all of it on a new connection. Only errors that pass soon are retried
        here: a serialisation failure, a lock not had in
        time, a lost connection. A failed try leaves nothing: closing the connection rolls back and drops the temp
        tables.
        """
        with translate_driver_errors():
            try:
                if self._connection is None:
                    self._connection = self._sign_in()
                return send(self._connection)
            except BaseException:
                self.close()
                raise

    def close(self) -> None:
        """Close the connection, if there is one; the server rolls back uncommitted work."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(DriverError, OSError):
                connection.close()

    def _sign_in(self) -> Connection:
        warehouse = self.warehouse
        connection: Connection = redshift_connector.connect(
            iam=True,
            host=warehouse.host,
            port=warehouse.port,
            database=warehouse.database,
            region=warehouse.region,
            is_serverless=True,
            serverless_work_group=warehouse.workgroup,
            serverless_acct_id=warehouse.account_id,
            # Without the driver's cache of passwords: it returns a password up to its last second, which may expire on
            # the way. An attempt rarely signs in twice.
            iam_disable_cache=True,
            # The session's name, also in SVV_TRANSACTIONS; without one the driver takes a name from the call stack.
            application_name="transactions-pipeline",
            # No socket timeout, which would also cut a long MERGE. By default Linux probes a silent peer after two
            # hours, and AWS's load balancers forget a flow after 350 idle seconds.
            tcp_keepalive=True,
            tcp_keepalive_idle=60,
            tcp_keepalive_interval=30,
            tcp_keepalive_count=5,
        )
        return connection


def execute(connection: Connection, statement: str, binds: Sequence[object] = ()) -> Cursor:
    """Send one statement in the connection's transaction."""
    cursor = connection.cursor()
    cursor.execute(statement, list(binds)) if binds else cursor.execute(statement)
    result: Cursor = cursor
    return result


def fetch_row(connection: Connection, statement: str, binds: Sequence[object] = ()) -> Any:
    """The first row, or None."""
    return execute(connection, statement, binds).fetchone()


def fetch_rows(connection: Connection, statement: str, binds: Sequence[object] = ()) -> list[Any]:
    """Every row."""
    return list(execute(connection, statement, binds).fetchall())
