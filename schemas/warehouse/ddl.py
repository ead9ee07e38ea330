"""The statements of `pulumi up`: tables, columns that a newer version added, and the rights of the jobs.

Every statement is safe to run again, on a new warehouse and on one that has been loaded for months.
"""

from __future__ import annotations

from collections.abc import Sequence

from schemas.statuses import RANK_SLOTS, STATUSES, counts_as_sale
from schemas.warehouse.sql import create, identifier, literal
from schemas.warehouse.tables import (
    DIMENSIONS,
    FACT_TRANSACTIONS,
    HISTORY,
    LEDGER_AMOUNTS,
    LOAD_LEDGER,
    LOAD_LOCK,
    PRECEDENCE_COLUMNS,
    STAGED_TRANSACTIONS,
    WAITING_ROWS,
    WAREHOUSE_TABLES,
    Table,
)

# Redshift has no CREATE USER IF NOT EXISTS. LOWER, because Redshift may fold a name's case even in
# quotes, and two IAM roles never differ in case alone.
_CREATE_USER_ONCE = """CREATE OR REPLACE PROCEDURE sp_create_user_once(user_name VARCHAR(256)) AS $$
DECLARE
    users INTEGER;
BEGIN
    SELECT INTO users COUNT(*) FROM pg_user WHERE LOWER(usename) = LOWER(user_name);
    IF users = 0 THEN
        EXECUTE 'CREATE USER ' || QUOTE_IDENT(user_name) || ' PASSWORD DISABLE';
    END IF;
END;
$$ LANGUAGE plpgsql"""


def create_tables(*, keep_history: bool = True, status_ranks: Sequence[str] = STATUSES) -> list[str]:
    """DDL for every permanent table, and the statements that upgrade a warehouse of an earlier version."""
    return [
        *(create(table, "CREATE TABLE IF NOT EXISTS") for table in WAREHOUSE_TABLES),
        *(statement for table in WAREHOUSE_TABLES for statement in _add_columns(table)),
        _open_amounts(),
        *([_fill_history()] if keep_history else []),
        *(_renumber_ranks(table, status_ranks) for table in (FACT_TRANSACTIONS, HISTORY)),
    ]


def select_columns() -> str:
    """Table and column, for every column of the permanent tables that exists."""
    names = ", ".join(literal(table.name) for table in WAREHOUSE_TABLES)
    return (
        "SELECT CAST(pg_class.relname AS VARCHAR(128)), CAST(pg_attribute.attname AS VARCHAR(128))\n"
        "FROM pg_attribute\nJOIN pg_class ON pg_class.oid = pg_attribute.attrelid\n"
        "JOIN pg_namespace ON pg_namespace.oid = pg_class.relnamespace\n"
        f"WHERE pg_namespace.nspname = 'public' AND pg_attribute.attnum > 0 AND pg_class.relname IN ({names})"
    )


def deployment_steps(
    *,
    process_transactions_user: str,
    load_dimensions_user: str,
    keep_history: bool = True,
    status_ranks: Sequence[str] = STATUSES,
) -> list[list[str]]:
    """The statements of a deployment: tables, users, rights. All of it is safe to run again.

    `status_ranks` are those of the stack's source settings, the lowest rank first.

    The statements of a step touch different objects and may run at the same time; each step needs the one before.
    """
    create_procedure, *rest = grants(
        process_transactions_user=process_transactions_user, load_dimensions_user=load_dimensions_user
    )
    rights = [statement for statement in rest if statement.startswith("GRANT")]
    users_and_schema = [statement for statement in rest if statement not in rights]
    to_process = [right for right in rights if right.endswith(f" TO {identifier(process_transactions_user)}")]
    # Two users' rights on one table change the same object.
    to_load = [right for right in rights if right not in to_process]
    tables = create_tables(keep_history=keep_history, status_ranks=status_ranks)
    creates = [statement for statement in tables if statement.startswith("CREATE")]
    # The history is filled before its ranks are compared with those of the fact again.
    renumberings = [statement for statement in tables if statement.startswith("UPDATE")]
    upgrades = [statement for statement in tables if statement not in (*creates, *renumberings)]
    return [[*creates, create_procedure], [*upgrades, *users_and_schema], [*to_process, *renumberings], to_load]


