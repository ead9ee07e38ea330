"""The load protocol: staged rows into Redshift in one transaction, or not at all.

Every decision about the SQL is in `schemas.warehouse.sql`; here is the order in which it is sent,
what is checked in between, and which of the driver's errors is worth another try.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Callable, TypeVar

import redshift_connector
from redshift_connector.error import Error as DriverError
from redshift_connector.error import InterfaceError, OperationalError
from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from jobs.arguments import Warehouse
from jobs.errors import JobError, TerminalError, TransientError, Unbalanced, WarehouseBusy, WarehouseLost
from jobs.s3 import Prefix
from schemas.counts import COUNTS
from schemas.warehouse import sql
from schemas.warehouse.tables import LOAD_LEDGER, STAGED_TRANSACTIONS, Dimension, Table

LOCK_TIMEOUT_SECONDS = 300
"""How long a load waits for the load before it. Longer than any load should take."""

STATEMENT_TIMEOUT_SECONDS = 1800

_ATTEMPTS = 5
# Redshift's own number has no SQLSTATE of its own. A load_id of digits may stand further on in any text.
_SERIALISATION_FAILURE = re.compile(r"^(?:ERROR:\s*)?1023\b|Serializable isolation")
_Result = TypeVar("_Result")


@dataclass(frozen=True)
class Staged:
    """What waits on S3 to be loaded."""

    rows: int
    manifest_uri: str


@dataclass(frozen=True)
class Outcomes:
    """What became of staged rows."""

    inserted: int
    updated: int
    unchanged: int
    stale: int

    @property
    def rows(self) -> int:
        return self.inserted + self.updated + self.unchanged + self.stale


@dataclass(frozen=True)
class Committed:
    counts: dict[str, int]
    """The seven counts of this attempt."""
    first_commit: dict[str, int] | None
    """The seven counts in the ledger, where an earlier attempt had committed this load."""


class WarehouseSession:
    """One signed-in connection for a whole attempt, made when it is first needed and made anew when it is lost.

    Signing in costs more than any statement of a small load, so the session is kept
    while the rows are judged.
    """

    def __init__(self, warehouse: Warehouse) -> None:
        self.warehouse = warehouse
        self._connection: Any = None

    def __enter__(self) -> WarehouseSession:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @retry(
        retry=retry_if_exception_type(TransientError),
        stop=stop_after_attempt(_ATTEMPTS),
        wait=wait_random_exponential(multiplier=0.5, max=30),
        reraise=True,
    )
    def run(self, send: Callable[[Any], _Result]) -> _Result:
        """Send one piece of work; a retry sends the whole of it, on a new connection.

        Only what is transient is tried again: a serialisation failure, a lock not had in
        time, a lost connection. Nothing of a failed try is left: closing the connection
        rolls back and takes the temp table along.
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
        """Close the connection, if there is one; what is not committed, the server rolls back."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(DriverError, OSError):
                connection.close()

    def _sign_in(self) -> Any:
        warehouse = self.warehouse
        return redshift_connector.connect(
            iam=True,
            host=warehouse.host,
            port=warehouse.port,
            database=warehouse.database,
            region=warehouse.region,
            is_serverless=True,
            serverless_work_group=warehouse.workgroup,
            serverless_acct_id=warehouse.account_id,
            # Who the session is, in SVV_TRANSACTIONS too; without it the driver looks for a name in the call stack.
            application_name="transactions-pipeline",
            # No socket timeout, which would also cut a long MERGE; a dead peer is noticed by keepalive.
            tcp_keepalive=True,
        )


def unload(session: WarehouseSession, dimension: Dimension, columns: Sequence[str], prefix: Prefix) -> None:
    """Have Redshift write a snapshot of the dimension's columns below the prefix, as Parquet."""
    copy_role_arn = session.warehouse.copy_role_arn
    statement = sql.unload_dimension(dimension, columns, prefix_uri=prefix.uri, copy_role_arn=copy_role_arn)

    def send(connection: Any) -> None:
        # UNLOAD fails where a try before this one left a file.
        prefix.delete()
        _execute(connection, statement)
        connection.commit()

    session.run(send)


def load_transactions(
    session: WarehouseSession,
    staged: Staged,
    *,
    rows_read: int,
    duplicate: int,
    rejected: int,
    ledger: dict[str, object],
) -> Committed:
    """Upsert the staged rows and write the ledger's row, in one transaction.

    `ledger` has the ledger's columns but the seven counts and committed_at. Raises
    Unbalanced, with nothing committed, where the rows do not add up; TransientError where
    the warehouse stayed busy or out of reach through every retry.
    """

    def send(connection: Any) -> Committed:
        _stage(connection, STAGED_TRANSACTIONS, staged, session.warehouse)
        with _locked(connection, sql.LOCK_FACT):
            outcomes = _count(connection, sql.count_outcomes(), staged)
            counts = dict(
                zip(
                    COUNTS,
                    (
                        rows_read,
                        outcomes.inserted,
                        outcomes.updated,
                        outcomes.unchanged,
                        outcomes.stale,
                        duplicate,
                        rejected,
                    ),
                )
            )
            _check_balance(counts)
            _execute(connection, sql.delete_stale())
            _execute(connection, sql.merge())
            _check_merged(connection, sql.count_merged(), outcomes)
            first_commit = _ledger_counts(connection, str(ledger["load_id"]))
            if first_commit is None:
                values = {**ledger, **counts}
                _execute(
                    connection,
                    sql.insert_ledger(),
                    [values[name] for name in LOAD_LEDGER.names if name != "committed_at"],
                )
        return Committed(counts, first_commit)

    return session.run(send)


