"""The statements around the upsert: staging, unloading, the ledger, the history and waiting rows.

`schemas/warehouse/rendered/*.sql` holds every statement of a load in the order in which it is sent,
for review (`python -m jobs.load.rendering` writes it). Redshift takes binds (%s) in DML, but not in
COPY, UNLOAD and LOCK: their texts are built here, with literals quoted in one place.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from schemas.reports import REUSED_SAMPLES
from schemas.warehouse.tables import (
    CUSTOMER_ID,
    DIM_CUSTOMERS,
    DIM_PRODUCTS,
    FACT_TRANSACTIONS,
    HISTORY,
    LEDGER_AMOUNTS,
    LOAD_LEDGER,
    LOAD_LOCK,
    PRECEDENCE_COLUMNS,
    PRODUCT_ID,
    RESTORED_TRANSACTIONS,
    STAGED_TRANSACTIONS,
    STAGED_WAITING,
    TRANSACTIONS_BEFORE,
    WAITING_ROWS,
    WITHDRAWN_TRANSACTIONS,
    Dimension,
    Table,
)

RENDERED = Path(__file__).parent / "rendered"

LOCK = f"LOCK {LOAD_LOCK.name}"

_FACT, _STAGED, _HISTORY, _WAITING = (
    table.name for table in (FACT_TRANSACTIONS, STAGED_TRANSACTIONS, HISTORY, WAITING_ROWS)
)
_WITHDRAWN, _RESTORED = WITHDRAWN_TRANSACTIONS.name, RESTORED_TRANSACTIONS.name
_STAGED_NAMES = ", ".join(STAGED_TRANSACTIONS.names)
_BEFORE, _BEFORE_NAMES = TRANSACTIONS_BEFORE.name, ", ".join(TRANSACTIONS_BEFORE.names)
_MONEY = FACT_TRANSACTIONS["total_amount"].redshift
_PRECEDENCE = tuple(column.name for column in PRECEDENCE_COLUMNS)


def set_statement_timeout(seconds: int) -> str:
    """Cancel statements of the session that take longer, the wait for a lock included."""
    return f"SET statement_timeout TO {seconds * 1000}"


def literal(value: str) -> str:
    """A string literal; refuses characters that Redshift would not read as plain text."""
    if "\\" in value or "\0" in value:
        raise ValueError(f"an SQL literal must have no backslash and no NUL, but {value!r} has one")
    return "'" + value.replace("'", "''") + "'"


def identifier(name: str) -> str:
    """A quoted identifier, such as a database user's name."""
    if not name or "\0" in name:
        raise ValueError(f"{name!r} cannot be an SQL identifier")
    return '"' + name.replace('"', '""') + '"'


def create(table: Table, command: str) -> str:
    """`command` is CREATE TABLE with its options, such as CREATE TEMP TABLE."""
    lines = [
        f"    {column.name} {column.redshift}"
        + (f" DEFAULT {column.default}" if column.default else "")
        + ("" if column.nullable else " NOT NULL")
        for column in table.columns
    ]
    body = ",\n".join(lines)
    return f"{command} {table.name} (\n{body}\n)" + (f"\n{table.distribution}" if table.distribution else "")


def create_temporary(table: Table) -> str:
    """A temp table: private to the session and gone with it, so no two attempts can share it."""
    return create(table, "CREATE TEMP TABLE")


def copy_staged(table: Table, *, manifest_uri: str, copy_role_arn: str) -> str:
    """COPY reads Parquet by position; the column list names the column of each position."""
    return (
        f"COPY {table.name} ({', '.join(table.names)})\n"
        f"FROM {literal(manifest_uri)}\n"
        f"IAM_ROLE {literal(copy_role_arn)}\n"
        "FORMAT AS PARQUET\n"
        "MANIFEST\n"
        # STATUPDATE: a temp table that is read twice needs no statistics.
        "STATUPDATE OFF"
    )


def count_rows(table: Table) -> str:
    return f"SELECT COUNT(*) FROM {table.name}"


def delete_rows(table: Table) -> str:
    return f"DELETE FROM {table.name}"


def select_copy_error() -> str:
    """The error of the session's last COPY. SYS_LOAD_ERROR_DETAIL shows every user the rows of their own COPYs
    (docs.aws.amazon.com/redshift/latest/dg/SYS_LOAD_ERROR_DETAIL.html), so no right is granted for it."""
    return (
        "SELECT file_name, column_name, error_message FROM sys_load_error_detail\n"
        "WHERE session_id = pg_backend_pid()\nORDER BY start_time DESC\nLIMIT 1"
    )


