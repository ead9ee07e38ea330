"""The loads of recent days, read from the ledger: a new load is compared with them."""

from __future__ import annotations

from datetime import date, timedelta

from jobs.load.session import Connection, WarehouseSession, fetch_rows
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
