"""UNLOAD to Parquet on S3."""

from __future__ import annotations

import decimal
import io
import json
from datetime import date, datetime

import polars as pl
import pyarrow.parquet as pq
import pytest
from polars.testing import assert_frame_equal

NASTY = ["", None, "a\tb", "a\nb\r\n", 'say "x"', "\\N", "NULL", "back\\slash", "é€😀", " padded ", ",", "''", "t"]


def unload(select: str, prefix: str, options: str = "") -> str:
    return f"UNLOAD ('{select}') TO '{prefix}' IAM_ROLE default FORMAT AS PARQUET {options}"


@pytest.fixture
def table(session):
    session.run("CREATE TABLE t (id INTEGER, name VARCHAR(20))")
    session.run("INSERT INTO t VALUES (1, 'one'), (2, 'two')")
    return session


def test_every_type_arrives_as_it_was(session, bucket) -> None:
    session.run(
        "CREATE TABLE t (a SMALLINT, b INTEGER, c BIGINT, d DECIMAL(9,3), e DECIMAL(38,4), f DATE, g TIMESTAMP, "
        "h BOOLEAN, i DOUBLE PRECISION, j VARCHAR(20))"
    )
    row = [
        -5,
        2**31 - 1,
        -(2**63),
        decimal.Decimal("-123456.789"),
        decimal.Decimal("123456789012345678901234567890.5678"),
    ]
    row += [date(2024, 2, 29), datetime(2023, 3, 15, 23, 59, 59, 999999), True, 0.1, "x"]
    session.run("INSERT INTO t VALUES (" + ", ".join(["%s"] * len(row)) + ")", *row)
    session.run("INSERT INTO t (a) VALUES (NULL)")
    session.run(unload("SELECT * FROM t ORDER BY b", f"s3://{bucket.name}/out/"))
    types = [pl.Int16, pl.Int32, pl.Int64, pl.Decimal(9, 3), pl.Decimal(38, 4), pl.Date, pl.Datetime("us"), pl.Boolean]
    schema = dict(zip("abcdefghij", [*types, pl.Float64, pl.String], strict=True))
    assert_frame_equal(
        bucket.frame("out/0000_part_00.parquet"), pl.DataFrame([row, [None] * 10], schema=schema, orient="row")
    )


def test_texts_are_neither_changed_nor_taken_for_null(session, bucket) -> None:
    session.run("CREATE TABLE t (id INTEGER, name VARCHAR(30))")
    for number, name in enumerate(NASTY):
        session.run("INSERT INTO t VALUES (%s, %s)", number, name)
    session.run(unload("SELECT id, name FROM t ORDER BY id", f"s3://{bucket.name}/out/"))
    assert bucket.frame("out/0000_part_00.parquet")["name"].to_list() == NASTY


def test_quotes_are_doubled_inside_the_select(table, bucket) -> None:
    table.run(unload("SELECT id FROM t WHERE name = ''one''", f"s3://{bucket.name}/out/"))
    assert bucket.frame("out/0000_part_00.parquet")["id"].to_list() == [1]


def test_parallel_off_writes_one_file_and_a_manifest_lists_it(table, bucket) -> None:
    table.run(unload("SELECT * FROM t", f"s3://{bucket.name}/out/dim_", "PARALLEL OFF MANIFEST"))
    assert bucket.keys("out/") == ["out/dim_000.parquet", "out/dim_manifest"]
    body = bucket.client.get_object(Bucket=bucket.name, Key="out/dim_000.parquet")["Body"].read()
    manifest = json.loads(bucket.client.get_object(Bucket=bucket.name, Key="out/dim_manifest")["Body"].read())
    assert manifest == {
        "entries": [{"url": f"s3://{bucket.name}/out/dim_000.parquet", "meta": {"content_length": len(body)}}]
    }
    column = pq.ParquetFile(io.BytesIO(body)).metadata.row_group(0).column(0)
    assert column.compression == "SNAPPY"


def test_what_is_unloaded_can_be_copied_back(table, bucket) -> None:
    table.run("CREATE TABLE u (id INTEGER, price DECIMAL(18,4), at TIMESTAMP)")
    table.run("INSERT INTO u VALUES (1, 1.5, '2023-03-15 01:02:03')")
    table.run(unload("SELECT * FROM u", f"s3://{bucket.name}/out/"))
    table.run(f"COPY u FROM 's3://{bucket.name}/out/' IAM_ROLE default FORMAT AS PARQUET")
    assert table.run("SELECT count(*), count(DISTINCT price) FROM u") == [[2, 1]]