def unload_dimension(dimension: Dimension, columns: Sequence[str], *, prefix_uri: str, copy_role_arn: str) -> str:
    """A snapshot of the columns a job joins, as Parquet below a prefix of its own."""
    select = f"SELECT {', '.join(columns)} FROM {dimension.table.name}"
    return (
        f"UNLOAD ({literal(select)})\n"
        f"TO {literal(prefix_uri)}\n"
        f"IAM_ROLE {literal(copy_role_arn)}\n"
        "FORMAT AS PARQUET\n"
        "PARALLEL OFF"
    )


# --- the ledger


def select_ledger() -> str:
    """Every commit of every version of one key, in the order of the attempts. Bind: source_uri."""
    select = f"SELECT {', '.join(LOAD_LEDGER.names)} FROM {LOAD_LEDGER.name}"
    return f"{select}\nWHERE source_uri = %s\nORDER BY attempt, committed_at"


def select_past_loads() -> str:
    """Day, rows read, rejected rows and change of the fact, for each load from one day to before another (binds).

    Only a load's first commit counts: replays read the same rows.
    """
    return f"""SELECT {LOAD_LEDGER.name}.partition_day, {LOAD_LEDGER.name}.rows_read, {LOAD_LEDGER.name}.rejected,
    COALESCE(SUM({LEDGER_AMOUNTS.name}.amount), 0) AS change
FROM {LOAD_LEDGER.name}
LEFT JOIN {LEDGER_AMOUNTS.name} ON {LEDGER_AMOUNTS.name}.load_id = {LOAD_LEDGER.name}.load_id
 AND {LEDGER_AMOUNTS.name}.attempt = {LOAD_LEDGER.name}.attempt
WHERE {LOAD_LEDGER.name}.event = 'load'
 AND {LOAD_LEDGER.name}.partition_day >= %s
 AND {LOAD_LEDGER.name}.partition_day < %s
GROUP BY {LOAD_LEDGER.name}.load_id, {LOAD_LEDGER.name}.partition_day, {LOAD_LEDGER.name}.rows_read,
    {LOAD_LEDGER.name}.rejected"""


def select_same_content() -> str:
    """The key's URI and the upload time of the latest other file with this content, if one is loaded.

    Binds: etag, bytes, load_id. Equal ETags mean equal bytes. Unequal ones say nothing: S3 computes them otherwise for
    uploads in parts and for buckets with a KMS key.
    """
    return (
        f"SELECT source_uri, uploaded_at FROM {LOAD_LEDGER.name}\n"
        "WHERE event = 'load' AND etag = %s AND bytes = %s AND load_id <> %s\n"
        "ORDER BY uploaded_at DESC\nLIMIT 1"
    )


def insert_ledger() -> str:
    """One row. Binds: every column but committed_at, in the table's order."""
    values = ["GETDATE()" if name == "committed_at" else "%s" for name in LOAD_LEDGER.names]
    return f"INSERT INTO {LOAD_LEDGER.name} ({', '.join(LOAD_LEDGER.names)})\nVALUES ({', '.join(values)})"


def select_amounts() -> str:
    """The change of the fact by one commit. Binds: load_id, attempt."""
    names = "amount_class, status, row_count, amount"
    return f"SELECT {names} FROM {LEDGER_AMOUNTS.name}\nWHERE load_id = %s AND attempt = %s\nORDER BY 1, 2"


def insert_amounts(rows: int) -> str:
    """Binds: the columns of each row, in the table's order."""
    names = LEDGER_AMOUNTS.names
    row = f"({', '.join(['%s'] * len(names))})"
    return f"INSERT INTO {LEDGER_AMOUNTS.name} ({', '.join(names)})\nVALUES {', '.join([row] * rows)}"


def select_change(added: Table, replaced: Table) -> str:
    """The rows and the money that the fact gains, by class and status: rows of `added` are added, rows with an id in
    `replaced` are removed."""
    return f"""SELECT amount_class, status, SUM(row_count) AS row_count, SUM(amount) AS amount
FROM (
    SELECT amount_class, status, 1 AS row_count, total_amount AS amount
    FROM {added.name}
    UNION ALL
    SELECT {_FACT}.amount_class, {_FACT}.status, -1 AS row_count, -{_FACT}.total_amount AS amount
    FROM {_FACT}
    JOIN {replaced.name} ON {replaced.name}.transaction_id = {_FACT}.transaction_id
) AS changes
GROUP BY amount_class, status
HAVING SUM(row_count) <> 0 OR SUM(amount) <> 0
ORDER BY 1, 2"""


