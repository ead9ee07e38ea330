"""Every SQL statement the product sends, rendered from the tables' declaration.

`schemas/warehouse/rendered/*.sql` holds the same statements as plain SQL, for review; a test keeps
them equal (`python -m schemas.warehouse.sql` writes them anew). One text serves Redshift and the
laptop's stand-in, in Redshift's narrower grammar: MERGE with both WHEN clauses and no
target alias, no row comparison, no IS DISTINCT FROM, no CTE. Redshift takes binds (%s)
in INSERT, but not in COPY, UNLOAD and LOCK: their texts are built here, with literals
quoted in one place.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from textwrap import indent

from schemas.warehouse.tables import (
    BUSINESS_COLUMNS,
    DIMENSIONS,
    FACT_TRANSACTIONS,
    LOAD_LEDGER,
    PRECEDENCE_COLUMNS,
    STAGED_TRANSACTIONS,
    WAREHOUSE_TABLES,
    Column,
    Dimension,
    Table,
)

RENDERED = Path(__file__).parent / "rendered"

LOCK_FACT = f"LOCK {FACT_TRANSACTIONS.name}"


def set_statement_timeout(seconds: int) -> str:
    """For the rest of the session: what takes longer, waiting for a lock included, is cancelled."""
    return f"SET statement_timeout TO {seconds * 1000}"


def literal(value: str) -> str:
    """A string literal; refuses what Redshift's literals would read as more than text."""
    if "\\" in value or "\0" in value:
        raise ValueError(f"no backslash or NUL may stand in an SQL literal, but {value!r} has one")
    return "'" + value.replace("'", "''") + "'"


def identifier(name: str) -> str:
    """A quoted identifier, such as a database user's name."""
    if not name or "\0" in name:
        raise ValueError(f"{name!r} cannot be an SQL identifier")
    return '"' + name.replace('"', '""') + '"'


def create_tables() -> list[str]:
    """DDL for every table that lasts, safe to run again."""
    return [_create(table, "CREATE TABLE IF NOT EXISTS") for table in WAREHOUSE_TABLES]


def create_staged(table: Table) -> str:
    """A temp table: private to the session and gone with it, so no two attempts can share it."""
    return _create(table, "CREATE TEMP TABLE")


