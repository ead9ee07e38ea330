"""Statements that mean something else in Redshift than in PostgreSQL mean here what they mean in Redshift."""

from __future__ import annotations

import decimal
from datetime import UTC, datetime, timedelta

import pytest


def test_keys_are_not_enforced_but_not_null_is(session) -> None:
    session.run(
        "CREATE TABLE t (id VARCHAR(5) PRIMARY KEY ENCODE zstd DISTKEY, n INTEGER UNIQUE SORTKEY NOT NULL, "
        "UNIQUE (id, n)) DISTSTYLE KEY BACKUP NO"
    )
    session.run(
        "CREATE TABLE u (id VARCHAR(5) REFERENCES t (id), a INTEGER, PRIMARY KEY (a), FOREIGN KEY (id) REFERENCES t (id))"
    )
    session.run("INSERT INTO t VALUES ('a', 1), ('a', 1)")
    session.run("INSERT INTO u VALUES ('x', 1), ('y', 1)")
    session.run("ALTER TABLE t ADD PRIMARY KEY (id)")
    session.run("ALTER TABLE t ADD CONSTRAINT one UNIQUE (n)")
    session.run("INSERT INTO t VALUES ('a', 1)")
    assert session.run("SELECT count(*) FROM t") == [[3]]
    for sql in (
        "INSERT INTO t VALUES (NULL, 1)",
        "INSERT INTO t VALUES ('a', NULL)",
        "INSERT INTO u VALUES ('a', NULL)",
    ):
        assert session.error(sql)["C"] == "23502"


def test_a_bare_decimal_has_no_cents(session) -> None:
    session.run("CREATE TABLE t (a DECIMAL, b NUMERIC(18, 2), c NUMERIC)")
    session.run("INSERT INTO t VALUES (1.25, 1.25, 2.5)")
    assert session.run("SELECT a, b, c FROM t") == [
        [decimal.Decimal("1"), decimal.Decimal("1.25"), decimal.Decimal("3")]
    ]
    assert session.run("SELECT CAST('1.75' AS DECIMAL), '1.75'::numeric, '1.75'::decimal(5, 1)") == [
        [decimal.Decimal("2"), decimal.Decimal("2"), decimal.Decimal("1.8")]
    ]


@pytest.mark.parametrize("column", ["VARCHAR(4)", "CHARACTER VARYING(4)"])
@pytest.mark.parametrize("change", ["INSERT INTO t VALUES ('ééé')", "UPDATE t SET a = 'ééé'"])
def test_a_varchar_counts_bytes(session, column: str, change: str) -> None:
    session.run(f"CREATE TABLE t (a {column})")
    session.run("INSERT INTO t VALUES ('éé')")
    error = session.error(change)
    assert (error["C"], error["M"]) == ("22001", "value too long for type character varying(4)")
    assert session.run("SELECT a FROM t") == [["éé"]]


def test_a_copy_of_a_tables_shape_counts_bytes_too(session) -> None:
    session.run("CREATE TABLE t (a VARCHAR(4) NOT NULL)")
    session.run("CREATE TEMP TABLE s (LIKE t)")
    assert session.error("INSERT INTO s VALUES ('ééé')")["C"] == "22001"
    assert session.error("INSERT INTO s VALUES (NULL)")["C"] == "23502"
    session.run("ALTER TABLE t ADD COLUMN b VARCHAR(2) ENCODE lzo")
    assert session.error("INSERT INTO t VALUES ('a', 'éé')")["M"] == "value too long for type character varying(2)"


@pytest.mark.parametrize("column", ["TEXT", "VARCHAR"])
def test_text_is_256_bytes_long(session, column: str) -> None:
    session.run(f"CREATE TABLE t (a {column})")
    session.run("INSERT INTO t VALUES (%s)", "x" * 256)
    assert (
        session.error("INSERT INTO t VALUES (%s)", "é" * 129)["M"] == "value too long for type character varying(256)"
    )