def insert_before_staged() -> str:
    """The fact's rows with a staged id, before a plan's load."""
    return (
        f"INSERT INTO {_BEFORE} ({_BEFORE_NAMES})\n"
        f"SELECT {_FACT}.transaction_id, {_FACT}.status, {_FACT}.total_amount\n"
        f"FROM {_FACT}\nJOIN {_STAGED} ON {_STAGED}.transaction_id = {_FACT}.transaction_id"
    )


def insert_before_replaced() -> str:
    """The fact's rows of a load that a plan's load replaces. Bind: load_id."""
    return (
        f"INSERT INTO {_BEFORE} ({_BEFORE_NAMES})\nSELECT {_BEFORE_NAMES} FROM {_FACT}\n"
        f"WHERE load_id = %s AND transaction_id NOT IN (SELECT transaction_id FROM {_BEFORE})"
    )


LARGEST_CHANGES = 10
"""The maximum number of transactions of `select_largest_changes`."""


def select_largest_changes() -> str:
    """The transactions whose amount a plan's load changes most: id, status and amount before, status and amount
    after; NULL where there is no row."""
    nothing = f"CAST(NULL AS {FACT_TRANSACTIONS['status'].redshift})", f"CAST(NULL AS {_MONEY})"
    difference = "COALESCE(SUM(new_amount), 0) - COALESCE(SUM(old_amount), 0)"
    return f"""SELECT transaction_id, MAX(old_status) AS old_status, SUM(old_amount) AS old_amount,
    MAX(new_status) AS new_status, SUM(new_amount) AS new_amount
FROM (
    SELECT transaction_id, status AS old_status, total_amount AS old_amount,
        {nothing[0]} AS new_status, {nothing[1]} AS new_amount
    FROM {_BEFORE}
    UNION ALL
    SELECT transaction_id, {nothing[0]} AS old_status, {nothing[1]} AS old_amount,
        status AS new_status, total_amount AS new_amount
    FROM {_FACT}
    WHERE transaction_id IN (SELECT transaction_id FROM {_BEFORE})
     OR transaction_id IN (SELECT transaction_id FROM {_STAGED})
) AS changes
GROUP BY transaction_id
HAVING {difference} <> 0
ORDER BY ABS({difference}) DESC, transaction_id
LIMIT {LARGEST_CHANGES}"""


def select_reused() -> str:
    """Staged ids that the fact has with another customer or product, from a file with another key: how many there are,
    and one of the first few, in each row."""
    other = " OR ".join(f"{_STAGED}.{name} <> {_FACT}.{name}" for name in ("customer_id", "product_id"))
    return (
        f"SELECT COUNT(*) OVER () AS ids, {_STAGED}.transaction_id\nFROM {_STAGED}\n"
        f"JOIN {_FACT} ON {_FACT}.transaction_id = {_STAGED}.transaction_id\n"
        f"WHERE {_FACT}.source_uri <> {_STAGED}.source_uri AND ({other})\nORDER BY 2\nLIMIT {REUSED_SAMPLES}"
    )


def sum_difference(table: Table) -> str:
    """The difference between the fact's rows with an id of `table` and the rows of `table`."""
    return (
        f"SELECT COALESCE(SUM({_FACT}.total_amount - {table.name}.total_amount), 0) FROM {_FACT}\n"
        f"JOIN {table.name} ON {table.name}.transaction_id = {_FACT}.transaction_id"
    )


def select_sales_of_day() -> str:
    """Amount by status of the transactions between two instants. Binds: the first and the last."""
    return (
        f"SELECT status, SUM(total_amount) FROM {_FACT}\n"
        "WHERE transaction_date >= %s AND transaction_date <= %s\nGROUP BY status\nORDER BY 1"
    )


# --- the history, and rows that no longer count


def insert_history(*, is_superseded: bool) -> str:
    names = ", ".join(HISTORY.names)
    flag = str(is_superseded).upper()
    return f"INSERT INTO {_HISTORY} ({names})\nSELECT {_STAGED_NAMES}, {flag}, GETDATE() FROM {_STAGED}"


def delete_history() -> str:
    """Bind: load_id."""
    return f"DELETE FROM {_HISTORY} WHERE load_id = %s"


def supersede_history(*, is_superseded: bool) -> str:
    """Bind: load_id."""
    flag, now = str(is_superseded).upper(), str(not is_superseded).upper()
    return f"UPDATE {_HISTORY} SET is_superseded = {flag}\nWHERE load_id = %s AND is_superseded = {now}"


def stage_from_history() -> str:
    """Bind: load_id."""
    return f"INSERT INTO {_STAGED} ({_STAGED_NAMES})\nSELECT {_STAGED_NAMES} FROM {_HISTORY}\nWHERE load_id = %s"


