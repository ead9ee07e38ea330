"""The ledger: each commit's change of the fact, in rows and in money, and which uploads of a key count."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from decimal import Decimal
from typing import NamedTuple

from jobs.errors import Unbalanced
from jobs.load.session import Connection, WarehouseSession, execute, fetch_rows
from schemas.counts import COUNTS, Counts
from schemas.drops import Drop
from schemas.runs import RETRACT
from schemas.statuses import counts_as_sale
from schemas.warehouse import sql
from schemas.warehouse.tables import LOAD_LEDGER

REPLAY = "replay"
"""The event of a load that was committed before. The other events are schemas.runs.OPERATIONS."""


class AmountChange(NamedTuple):
    """The change of the fact in one amount class and status: rows and money added less those removed."""

    amount_class: str
    status: str
    rows: int
    amount: Decimal


@dataclass(frozen=True)
class LedgerEntry:
    """One row of the ledger, with the columns that a later load needs."""

    columns: Mapping[str, object]

    @property
    def load_id(self) -> str:
        return str(self.columns["load_id"])

    @property
    def attempt(self) -> int:
        return int(str(self.columns["attempt"]))

    @property
    def event(self) -> str:
        return str(self.columns["event"])

    @property
    def upload(self) -> tuple[datetime, str]:
        """Orders the uploads of one key: a newer upload has a larger value."""
        uploaded_at = self.columns["uploaded_at"]
        assert isinstance(uploaded_at, datetime)
        return uploaded_at, self.load_id

    @property
    def counts(self) -> Counts:
        return Counts(**{name: int(str(self.columns[name])) for name in COUNTS})


@dataclass(frozen=True)
class KeyLedger:
    """Every commit of every upload of one key."""

    entries: tuple[LedgerEntry, ...]

    @classmethod
    def read(cls, connection: Connection, source_uri: str) -> KeyLedger:
        rows = fetch_rows(connection, sql.select_ledger(), [source_uri])
        return cls(tuple(LedgerEntry(dict(zip(LOAD_LEDGER.names, row))) for row in rows))

    def of(self, load_id: str) -> list[LedgerEntry]:
        """In the order of the attempts."""
        return [entry for entry in self.entries if entry.load_id == load_id]

    def is_retracted(self, load_id: str) -> bool:
        entries = self.of(load_id)
        return bool(entries) and entries[-1].event == RETRACT

    def standing(self, *, but: str) -> list[tuple[datetime, str]]:
        """The uploads that are loaded and not taken back, the oldest first; without the upload of load `but`."""
        uploads = {entry.upload for entry in self.entries if entry.load_id != but}
        return sorted(upload for upload in uploads if not self.is_retracted(upload[1]))


def read_booked_upload(session: WarehouseSession, drop: Drop) -> datetime | None:
    """The upload time (UTC) that the drop's first commit booked; None if it was never committed."""

    def send(connection: Connection) -> datetime | None:
        own = KeyLedger.read(connection, drop.uri).of(drop.load_id)
        connection.commit()
        return own[0].upload[0].replace(tzinfo=timezone.utc) if own else None

    return session.run(send)


def total(changes: Iterable[AmountChange]) -> list[AmountChange]:
    """One change for each class and status; changes that cancel out are left out."""
    sums: dict[tuple[str, str], tuple[int, Decimal]] = {}
    for change in changes:
        rows, amount = sums.get((change.amount_class, change.status), (0, Decimal(0)))
        sums[change.amount_class, change.status] = (rows + change.rows, amount + change.amount)
    return [AmountChange(*key, *value) for key, value in sorted(sums.items()) if any(value)]


def read_changes(connection: Connection, load_id: str, attempt: int) -> list[AmountChange]:
    """The changes that one commit booked."""
    return to_changes(fetch_rows(connection, sql.select_amounts(), [load_id, attempt]))


def to_changes(rows: Iterable[tuple[str, str, object, object]]) -> list[AmountChange]:
    """Rows of `sql.select_change` or `sql.select_amounts`, typed."""
    return [AmountChange(name, status, int(str(count)), Decimal(str(money))) for name, status, count, money in rows]


def write_entry(
    connection: Connection, columns: Mapping[str, object], counts: Counts, changes: list[AmountChange]
) -> None:
    """`columns` has the ledger's columns but the counts and committed_at."""
    check_balance(counts)
    values = {**columns, **{name: getattr(counts, name) for name in COUNTS}}
    execute(connection, sql.insert_ledger(), [values[name] for name in LOAD_LEDGER.names if name != "committed_at"])
    if changes:
        binds = [
            value
            for change in changes
            for value in (
                columns["load_id"],
                columns["attempt"],
                change.amount_class,
                change.status,
                counts_as_sale(change.status),
                change.rows,
                change.amount,
            )
        ]
        execute(connection, sql.insert_amounts(len(changes)), binds)


def check_balance(counts: Counts) -> None:
    """Raises Unbalanced where rows are not accounted for."""
    if not counts.is_balanced:
        parts = " + ".join(f"{getattr(counts, name)} {name}" for name in COUNTS[1:])
        raise Unbalanced(
            f"{counts.rows_read} rows were read, but {parts} are {counts.accounted_for}, so nothing was loaded; "
            "this is a defect of the job: report it"
        )