def load_dimension(session: WarehouseSession, dimension: Dimension, staged: Staged) -> Committed:
    """Upsert the staged rows of a dimension; a row of an earlier upload than the dimension's own is stale."""

    def send(connection: Any) -> Committed:
        _stage(connection, dimension.staged, staged, session.warehouse)
        with _locked(connection, sql.lock_dimension(dimension)):
            outcomes = _count(connection, sql.count_dimension_outcomes(dimension), staged)
            _execute(connection, sql.delete_stale_dimension(dimension))
            _execute(connection, sql.merge_dimension(dimension))
            _check_merged(connection, sql.count_dimension_merged(dimension), outcomes)
        values = (staged.rows, outcomes.inserted, outcomes.updated, outcomes.unchanged, outcomes.stale, 0, 0)
        return Committed(dict(zip(COUNTS, values)), None)

    return session.run(send)


def _stage(connection: Any, table: Table, staged: Staged, warehouse: Warehouse) -> None:
    """COPY into a temp table, in a transaction of its own: nothing may come before LOCK in the next."""
    _execute(connection, sql.set_statement_timeout(STATEMENT_TIMEOUT_SECONDS))
    _execute(connection, sql.create_staged(table))
    # COPY refuses a manifest without entries.
    if staged.rows:
        _execute(
            connection,
            sql.copy_staged(table, manifest_uri=staged.manifest_uri, copy_role_arn=warehouse.copy_role_arn),
        )
    (copied,) = _fetch_row(connection, sql.count_staged(table))
    if copied != staged.rows:
        raise Unbalanced(
            f"COPY put {copied} of {staged.rows} staged rows into {table.name}, so nothing was loaded; "
            "replay the load, and if it happens again look at SYS_LOAD_ERROR_DETAIL"
        )
    # Set here, not after LOCK: the wait for the lock is what it bounds first.
    _execute(connection, sql.set_statement_timeout(LOCK_TIMEOUT_SECONDS))
    connection.commit()


@contextmanager
def _locked(connection: Any, lock: str) -> Iterator[None]:
    """One transaction under the lock; commits at the end, rolls back on any error."""
    _execute(connection, lock)
    _execute(connection, sql.set_statement_timeout(STATEMENT_TIMEOUT_SECONDS))
    yield
    connection.commit()


def _count(connection: Any, statement: str, staged: Staged) -> Outcomes:
    rows, ids, *counts = (int(value) for value in _fetch_row(connection, statement))
    outcomes = Outcomes(*counts)
    if not rows == ids == outcomes.rows == staged.rows:
        raise Unbalanced(
            f"{staged.rows} rows were staged, but the warehouse counts {rows} of {ids} ids with {outcomes.rows} "
            "outcomes, so nothing was loaded; an id stands twice in the staging table or in the target"
        )
    return outcomes


def _check_balance(counts: dict[str, int]) -> None:
    rows_read, *parts = (counts[name] for name in COUNTS)
    if rows_read != sum(parts):
        raise Unbalanced(
            f"{rows_read} rows were read, but {' + '.join(f'{counts[name]} {name}' for name in COUNTS[1:])} "
            f"are {sum(parts)}, so nothing was loaded; this is a defect of the job: report it"
        )


def _check_merged(connection: Any, statement: str, outcomes: Outcomes) -> None:
    (merged,) = _fetch_row(connection, statement)
    if merged != outcomes.rows - outcomes.stale:
        raise Unbalanced(
            f"MERGE was to leave {outcomes.rows - outcomes.stale} rows and left {merged}, so nothing was loaded; "
            "look for ids that stand twice in the target"
        )


def _ledger_counts(connection: Any, load_id: str) -> dict[str, int] | None:
    row = _fetch_row(connection, sql.select_ledger(), [load_id])
    if row is None:
        return None
    found = dict(zip(LOAD_LEDGER.names, row))
    return {name: int(found[name]) for name in COUNTS}


def _execute(connection: Any, statement: str, binds: Sequence[object] = ()) -> Any:
    cursor = connection.cursor()
    cursor.execute(statement, list(binds)) if binds else cursor.execute(statement)
    return cursor


def _fetch_row(connection: Any, statement: str, binds: Sequence[object] = ()) -> Any:
    return _execute(connection, statement, binds).fetchone()


@contextmanager
def translate_driver_errors() -> Iterator[None]:
    try:
        yield
    except JobError:
        raise
    except Exception as error:
        raise _sorted(error) from error


def _sorted(error: Exception) -> Exception:
    """The driver's error as one of ours, by SQLSTATE and text: its classes say little."""
    facts = error.args[0] if error.args and isinstance(error.args[0], dict) else {}
    code, text = str(facts.get("C", "")), str(facts.get("M", error))
    if (code == "XX000" and _SERIALISATION_FAILURE.search(text)) or "deadlock" in text:
        return WarehouseBusy(f"the warehouse gave way to another transaction each time it was tried: {text}")
    if code == "57014":
        return WarehouseBusy(
            f"a statement did not finish within its time ({LOCK_TIMEOUT_SECONDS} s to get the lock, "
            f"{STATEMENT_TIMEOUT_SECONDS} s for any other): {text}; SVV_TRANSACTIONS shows which session holds the lock"
        )
    if code in ("57P01", "57P02", "57P03", "08006", "08003") or (not facts and _is_lost_connection(error)):
        return WarehouseLost(f"the connection to the warehouse was lost or could not be made: {text}")
    if isinstance(error, DriverError):
        return TerminalError(f"the warehouse refused a statement ({code or type(error).__name__}): {text}")
    return error


def _is_lost_connection(error: Exception) -> bool:
    # A cut connection surfaces as an InterfaceError with a text, or raw from below the driver.
    return isinstance(error, (InterfaceError, OperationalError, OSError, EOFError))