def test_no_rows_are_a_file_with_columns_and_no_rows(table, bucket) -> None:
    table.run(unload("SELECT id FROM t WHERE id > 5", f"s3://{bucket.name}/out/"))
    assert_frame_equal(bucket.frame("out/0000_part_00.parquet"), pl.DataFrame(schema={"id": pl.Int32}))


def test_existing_files_are_kept_unless_the_statement_says_otherwise(table, bucket) -> None:
    bucket.put("out/x_old.parquet", b"old")
    statement = unload("SELECT id FROM t", f"s3://{bucket.name}/out/x_")
    assert "is not empty" in table.error(statement)["M"]
    assert bucket.keys("out/") == ["out/x_old.parquet"]
    table.run(statement + " ALLOWOVERWRITE")
    assert bucket.keys("out/") == ["out/x_0000_part_00.parquet", "out/x_old.parquet"]
    table.run(statement + " CLEANPATH")
    assert bucket.keys("out/") == ["out/x_0000_part_00.parquet"]


def test_unload_sees_its_own_transaction(table, bucket) -> None:
    table.run("BEGIN")
    table.run("INSERT INTO t VALUES (3, 'three')")
    table.run(unload("SELECT id FROM t", f"s3://{bucket.name}/out/"))
    table.run("ROLLBACK")
    assert bucket.frame("out/0000_part_00.parquet").height == 3


@pytest.mark.parametrize(
    ("select", "options", "sqlstate"),
    [
        ("SELECT id FROM t ORDER BY id LIMIT 1", "", "0A000"),
        ("SELECT DISTINCT ON (id) id FROM t", "", "42601"),
        ("DELETE FROM t", "", "42601"),
        ("SELECT 1; SELECT 2", "", "42601"),
        ("SELECT nothing FROM t", "", "42703"),
        ("SELECT avg(id) AS a FROM t", "", "0A000"),
        ("SELECT id FROM t", "GZIP", "0A000"),
        ("SELECT id FROM t", "HEADER", "0A000"),
        ("SELECT id FROM t", "CLEANPATH ALLOWOVERWRITE", "42601"),
    ],
)
def test_what_cannot_be_unloaded_writes_nothing(table, bucket, select: str, options: str, sqlstate: str) -> None:
    assert table.error(unload(select, f"s3://{bucket.name}/out/", options))["C"] == sqlstate
    assert bucket.keys() == []


def test_an_inner_limit_is_taken(table, bucket) -> None:
    table.run(unload("SELECT id FROM (SELECT id FROM t ORDER BY id LIMIT 1) AS first", f"s3://{bucket.name}/out/"))
    assert bucket.frame("out/0000_part_00.parquet")["id"].to_list() == [1]


def test_an_error_while_rows_are_read_writes_nothing(table, bucket) -> None:
    table.run("BEGIN")
    assert (
        table.error(unload("SELECT 1 / (id - 2) AS x FROM t ORDER BY id", f"s3://{bucket.name}/out/"))["C"] == "22012"
    )
    assert table.error("SELECT 1")["C"] == "25P02"
    assert bucket.keys() == []


def test_a_role_unloads_only_what_it_may_read(database, table, bucket) -> None:
    role = database.session(role=True)
    assert role.error(unload("SELECT id FROM t", f"s3://{bucket.name}/out/"))["C"] == "42501"
    assert bucket.keys() == []


def test_many_rows_arrive_whole(session, bucket) -> None:
    session.run("CREATE TABLE d (n INTEGER)")
    session.run("INSERT INTO d VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9)")
    session.run(
        "CREATE TABLE t AS SELECT a.n + 10 * b.n + 100 * c.n + 1000 * e.n + 10000 * f.n AS id FROM d a, d b, d c, d e, d f"
    )
    wide = "''" + "x\n" * 100 + "''"  # a reader that cuts its blocks at any newline fails on this
    session.run(unload(f"SELECT id, {wide} AS wide FROM t", f"s3://{bucket.name}/out/"))
    frame = bucket.frame("out/0000_part_00.parquet")
    assert sorted(frame["id"].to_list()) == list(range(100_000))
    assert frame["wide"].unique().to_list() == ["x\n" * 100]
