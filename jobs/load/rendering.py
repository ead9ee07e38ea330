"""Writes `schemas/warehouse/rendered/*.sql`, for review: what a load sends, in the order in which it sends it.

It runs the real loads against a connection that records statements and returns the rows of a small warehouse. So the
order is written only once, in the code that sends it. `python -m jobs.load.rendering`
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Callable, cast

from jobs.arguments import WarehouseAddress
from jobs.load import transactions
from jobs.load.ledger import read_booked_upload
from jobs.load.past_loads import find_same_content, read_past_loads
from jobs.load.protocol import Staged, load_dimension, unload
from jobs.load.session import Connection, WarehouseSession
from jobs.load.transactions import Batch, Rules
from jobs.s3 import Prefix
from schemas.drops import Drop
from schemas.runs import ADD, REPLACE, JobArguments
from schemas.warehouse import ddl, sql
from schemas.warehouse.tables import DIMENSIONS, LOAD_LEDGER
from schemas.work_bucket import STAGING

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client

_STAGING = f"{STAGING}LOAD_ID/ATTEMPT/"
_STAGED = Staged(1, f"s3://WORK_BUCKET/{_STAGING}manifest.json")
_WAITING = Staged(1, f"s3://WORK_BUCKET/{_STAGING}waiting/manifest.json")
_DROP = Drop("DROP_BUCKET", "KEY", "VERSION_ID")
_THEN = datetime(2023, 3, 15)
_LEDGER: dict[str, object] = {
    **dict.fromkeys(LOAD_LEDGER.names, ""),
    **{column.name: 0 for column in LOAD_LEDGER.columns if column.redshift.startswith(("BIGINT", "INTEGER", "DEC"))},
    "load_id": "LOAD_ID",
    "partition_day": date(2023, 3, 15),
    "uploaded_at": _THEN,
}


@dataclass
class _Recorder:
    """A connection and a cursor in one: records each statement and returns prepared rows."""

    ledger: list[dict[str, object]] = field(default_factory=list)
    sent: list[str] = field(default_factory=list)
    _is_in_transaction: bool = False
    _rows: list[Any] = field(default_factory=list)

    def cursor(self) -> _Recorder:
        return self

    def execute(self, statement: str, _: Sequence[object] = ()) -> None:
        if not self._is_in_transaction and statement == sql.LOCK:
            self.sent.append("BEGIN")
        self._is_in_transaction = True
        self.sent.append(statement)
        self._rows = self._response_to(statement)

    def fetchone(self) -> Any:
        return self._rows[0]

    def fetchall(self) -> list[Any]:
        return self._rows

    def commit(self) -> None:
        self.sent.append("COMMIT")
        self._is_in_transaction = False

    def rollback(self) -> None:
        self.sent.append("ROLLBACK")
        self._is_in_transaction = False

    def close(self) -> None:
        pass

    def _response_to(self, statement: str) -> list[Any]:
        if statement == sql.select_ledger():
            return [tuple(row[name] for name in LOAD_LEDGER.names) for row in self.ledger]
        if statement.startswith("SELECT amount_class"):
            return [("Small", "pending", 1, Decimal(1))]
        if "AS outcomes" in statement:
            return [(1, 1, 1, 0, 0, 0)]
        if statement.startswith("SELECT COALESCE"):
            return [(0,)]
        return (
            []
            if statement.startswith(
                (
                    "SELECT status",
                    "SELECT COUNT(*) OVER",
                    "SELECT DISTINCT",
                    "SELECT load_ledger",
                    "SELECT source_uri",
                    "SELECT transaction_id",
                )
            )
            else [(1,)]
        )


class _Session(WarehouseSession):
    """Sends to a recorder."""

    def __init__(self, recorder: _Recorder) -> None:
        limits = map(int, (JobArguments.warehouse_lock_seconds, JobArguments.warehouse_statement_seconds))
        super().__init__(WarehouseAddress("", "", 0, "", "", "", "COPY_ROLE_ARN", *limits))
        self._recorder = recorder

    def run(self, send: Callable[[Connection], Any]) -> Any:
        return send(self._recorder)


class _NoS3:
    """An empty work bucket."""

    def get_paginator(self, _: str) -> _NoS3:
        return self

    def paginate(self, **_: str) -> list[Mapping[str, Any]]:
        return []


def rendered() -> dict[str, str]:
    """File name -> the statements of one piece of work, in the order they are sent."""
    add, replace, plan = Rules(True, ADD, _THEN), Rules(True, REPLACE, _THEN), Rules(True, REPLACE, _THEN, is_plan=True)
    batch = Batch(_STAGED, _WAITING, 2, 0, 1)
    arriving = Batch(_STAGED, _WAITING, 0, 0, 0)
    own = {**_LEDGER, "event": "load"}
    older = {**own, "load_id": "LOAD_ID_OF_OLDER_UPLOAD", "uploaded_at": datetime(2023, 3, 14)}
    grants = ddl.grants(
        process_transactions_user="IAMR:PROCESS_TRANSACTIONS_ROLE", load_dimensions_user="IAMR:LOAD_DIMENSIONS_ROLE"
    )
    scripts = {
        "tables.sql": ddl.create_tables(),
        "grants.sql": grants,
        "unload_dimensions.sql": _sent(_unload_dimensions),
        "load_transactions.sql": _sent(lambda session: transactions.load(session, batch, _LEDGER, add)),
        "plan_transactions.sql": _sent(lambda session: transactions.load(session, batch, _LEDGER, plan), older),
        "replace_transactions.sql": _sent(
            lambda session: transactions.load(session, batch, _LEDGER, replace), own, older
        ),
        "refuse_transactions.sql": _sent(lambda session: transactions.await_dimensions(session, _WAITING, _DROP)),
        "flow_in.sql": _sent(
            lambda session: (
                read_booked_upload(session, _DROP),
                transactions.waiting_lines(session, "LOAD_ID", add),
                transactions.flow_in(session, arriving, [1], _LEDGER, add),
            ),
            own,
        ),
        "past_loads.sql": _sent(
            lambda session: (
                find_same_content(session, _DROP, etag="ETAG", size=1),
                read_past_loads(session, date(2023, 3, 15)),
            )
        ),
        "explain_copy.sql": [sql.select_copy_error()],
        "retract.sql": _sent(lambda session: transactions.retract(session, _LEDGER, replace), own, older),
    }
    for kind, dimension in DIMENSIONS.items():
        scripts[f"load_{kind}.sql"] = _sent(
            lambda session, dimension=dimension: load_dimension(  # type: ignore[misc]
                session, dimension, _STAGED, waiting_since=_THEN
            )
        )
    return {name: ";\n\n".join(statements) + ";\n" for name, statements in scripts.items()}


def _unload_dimensions(session: WarehouseSession) -> None:
    for name, dimension in DIMENSIONS.items():
        unload(
            session, dimension, dimension.joined, Prefix(cast("S3Client", _NoS3()), "WORK_BUCKET", f"{_STAGING}{name}/")
        )


def _sent(work: Callable[[WarehouseSession], object], *ledger: dict[str, object]) -> list[str]:
    recorder = _Recorder(list(ledger))
    work(_Session(recorder))
    return recorder.sent


if __name__ == "__main__":
    sql.RENDERED.mkdir(exist_ok=True)
    for old in sql.RENDERED.glob("*.sql"):
        old.unlink()
    for file_name, script in rendered().items():
        (sql.RENDERED / file_name).write_text(script, encoding="utf-8")