def insert_withdrawn() -> str:
    """The ids whose fact row comes from a load that no longer stages it. Bind: load_id."""
    same_row = "\n AND ".join(f"{_STAGED}.{name} = {_FACT}.{name}" for name in ("transaction_id", *_PRECEDENCE))
    return f"""INSERT INTO {_WITHDRAWN} (transaction_id)
SELECT {_FACT}.transaction_id FROM {_FACT}
LEFT JOIN {_STAGED} ON {same_row}
WHERE {_FACT}.load_id = %s AND {_STAGED}.transaction_id IS NULL"""


def insert_restored() -> str:
    """For each withdrawn id, the row of any other load that wins now. Bind: load_id of the load at work."""
    columns = ",\n        ".join(f"{_HISTORY}.{name}" for name in STAGED_TRANSACTIONS.names)
    order = ", ".join(f"{_HISTORY}.{name} DESC" for name in _PRECEDENCE)
    return f"""INSERT INTO {_RESTORED} ({_STAGED_NAMES})
SELECT {_STAGED_NAMES}
FROM (
    SELECT
        {columns},
        ROW_NUMBER() OVER (PARTITION BY {_HISTORY}.transaction_id ORDER BY {order}) AS place
    FROM {_HISTORY}
    JOIN {_WITHDRAWN} ON {_WITHDRAWN}.transaction_id = {_HISTORY}.transaction_id
    WHERE {_HISTORY}.is_superseded = FALSE AND {_HISTORY}.load_id <> %s
) AS candidates
WHERE place = 1"""


def delete_withdrawn() -> str:
    """Fact rows that were withdrawn and have no replacement in the history."""
    return (
        f"DELETE FROM {_FACT}\nUSING {_WITHDRAWN}\nWHERE {_WITHDRAWN}.transaction_id = {_FACT}.transaction_id\n"
        f" AND {_FACT}.transaction_id NOT IN (SELECT transaction_id FROM {_RESTORED})"
    )


# --- rows that wait for a dimension


def select_waiting() -> str:
    """Binds: load_id, and the instant since which a row may wait."""
    return f"SELECT source_line FROM {_WAITING}\nWHERE load_id = %s AND since >= %s\nORDER BY source_line"


def insert_waiting() -> str:
    names = ", ".join(STAGED_WAITING.names)
    return f"INSERT INTO {_WAITING} ({names}, since)\nSELECT {names}, GETDATE() FROM {STAGED_WAITING.name}"


def delete_waiting() -> str:
    """Bind: load_id."""
    return f"DELETE FROM {_WAITING} WHERE load_id = %s"


def delete_settled() -> str:
    """The rows of a load that no longer wait. Bind: load_id."""
    return (
        f"DELETE FROM {_WAITING}\n"
        f"WHERE load_id = %s AND source_line NOT IN (SELECT source_line FROM {STAGED_WAITING.name})"
    )


def count_expired() -> str:
    """Bind: the instant since which a row may wait."""
    return f"SELECT COUNT(*) FROM {_WAITING} WHERE since < %s"


def delete_expired() -> str:
    """Bind: the instant since which a row may wait."""
    return f"DELETE FROM {_WAITING} WHERE since < %s"


def _is_known(column: str, dimension: Table) -> str:
    return f"({_WAITING}.{column} IS NULL OR {_WAITING}.{column} IN (SELECT {column} FROM {dimension.name}))"


_ALL_KNOWN = (_is_known(CUSTOMER_ID.name, DIM_CUSTOMERS), _is_known(PRODUCT_ID.name, DIM_PRODUCTS))
_DROPS = f"SELECT DISTINCT {_WAITING}.bucket, {_WAITING}.drop_key, {_WAITING}.version_id FROM {_WAITING}"


def select_awaited(dimension: Dimension) -> str:
    """Drops with a row that waited only for an id that was just merged. Bind: the instant since which a row may
    wait."""
    key = dimension.table.key
    conditions = "\n AND ".join((f"{_WAITING}.since >= %s", *_ALL_KNOWN))
    staged = dimension.staged.name
    return f"{_DROPS}\nJOIN {staged} ON {staged}.{key} = {_WAITING}.{key}\nWHERE {conditions}\nORDER BY 1, 2, 3"


def select_arrived_meanwhile() -> str:
    """The drop, if its dimension rows arrived while it was being read. Bind: load_id."""
    conditions = "\n AND ".join((f"{_WAITING}.load_id = %s", *_ALL_KNOWN))
    return f"{_DROPS}\nWHERE {conditions}\nORDER BY 1, 2, 3"
