"""Statements that Redshift refuses and PostgreSQL accepts are refused, by the lint and over the wire."""

from __future__ import annotations

from pathlib import Path

import pytest
from redshift_connector import ProgrammingError

from redshift_emulator import refusals, wire
from redshift_emulator.refusals import _RULES
from redshift_emulator.statements import understand

MATCHED = "WHEN MATCHED THEN UPDATE SET b = s.b"
NOT_MATCHED = "WHEN NOT MATCHED THEN INSERT (a, b) VALUES (s.a, s.b)"

REFUSED = {
    "merge_condition_on_when": [
        f"MERGE INTO t USING s ON t.a = s.a WHEN MATCHED AND s.b > t.b THEN UPDATE SET b = s.b {NOT_MATCHED}",
        f"merge into t using s on t.a = s.a {MATCHED} when not matched and s.b > 1 then insert (a) values (s.a)",
    ],
    "merge_by_source": [
        f"MERGE INTO t USING s ON t.a = s.a {MATCHED} {NOT_MATCHED} WHEN NOT MATCHED BY SOURCE THEN DELETE"
    ],
    "merge_do_nothing": [f"MERGE INTO t USING s ON t.a = s.a WHEN MATCHED THEN DO NOTHING {NOT_MATCHED}"],
    "merge_target_alias": [
        f"MERGE INTO t AS x USING s ON x.a = s.a {MATCHED} {NOT_MATCHED}",
        f"MERGE INTO t x USING s ON x.a = s.a {MATCHED} {NOT_MATCHED}",
    ],
    "merge_after_with": [f"WITH q AS (SELECT * FROM s) MERGE INTO t USING q s ON t.a = s.a {MATCHED} {NOT_MATCHED}"],
    "merge_using_with": [
        f"MERGE INTO t USING (WITH q AS (SELECT * FROM s) SELECT * FROM q) s ON t.a = s.a {MATCHED} {NOT_MATCHED}"
    ],
    "merge_single_when": [
        f"MERGE INTO t USING s ON t.a = s.a {MATCHED}",
        f"MERGE INTO t USING s ON t.a = s.a {NOT_MATCHED}",
    ],
    "merge_when_twice": [
        f"MERGE INTO t USING s ON t.a = s.a {MATCHED} {MATCHED} {NOT_MATCHED}",
        f"MERGE INTO t USING s ON t.a = s.a {MATCHED} {NOT_MATCHED} {NOT_MATCHED}",
    ],
    "merge_remove_duplicates": ["MERGE INTO t USING s ON t.a = s.a REMOVE DUPLICATES"],
    "merge_on_equality": [f"MERGE INTO t USING s ON t.a = s.a AND s.b >= t.b {MATCHED} {NOT_MATCHED}"],
    "merge_source_is_target": [f"MERGE INTO t USING (SELECT a, b FROM t) s ON t.a = s.a {MATCHED} {NOT_MATCHED}"],
    "merge_binds_in_subquery": [
        f"MERGE INTO t USING (SELECT * FROM s WHERE b > $1) s ON t.a = s.a {MATCHED} {NOT_MATCHED}"
    ],
    "on_conflict": ["INSERT INTO t (a) VALUES (1) ON CONFLICT DO NOTHING"],
    "returning": [
        "INSERT INTO t (a) VALUES (1) RETURNING a",
        "DELETE FROM t WHERE a = 1 RETURNING *",
        "UPDATE t SET a = 1 RETURNING b",
    ],
    "delete_alias": ["DELETE FROM t AS x USING s WHERE x.a = s.a", "DELETE FROM t x WHERE x.a = 1"],
    "update_column_list": ["UPDATE t SET (a, b) = (1, 2)"],
    "update_only": ["UPDATE ONLY t SET a = 1", "DELETE FROM ONLY t"],
    "distinct_from": ["SELECT a IS DISTINCT FROM b FROM t", "SELECT a FROM t WHERE a IS NOT DISTINCT FROM b"],
    "aggregate_filter": ["SELECT count(*) FILTER (WHERE a = 1) FROM t"],
    "distinct_on": ["SELECT DISTINCT ON (a) a, b FROM t ORDER BY a, b"],
    "lateral": ["SELECT * FROM t, LATERAL (SELECT * FROM s WHERE s.a = t.a) x"],
    "for_update": ["SELECT * FROM t FOR UPDATE"],
    "row_comparison": [
        "SELECT 1 FROM t WHERE (a, b) < (1, 2)",
        "DELETE FROM s USING t WHERE s.a = t.a AND (s.a, s.b) <= (t.a, t.b)",
    ],
    "arrays": ["CREATE TABLE x (a INTEGER[])", "SELECT ARRAY[1, 2]", "SELECT a FROM t WHERE a = ANY($1)"],
    "unknown_function": ["SELECT string_agg(a, ',') FROM t", "SELECT gen_random_uuid()"],
    "create_index": ["CREATE INDEX i ON t (a)", "CREATE UNIQUE INDEX i ON t (a)"],
    "generated_column": ["CREATE TABLE x (a INTEGER, b INTEGER GENERATED ALWAYS AS (a * 2) STORED)"],
    "unlogged": ["CREATE UNLOGGED TABLE x (a INTEGER)"],
    "on_commit": ["CREATE TEMP TABLE x (a INTEGER) ON COMMIT DROP"],
    "check_constraint": ["CREATE TABLE x (a INTEGER CHECK (a > 0))"],
    "add_column_if_not_exists": ["ALTER TABLE t ADD COLUMN IF NOT EXISTS c INTEGER"],
    "drop_column_if_exists": ["ALTER TABLE t DROP COLUMN IF EXISTS b"],
    "alter_several": ["ALTER TABLE t ADD COLUMN c INTEGER, ADD COLUMN d INTEGER"],
    "add_not_null_without_default": ["ALTER TABLE t ADD COLUMN c INTEGER NOT NULL", "ALTER TABLE t ADD c INT NOT NULL"],
    "alter_column_null_or_default": [
        "ALTER TABLE t ALTER COLUMN b SET NOT NULL",
        "ALTER TABLE t ALTER COLUMN b DROP DEFAULT",
    ],
    "unknown_type": [
        "CREATE TABLE x (a JSONB)",
        "CREATE TABLE x (a SERIAL)",
        "SELECT '{}'::jsonb",
        "SELECT CAST('{}' AS json)",
    ],
    "trigger": ["CREATE SEQUENCE x", "CREATE TYPE x AS ENUM ('a')"],
    "lock_mode": ["LOCK TABLE t IN SHARE MODE", "LOCK t NOWAIT"],
    "copy_from_stdin": ["COPY t FROM STDIN", "COPY t TO STDOUT"],
    "savepoint": ["SAVEPOINT x", "DO $$BEGIN NULL; END$$"],
}
CASES = [(rule, sql) for rule, statements in REFUSED.items() for sql in statements]


