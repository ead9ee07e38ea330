"""The transactions that a plan's load changes most: the fact is compared before and after, in one transaction."""

from __future__ import annotations

from collections.abc import Iterable

from jobs.load.session import Connection, execute, fetch_rows
from schemas.reports import ChangedTransaction
from schemas.warehouse import sql
from schemas.warehouse.tables import TRANSACTIONS_BEFORE


def note_before(connection: Connection, replaced_loads: Iterable[str]) -> None:
    """Copy the fact rows that the load may change: those with a staged id, and those of the loads it replaces."""
    execute(connection, sql.create_temporary(TRANSACTIONS_BEFORE))
    execute(connection, sql.insert_before_staged())
    for load_id in replaced_loads:
        execute(connection, sql.insert_before_replaced(), [load_id])


def largest_changes(connection: Connection) -> list[ChangedTransaction]:
    """The transactions whose amount has changed since `note_before`, the largest change first."""
    return [
        ChangedTransaction(transaction_id, *(None if value is None else str(value) for value in values))
        for transaction_id, *values in fetch_rows(connection, sql.select_largest_changes())
    ]
