"""The load protocol: staged rows into Redshift in one transaction, or not at all.

    1  a transaction of its own: temp tables, COPY, the copied rows counted
    2  LOCK, count outcomes, delete stale rows, MERGE, count again, COMMIT

The statements are in `schemas.warehouse`; this module decides their order and the checks between them. The other work
of a load of transactions is in `jobs.load.transactions`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from redshift_connector.error import Error as DriverError

from jobs.arguments import WarehouseAddress
from jobs.errors import TerminalError, Unbalanced
from jobs.load.driver_errors import explain
from jobs.load.session import Connection, WarehouseSession, execute, fetch_row, fetch_rows
from jobs.s3 import Prefix
from schemas.counts import Counts
from schemas.drops import Drop
from schemas.warehouse import sql
from schemas.warehouse.tables import Dimension, Table
from schemas.warehouse.upsert import UpsertTarget, dimension_upsert

PLAN_TIMEOUT_SECONDS = 10
"""How long a statement of a plan may take while loads wait for it."""


@dataclass(frozen=True)
class Staged:
    """Parquet parts on S3, ready for COPY."""

    rows: int
    manifest_uri: str = ""
    """Empty where there are no rows: COPY refuses a manifest without entries."""


@dataclass(frozen=True)
class Outcomes:
    """The outcomes of the staged rows."""

    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    stale: int = 0

    @property
    def rows(self) -> int:
        return self.inserted + self.updated + self.unchanged + self.stale


@dataclass(frozen=True)
class CommittedDimension:
    """The result of a dimension's load."""

    counts: Counts
    awaited_by: list[Drop]
    """Drops with rows that waited only for ids that were just loaded."""


def unload(session: WarehouseSession, dimension: Dimension, columns: Sequence[str], prefix: Prefix) -> None:
    """Have Redshift write a snapshot of the dimension's columns below the prefix, as Parquet."""
    copy_role_arn = session.warehouse.copy_role_arn
    statement = sql.unload_dimension(dimension, columns, prefix_uri=prefix.uri, copy_role_arn=copy_role_arn)

    def send(connection: Connection) -> None:
        # UNLOAD fails where an earlier try left a file.
        prefix.delete()
        execute(connection, statement)
        connection.commit()

    session.run(send)


def load_dimension(
    session: WarehouseSession, dimension: Dimension, staged: Staged, *, waiting_since: datetime, is_plan: bool = False
) -> CommittedDimension:
    """Upsert the staged rows of a dimension; a row is stale if the dimension's row is of a later upload.

    `waiting_since` (UTC, no zone): transactions that have waited since an earlier instant stop waiting.
    `is_plan`: nothing is committed.
    """
    target = dimension_upsert(dimension)

    def send(connection: Connection) -> CommittedDimension:
        with locked(connection, [(dimension.staged, staged)], session.warehouse, is_plan=is_plan):
            outcomes = weigh(connection, target, staged.rows)
            merge(connection, target, outcomes.rows - outcomes.stale)
            awaited_by = [Drop(*row) for row in fetch_rows(connection, sql.select_awaited(dimension), [waiting_since])]
        return CommittedDimension(
            Counts(staged.rows, outcomes.inserted, outcomes.updated, outcomes.unchanged, outcomes.stale), awaited_by
        )

    return session.run(send)


def _copy(connection: Connection, table: Table, parts: Staged, warehouse: WarehouseAddress) -> None:
    copy = sql.copy_staged(table, manifest_uri=parts.manifest_uri, copy_role_arn=warehouse.copy_role_arn)
    try:
        execute(connection, copy)
    except DriverError as error:
        detail = _copy_error(connection)
        if detail is None:
            raise
        raise TerminalError(f"COPY into {table.name} failed: {explain(error)}; {detail}; nothing was loaded") from error
    (copied,) = fetch_row(connection, sql.count_rows(table))
    if copied != parts.rows:
        raise Unbalanced(
            f"COPY put {copied} of {parts.rows} staged rows into {table.name}, so nothing was loaded; "
            "replay the load, and if it happens again look at SYS_LOAD_ERROR_DETAIL"
        )


def _copy_error(connection: Connection) -> str | None:
    """Redshift's record of the COPY that just failed; None if there is no record or it cannot be read."""
    try:
        connection.rollback()
        row = fetch_row(connection, sql.select_copy_error())
    except (DriverError, OSError):
        return None
    if row is None:
        return None
    file_name, column_name, message = (str(value or "").strip() for value in row)
    return f"file {file_name}, column {column_name or 'unknown'}: {message}"


@contextmanager
def locked(
    connection: Connection,
    staged: Sequence[tuple[Table, Staged]],
    warehouse: WarehouseAddress,
    *,
    is_plan: bool = False,
) -> Iterator[None]:
    """Temp tables with the staged rows, then one transaction under the lock that all loads share.

    It commits at the end, and rolls back on any error. A plan is always rolled back, and gives up its lock when a
    statement takes too long. LOCK comes first because the first statement fixes the snapshot. The lock is on a table
    that no query reads, so queries and loads do not wait for each other.
    """
    seconds = warehouse.statement_seconds_for(sum(parts.rows for _, parts in staged))
    _fill_staging_tables(connection, staged, warehouse, seconds)
    execute(connection, sql.LOCK)
    execute(connection, sql.set_statement_timeout(PLAN_TIMEOUT_SECONDS if is_plan else seconds))
    yield
    connection.rollback() if is_plan else connection.commit()


def _fill_staging_tables(
    connection: Connection, staged: Sequence[tuple[Table, Staged]], warehouse: WarehouseAddress, statement_seconds: int
) -> None:
    """COPY into temp tables in a transaction of its own, since LOCK must come first in the next one."""
    execute(connection, sql.set_statement_timeout(statement_seconds))
    for table, _ in staged:
        execute(connection, sql.create_temporary(table))
    for table, parts in staged:
        if parts.rows:
            _copy(connection, table, parts, warehouse)
    # Set here, not after LOCK: it must bound the wait for the lock too.
    execute(connection, sql.set_statement_timeout(warehouse.lock_seconds))
    connection.commit()


def weigh(connection: Connection, target: UpsertTarget, staged_rows: int) -> Outcomes:
    """Count the outcomes of the staged rows, then delete those that are stale."""
    rows, ids, *counts = (int(value) for value in fetch_row(connection, target.count_outcomes()))
    outcomes = Outcomes(*counts)
    if not rows == ids == outcomes.rows == staged_rows:
        raise Unbalanced(
            f"{staged_rows} rows were staged, but the warehouse counts {rows} of {ids} ids with {outcomes.rows} "
            "outcomes, so nothing was loaded; an id occurs twice in the staging table or in the target"
        )
    execute(connection, target.delete_stale())
    return outcomes


def merge(connection: Connection, target: UpsertTarget, expected: int) -> None:
    """MERGE the staged rows; raises Unbalanced unless `expected` rows of the table then have a staged key."""
    execute(connection, target.merge())
    (merged,) = fetch_row(connection, target.count_merged())
    if merged != expected:
        raise Unbalanced(
            f"MERGE left {merged} rows instead of {expected}, so nothing was loaded; "
            "look for ids that occur twice in the target"
        )