def copy_staged(table: Table, *, manifest_uri: str, copy_role_arn: str) -> str:
    """COPY reads Parquet by position; the column list says which position is which column."""
    return (
        f"COPY {table.name} ({', '.join(table.names)})\n"
        f"FROM {literal(manifest_uri)}\n"
        f"IAM_ROLE {literal(copy_role_arn)}\n"
        "FORMAT AS PARQUET\n"
        "MANIFEST\n"
        # STATUPDATE: a temp table that is read twice needs no statistics.
        "STATUPDATE OFF"
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


def count_staged(table: Table) -> str:
    return f"SELECT COUNT(*) FROM {table.name}"


def count_outcomes() -> str:
    """One row: staged rows, distinct ids, then how many will be inserted, updated, unchanged, stale."""
    return _count_outcomes(STAGED_TRANSACTIONS, FACT_TRANSACTIONS, PRECEDENCE_COLUMNS, BUSINESS_COLUMNS)


def delete_stale() -> str:
    """MERGE has no condition on WHEN MATCHED, so what lost leaves the staging table first."""
    return _delete_stale(STAGED_TRANSACTIONS, FACT_TRANSACTIONS, PRECEDENCE_COLUMNS)


def merge() -> str:
    return _merge(STAGED_TRANSACTIONS, FACT_TRANSACTIONS, BUSINESS_COLUMNS)


def count_merged() -> str:
    """How many fact rows now bear a staged id: more than staged means an id stands twice."""
    return _count_merged(STAGED_TRANSACTIONS, FACT_TRANSACTIONS)


def select_ledger() -> str:
    """The ledger's row of a load. Bind: load_id."""
    return f"SELECT {', '.join(LOAD_LEDGER.names)} FROM {LOAD_LEDGER.name} WHERE load_id = %s"


def insert_ledger() -> str:
    """One row per load. Binds: every column but committed_at, in the table's order."""
    values = ["GETDATE()" if name == "committed_at" else "%s" for name in LOAD_LEDGER.names]
    return f"INSERT INTO {LOAD_LEDGER.name} ({', '.join(LOAD_LEDGER.names)})\nVALUES ({', '.join(values)})"


def lock_dimension(dimension: Dimension) -> str:
    return f"LOCK {dimension.table.name}"


_DIMENSION_PRECEDENCE = ("drop_precedence",)


def count_dimension_outcomes(dimension: Dimension) -> str:
    return _count_outcomes(
        dimension.staged, dimension.table, _dimension_precedence(dimension), dimension.source_columns[1:]
    )


def delete_stale_dimension(dimension: Dimension) -> str:
    return _delete_stale(dimension.staged, dimension.table, _dimension_precedence(dimension))


def merge_dimension(dimension: Dimension) -> str:
    return _merge(dimension.staged, dimension.table, dimension.source_columns[1:])


def count_dimension_merged(dimension: Dimension) -> str:
    return _count_merged(dimension.staged, dimension.table)


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


def grants(*, process_transactions_user: str, load_dimensions_user: str) -> list[str]:
    """What the jobs' database users may do: what the load protocol needs and nothing more. Safe to run again.

    A user named `IAMR:<role>` is who signs in with that IAM role. DELETE on the fact is
    what lets a user LOCK it; no statement of ours deletes from it.
    """
    process, load = identifier(process_transactions_user), identifier(load_dimensions_user)
    dimension_names = ", ".join(dimension.table.name for dimension in DIMENSIONS.values())
    return [
        _CREATE_USER_ONCE,
        f"CALL sp_create_user_once({literal(process_transactions_user)})",
        f"CALL sp_create_user_once({literal(load_dimensions_user)})",
        # Otherwise whoever can sign in could leave a table or a function of a name that others trust.
        "REVOKE CREATE ON SCHEMA public FROM PUBLIC",
        *(
            f"GRANT SELECT ({', '.join(dimension.joined)}) ON {dimension.table.name} TO {process}"
            for dimension in DIMENSIONS.values()
        ),
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON {FACT_TRANSACTIONS.name} TO {process}",
        f"GRANT SELECT, INSERT ON {LOAD_LEDGER.name} TO {process}",
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON {dimension_names} TO {load}",
    ]


def deployment_steps(*, process_transactions_user: str, load_dimensions_user: str) -> list[list[str]]:
    """What a deployment sends: tables, users, rights. All of it is safe to run again.

    The statements of a step touch different objects and may run at the same time; each step needs the one before.
    """
    create_procedure, *rest = grants(
        process_transactions_user=process_transactions_user, load_dimensions_user=load_dimensions_user
    )
    rights = [statement for statement in rest if statement.startswith("GRANT")]
    users_and_schema = [statement for statement in rest if statement not in rights]
    to_process = [right for right in rights if right.endswith(f" TO {identifier(process_transactions_user)}")]
    # Two users' rights on one table are two changes of one object.
    to_load = [right for right in rights if right not in to_process]
    return [[*create_tables(), create_procedure], users_and_schema, to_process, to_load]


def _create(table: Table, create: str) -> str:
    lines = [f"    {column.name} {column.redshift}{'' if column.nullable else ' NOT NULL'}" for column in table.columns]
    body = ",\n".join(lines)
    return f"{create} {table.name} (\n{body}\n)" + (f"\n{table.distribution}" if table.distribution else "")


def _dimension_precedence(dimension: Dimension) -> list[Column]:
    return [dimension.staged[name] for name in _DIMENSION_PRECEDENCE]


def _same_key(staged: Table, target: Table) -> str:
    return f"{staged.name}.{staged.key} = {target.name}.{target.key}"


def _is_stale(staged: Table, target: Table, precedence: Sequence[Column]) -> str:
    # Spelled out: Redshift's ancestor compared rows element by element, so (a, b) < (c, d) is not to be trusted.
    first, rest = precedence[0].name, precedence[1:]
    less = f"{staged.name}.{first} < {target.name}.{first}"
    if not rest:
        return less
    equal = f"{staged.name}.{first} = {target.name}.{first}"
    return f"({less}\n OR ({equal}\n AND {_is_stale(staged, target, rest)}))"


def _differs(staged: Table, target: Table, columns: Sequence[Column]) -> str:
    # NULL and '' are one value here: nothing of ours is ever staged as ''.
    return "\n OR ".join(
        f"COALESCE({staged.name}.{column.name}, '') <> COALESCE({target.name}.{column.name}, '')"
        if column.nullable
        else f"{staged.name}.{column.name} <> {target.name}.{column.name}"
        for column in columns
    )


def _count_outcomes(staged: Table, target: Table, precedence: Sequence[Column], business: Sequence[Column]) -> str:
    counts = ",\n    ".join(
        f"COALESCE(SUM(CASE WHEN outcome = '{outcome}' THEN 1 ELSE 0 END), 0) AS {outcome}"
        for outcome in ("inserted", "updated", "unchanged", "stale")
    )
    is_stale = indent(_is_stale(staged, target, precedence), " " * 12).lstrip()
    differs = indent(_differs(staged, target, business), " " * 12).lstrip()
    return f"""SELECT
    COUNT(*) AS staged,
    COUNT(DISTINCT {staged.key}) AS ids,
    {counts}
FROM (
    SELECT
        {staged.name}.{staged.key},
        CASE
            WHEN {target.name}.{target.key} IS NULL THEN 'inserted'
            WHEN {is_stale} THEN 'stale'
            WHEN {differs} THEN 'updated'
            ELSE 'unchanged'
        END AS outcome
    FROM {staged.name}
    LEFT JOIN {target.name} ON {_same_key(staged, target)}
) AS outcomes"""


def _delete_stale(staged: Table, target: Table, precedence: Sequence[Column]) -> str:
    return (
        f"DELETE FROM {staged.name}\nUSING {target.name}\nWHERE {_same_key(staged, target)}\n"
        f" AND {_is_stale(staged, target, precedence)}"
    )


def _merge(staged: Table, target: Table, business: Sequence[Column]) -> str:
    carried = [name for name in staged.names if name != staged.key]
    sets = [f"{name} = {staged.name}.{name}" for name in carried] + [
        "loaded_at = GETDATE()",
        "updated_at = CASE\n        WHEN "
        + indent(_differs(staged, target, business), " " * 8).lstrip()
        + f" THEN GETDATE()\n        ELSE {target.name}.updated_at\n    END",
    ]
    set_list = ",\n    ".join(sets)
    insert_list = ", ".join(target.names)
    values = ", ".join([f"{staged.name}.{name}" for name in staged.names] + ["GETDATE()", "GETDATE()"])
    return f"""MERGE INTO {target.name}
USING {staged.name}
ON {target.name}.{target.key} = {staged.name}.{staged.key}
WHEN MATCHED THEN UPDATE SET
    {set_list}
WHEN NOT MATCHED THEN INSERT ({insert_list})
VALUES ({values})"""


def _count_merged(staged: Table, target: Table) -> str:
    return f"SELECT COUNT(*) FROM {target.name}\nJOIN {staged.name} ON {_same_key(staged, target)}"


def rendered() -> dict[str, str]:
    """File name -> the statements of one transaction, in the order they are sent."""
    staging = "s3://WORK_BUCKET/staging/LOAD_ID/ATTEMPT/"
    manifest = f"{staging}manifest.json"
    role = "COPY_ROLE_ARN"
    scripts = {
        "tables.sql": create_tables(),
        "grants.sql": grants(
            process_transactions_user="IAMR:PROCESS_TRANSACTIONS_ROLE", load_dimensions_user="IAMR:LOAD_DIMENSIONS_ROLE"
        ),
        "unload_dimensions.sql": [
            statement
            for name, dimension in DIMENSIONS.items()
            for statement in (
                unload_dimension(dimension, dimension.joined, prefix_uri=f"{staging}{name}/", copy_role_arn=role),
                "COMMIT",
            )
        ],
        "stage_transactions.sql": [
            set_statement_timeout(1800),
            create_staged(STAGED_TRANSACTIONS),
            copy_staged(STAGED_TRANSACTIONS, manifest_uri=manifest, copy_role_arn=role),
            count_staged(STAGED_TRANSACTIONS),
            set_statement_timeout(300),
            "COMMIT",
        ],
        "load_transactions.sql": [
            "BEGIN",
            LOCK_FACT,
            set_statement_timeout(1800),
            count_outcomes(),
            delete_stale(),
            merge(),
            count_merged(),
            select_ledger(),
            insert_ledger(),
            "COMMIT",
        ],
    }
    for kind, dimension in DIMENSIONS.items():
        scripts[f"load_{kind}.sql"] = [
            set_statement_timeout(1800),
            create_staged(dimension.staged),
            copy_staged(dimension.staged, manifest_uri=manifest, copy_role_arn=role),
            count_staged(dimension.staged),
            set_statement_timeout(300),
            "COMMIT",
            "BEGIN",
            lock_dimension(dimension),
            set_statement_timeout(1800),
            count_dimension_outcomes(dimension),
            delete_stale_dimension(dimension),
            merge_dimension(dimension),
            count_dimension_merged(dimension),
            "COMMIT",
        ]
    return {name: ";\n\n".join(statements) + ";\n" for name, statements in scripts.items()}


if __name__ == "__main__":
    RENDERED.mkdir(exist_ok=True)
    for file_name, script in rendered().items():
        (RENDERED / file_name).write_text(script, encoding="utf-8")