def test_truncate_commits(database, session) -> None:
    session.run("CREATE TABLE t (a INTEGER)")
    session.run("CREATE TABLE u (a INTEGER)")
    session.run("INSERT INTO t VALUES (1)")
    session.run("BEGIN")
    session.run("INSERT INTO u VALUES (1)")
    session.run("TRUNCATE t")
    session.run("ROLLBACK")
    other = database.session()
    assert other.run("SELECT * FROM t") == []
    assert other.run("SELECT * FROM u") == [[1]], "what came before TRUNCATE in its transaction is committed with it"


def test_duplicate_matches_are_refused_in_redshifts_words(session) -> None:
    session.run("CREATE TABLE t (a INTEGER, b INTEGER)")
    session.run("CREATE TABLE s (a INTEGER, b INTEGER)")
    session.run("INSERT INTO t VALUES (1, 1)")
    session.run("INSERT INTO s VALUES (1, 2), (1, 3)")
    merge = (
        "MERGE INTO t USING s ON t.a = s.a WHEN MATCHED THEN UPDATE SET b = s.b "
        "WHEN NOT MATCHED THEN INSERT (a, b) VALUES (s.a, s.b)"
    )
    error = session.error(merge)
    assert (error["C"], error["M"]) == ("XX000", "Found multiple matches to update the same tuple")
    session.run("DELETE FROM t")
    session.run(merge)
    assert session.run("SELECT count(*) FROM t") == [[2]], "new keys written twice land twice, silently"


def test_getdate_has_seconds_and_sysdate_microseconds_of_utc(session) -> None:
    before = datetime.now(UTC).replace(tzinfo=None)
    ((getdate, sysdate),) = session.run("SELECT GETDATE(), SYSDATE")
    after = datetime.now(UTC).replace(tzinfo=None)
    assert getdate.microsecond == 0
    assert before - timedelta(seconds=1) < getdate <= after
    assert before <= sysdate <= after


def test_redshifts_session_settings_are_taken(session) -> None:
    session.run("SET query_group TO 'loads'")
    # In a transaction, so that its end also ends the limit.
    session.run("BEGIN")
    session.run("SET statement_timeout TO 50")
    assert session.error("SELECT count(*) FROM pg_class a, pg_class b, pg_class c, pg_class d")["C"] == "57014"
    session.run("ROLLBACK")
    assert session.run("SHOW query_group") == [["loads"]]
    session.run("RESET query_group")


def test_a_backslash_in_a_literal_escapes_as_in_redshift(session) -> None:
    assert session.run(r"SELECT 'a\'b', 'c\\d', 'e''f'") == [["a'b", "c\\d", "e'f"]]


def test_delete_needs_no_from(session) -> None:
    session.run("CREATE TABLE t (a INTEGER)")
    session.run("INSERT INTO t VALUES (1)")
    session.run("DELETE t WHERE a = 1")
    assert session.run("SELECT * FROM t") == []


def test_a_table_made_of_a_query_takes_distribution_clauses(session) -> None:
    session.run("CREATE TABLE t DISTSTYLE ALL SORTKEY (a) AS SELECT 1 AS a, CAST(2.5 AS DECIMAL) AS b")
    assert session.run("SELECT a, b FROM t") == [[1, decimal.Decimal(3)]]


def test_statements_with_binds_and_percent_signs_pass(session) -> None:
    session.run("CREATE TABLE t (a VARCHAR(10), b BIGINT, c TIMESTAMP, d DECIMAL(18, 2), e DATE)")
    row = ["x;'%", 2**40, datetime(2023, 3, 15, 1, 2, 3, 4), decimal.Decimal("1.50"), datetime(2023, 3, 15).date()]
    session.run("INSERT INTO t VALUES (%s, %s, %s, %s, %s)", *row)
    session.run("INSERT INTO t VALUES (%s, %s, %s, %s, %s)", None, None, None, None, None)
    assert session.run("SELECT * FROM t WHERE b IS NOT NULL") == [row]
    assert session.run("SELECT 'a%b'") == [["a%b"]]


def test_a_result_of_many_rows_arrives_whole(session) -> None:
    session.run("CREATE TABLE digits (d INTEGER)")
    session.run("INSERT INTO digits VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9)")
    rows = session.run("SELECT a.d + 10 * b.d + 100 * c.d + 1000 * e.d FROM digits a, digits b, digits c, digits e")
    assert sorted(value for (value,) in rows) == list(range(10_000))