def test_every_rule_of_the_table_has_a_refused_statement_here() -> None:
    assert {rule.name for rule in _RULES} == set(REFUSED)


@pytest.mark.parametrize(("rule", "sql"), CASES)
def test_the_lint_names_the_rule_that_a_statement_breaks(rule: str, sql: str) -> None:
    assert rule in {refusal.rule for refusal in refusals(sql)}


@pytest.mark.parametrize(("rule", "sql"), CASES)
def test_the_engine_refuses_the_statement_and_changes_nothing(session, rule: str, sql: str) -> None:
    session.run("CREATE TABLE t (a INTEGER, b INTEGER)")
    session.run("CREATE TABLE s (a INTEGER, b INTEGER)")
    session.run("INSERT INTO t VALUES (1, 10)")
    session.run("INSERT INTO s VALUES (1, 11), (2, 12)")
    error = session.error(sql)
    expected = {(refusal.sqlstate, refusal.message) for refusal in refusals(sql)}
    assert (error["C"], error["M"]) in expected
    assert session.run("SELECT a, b FROM t") == [[1, 10]]


def test_a_single_when_clause_is_refused_in_redshifts_words() -> None:
    (refusal,) = refusals(f"MERGE INTO t USING s ON t.a = s.a {MATCHED}")
    assert refusal.message == "MERGE statement with a single WHEN clause is not enabled"


@pytest.mark.parametrize(
    "sql",
    [
        f"MERGE INTO t USING s ON t.a = s.a {MATCHED} {NOT_MATCHED}",
        f"MERGE INTO public.t USING (SELECT a, b FROM s) AS s ON t.a = s.a {MATCHED} {NOT_MATCHED}",
        "DELETE FROM s USING t WHERE s.a = t.a AND (s.b < t.b OR (s.b = t.b AND s.a < t.a))",
        "UPDATE t SET b = s.b FROM s WHERE t.a = s.a",
        "SELECT a, sum(CASE WHEN b > 1 THEN 1 ELSE 0 END) AS filter FROM t GROUP BY a",
        "SELECT 'RETURNING ON CONFLICT LATERAL jsonb WHEN MATCHED AND', a AS \"distinct on (\" FROM t -- FILTER (WHERE 1)",
        "SELECT coalesce(a, b) < coalesce(b, a) FROM t",
        "INSERT INTO t (a, b) SELECT a, row_number() OVER (PARTITION BY b ORDER BY a) FROM s",
        "CREATE TABLE x (a VARCHAR(10) NOT NULL ENCODE zstd, b DECIMAL(18, 2)) DISTSTYLE KEY DISTKEY (a) SORTKEY (b)",
        "WITH q AS (SELECT a FROM s) DELETE FROM t USING q WHERE t.a = q.a",
        "ALTER TABLE t ADD COLUMN c DECIMAL(10, 2) DEFAULT 0 NOT NULL",
        "ALTER TABLE t ADD COLUMN c VARCHAR(20) ENCODE zstd",
        "ALTER TABLE t ADD CONSTRAINT k PRIMARY KEY (a)",
        "ALTER TABLE t RENAME COLUMN b TO c",
        "LOCK t, s",
        "BEGIN",
        "SET statement_timeout TO 1000",
    ],
)
def test_what_redshift_takes_is_not_refused(sql: str) -> None:
    assert refusals(sql) == []


