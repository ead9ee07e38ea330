"""Earlier loads, read from the ledger: a new load is compared with them."""

from __future__ import annotations

from datetime import date, timedelta, timezone

from jobs.load.session import Connection, WarehouseSession, fetch_rows
from schemas.drops import Drop
from schemas.reports import EarlierFile
from schemas.usual import COMPARED, PastLoad
from schemas.warehouse import sql

_LOOKED_BACK = timedelta(weeks=COMPARED + 1)


def read_past_loads(session: WarehouseSession, day: date) -> list[PastLoad]:
    """The loads of the weeks before a day, in no order. It only reads, without a lock."""

    def send(connection: Connection) -> list[PastLoad]:
        rows = fetch_rows(connection, sql.select_past_loads(), [day - _LOOKED_BACK, day])
        connection.commit()
        return [
            PastLoad(loaded_day, int(read), int(rejected), float(change)) for loaded_day, read, rejected, change in rows
        ]

    return session.run(send)


def find_same_content(session: WarehouseSession, drop: Drop, *, etag: str, size: int) -> EarlierFile | None:
    """The latest other file with the content of the drop (`size` in bytes); None if none is known. It only reads."""

    def send(connection: Connection) -> EarlierFile | None:
        rows = fetch_rows(connection, sql.select_same_content(), [etag, size, drop.load_id])
        connection.commit()
        if not rows:
            return None
        ((uri, uploaded_at),) = rows
        key = uri.removeprefix("s3://").partition("/")[2]
        return EarlierFile(key, uploaded_at.replace(tzinfo=timezone.utc).isoformat())

    return session.run(send)