def _add_columns(table: Table) -> list[str]:
    """The columns that a table of an earlier version lacks; none for a table that never changed.

    Redshift has no ADD COLUMN IF NOT EXISTS, and adds one column at a time
    (docs.aws.amazon.com/redshift/latest/dg/r_ALTER_TABLE.html).
    """
    added = [column for column in table.columns if column.default]
    if not added:
        return []
    blocks = "".join(
        f"""
    SELECT INTO known COUNT(*) FROM pg_attribute
    JOIN pg_class ON pg_class.oid = pg_attribute.attrelid
    JOIN pg_namespace ON pg_namespace.oid = pg_class.relnamespace
    WHERE pg_namespace.nspname = 'public' AND pg_class.relname = {literal(table.name)}
     AND pg_attribute.attname = {literal(column.name)};
    IF known = 0 THEN
        ALTER TABLE {table.name} ADD COLUMN {column.name} {column.redshift} DEFAULT {column.default} NOT NULL;
    END IF;"""
        for column in added
    )
    # The name changes with every new column, so the call is sent again.
    procedure = f"sp_upgrade_{table.name}_{len(added)}"
    return [
        f"CREATE OR REPLACE PROCEDURE {procedure}() AS $$\nDECLARE\n    known INTEGER;\nBEGIN{blocks}\nEND;\n"
        "$$ LANGUAGE plpgsql",
        f"CALL {procedure}()",
    ]


def _open_amounts() -> str:
    """The opening balance of a warehouse that was loaded before amounts were booked."""
    fact, amounts = FACT_TRANSACTIONS.name, LEDGER_AMOUNTS.name
    sales = ", ".join(literal(status) for status in STATUSES if counts_as_sale(status))
    return f"""INSERT INTO {amounts} ({", ".join(LEDGER_AMOUNTS.names)})
SELECT 'opening', 0, amount_class, status, status IN ({sales}), COUNT(*), SUM(total_amount)
FROM {fact}
WHERE NOT EXISTS (SELECT 1 FROM {amounts})
GROUP BY amount_class, status"""


def _fill_history() -> str:
    """The rows of the fact that were loaded while no history was kept."""
    fact, history = FACT_TRANSACTIONS.name, HISTORY.name
    names = ("transaction_id", *(column.name for column in PRECEDENCE_COLUMNS))
    same_row = "\n AND ".join(f"{history}.{name} = {fact}.{name}" for name in names)
    columns = ", ".join(f"{fact}.{name}" for name in STAGED_TRANSACTIONS.names)
    return f"""INSERT INTO {history} ({", ".join(HISTORY.names)})
SELECT {columns}, FALSE, GETDATE()
FROM {fact}
LEFT JOIN {history} ON {same_row}
WHERE {history}.transaction_id IS NULL"""


def _renumber_ranks(table: Table, status_ranks: Sequence[str]) -> str:
    """Gives stored rows today's ranks; changes nothing if no rank has moved.

    A new order of statuses changes the text, so `pulumi up` sends it again. Only the rank is replaced. A status that
    is no longer declared keeps its number.
    """
    # MOD has the sign of the dividend: an event before 1970 has a negative number.
    stored = f"MOD(MOD(event_precedence, {RANK_SLOTS}) + {RANK_SLOTS}, {RANK_SLOTS})"
    cases = "\n    ".join(f"WHEN {literal(status)} THEN {rank}" for rank, status in enumerate(status_ranks))
    rank = f"CASE status\n    {cases}\n    ELSE {stored}\nEND"
    return f"UPDATE {table.name}\nSET event_precedence = event_precedence - {stored} + {rank}\nWHERE {stored} <> {rank}"


def grants(*, process_transactions_user: str, load_dimensions_user: str) -> list[str]:
    """The rights of the jobs' database users: only those that a load needs. The IAM role signs in as the user
    `IAMR:<role>`. DELETE on load_lock lets a user LOCK it; nothing is ever written there.
    """
    process, load = identifier(process_transactions_user), identifier(load_dimensions_user)
    dimension_names = ", ".join(dimension.table.name for dimension in DIMENSIONS.values())
    return [
        _CREATE_USER_ONCE,
        f"CALL sp_create_user_once({literal(process_transactions_user)})",
        f"CALL sp_create_user_once({literal(load_dimensions_user)})",
        # Otherwise any user could create a table or a function under a name that others trust.
        "REVOKE CREATE ON SCHEMA public FROM PUBLIC",
        *(
            f"GRANT SELECT ({', '.join(dimension.joined)}) ON {dimension.table.name} TO {process}"
            for dimension in DIMENSIONS.values()
        ),
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON {FACT_TRANSACTIONS.name}, {HISTORY.name} TO {process}",
        f"GRANT SELECT, INSERT ON {LOAD_LEDGER.name}, {LEDGER_AMOUNTS.name} TO {process}",
        f"GRANT SELECT, INSERT, DELETE ON {WAITING_ROWS.name} TO {process}",
        f"GRANT SELECT, INSERT, UPDATE ON {dimension_names} TO {load}",
        f"GRANT SELECT ON {WAITING_ROWS.name} TO {load}",
        f"GRANT DELETE ON {LOAD_LOCK.name} TO {process}",
        f"GRANT DELETE ON {LOAD_LOCK.name} TO {load}",
    ]