def test_the_products_own_sql_is_not_refused() -> None:
    rendered = Path(__file__).parents[2] / "schemas" / "warehouse" / "rendered"
    files = sorted(rendered.glob("*.sql"))
    assert files, f"no SQL in {rendered}"
    role = "arn:aws:iam::123456789012:role/copy"
    refused = {file.name: refusals(file.read_text().replace("COPY_ROLE_ARN", role)) for file in files}
    assert refused == {file.name: [] for file in files}


def test_a_refusal_fails_the_transaction_as_an_error_does(session) -> None:
    session.run("CREATE TABLE t (a INTEGER)")
    session.run("BEGIN")
    session.run("INSERT INTO t VALUES (1)")
    session.error("INSERT INTO t VALUES (2) RETURNING a")
    assert session.error("SELECT 1")["C"] == "25P02"
    session.run("COMMIT")
    assert session.run("SELECT * FROM t") == []


def test_a_prepared_statement_is_one_statement(session) -> None:
    assert session.error("SELECT 1; SELECT 2")["C"] == "42601"


@pytest.mark.parametrize(
    "sql",
    [
        "LOCK t",
        "COPY t FROM 's3://b/k' IAM_ROLE default FORMAT AS PARQUET",
        "UNLOAD ('select 1') TO 's3://b/k' IAM_ROLE default PARQUET",
    ],
)
def test_commands_take_no_binds(session, sql: str) -> None:
    session.run("CREATE TABLE t (a INTEGER)")
    session.run("BEGIN")
    assert "takes no bind parameters" in session.error(sql + " -- %s", 1)["M"]


def test_more_than_32767_binds_are_refused() -> None:
    assert understand("SELECT 1", binds=32767).refusal is None
    refusal = understand("SELECT 1", binds=32768).refusal
    assert refusal is not None
    assert "32767" in refusal.message


def test_vacuum_is_refused_in_a_transaction_and_taken_outside(session) -> None:
    session.run("CREATE TABLE t (a INTEGER)")
    session.run("VACUUM DELETE ONLY t TO 100 PERCENT")
    session.run("BEGIN")
    assert session.error("VACUUM t")["C"] == "25001"


def test_lock_is_refused_outside_a_transaction(session) -> None:
    session.run("CREATE TABLE t (a INTEGER)")
    assert session.error("LOCK t")["C"] == "25P01"


@pytest.mark.parametrize(
    ("rule", "sql"),
    [
        ("copy", "COPY t FROM 's3://b/k' IAM_ROLE default FORMAT AS PARQUET REGION 'us-east-1'"),
        ("unload", "UNLOAD ('SELECT a FROM t LIMIT 1') TO 's3://b/k' IAM_ROLE default FORMAT AS PARQUET"),
        ("unload", "UNLOAD ('SELECT DISTINCT ON (a) a FROM t') TO 's3://b/k' IAM_ROLE default FORMAT AS PARQUET"),
    ],
)
def test_the_lint_reads_copy_and_unload_too(rule: str, sql: str) -> None:
    assert [refusal.rule for refusal in refusals(sql)] == [rule]


def _simple_query(session, text: str) -> None:
    """Sends a simple Query, which the driver itself never does."""
    session.connection._write(wire.query_message(text))
    session.connection._flush()
    session.connection.handle_messages(session.connection.cursor())


def test_a_simple_query_of_several_statements_obeys_the_same_rules(session) -> None:
    _simple_query(
        session, "CREATE TABLE t (a DECIMAL); INSERT INTO t VALUES (1.4); TRUNCATE t; INSERT INTO t VALUES (2.6)"
    )
    assert session.run("SELECT CAST(a AS VARCHAR) FROM t") == [["3"]]
    with pytest.raises(ProgrammingError, match="RETURNING"):
        _simple_query(
            session, "INSERT INTO t VALUES (4); INSERT INTO t VALUES (5) RETURNING a; INSERT INTO t VALUES (6)"
        )
    assert session.run("SELECT CAST(a AS VARCHAR) FROM t ORDER BY a") == [["3"], ["4"]]
    with pytest.raises(ProgrammingError, match="query was empty"):  # what the driver makes of it
        _simple_query(session, " ; -- nothing")
    assert session.run("SELECT 1") == [[1]]
