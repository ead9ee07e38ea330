"""COPY of Parquet from S3: what loads, and that everything else loads nothing."""

from __future__ import annotations

import decimal
import io
from datetime import date, datetime

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

COPY = "COPY t FROM '{}' IAM_ROLE default FORMAT AS PARQUET MANIFEST STATUPDATE OFF"
NASTY = ["", None, "a\tb", "a\nb\r\n", 'say "x"', "\\N", "\\.", "back\\slash", "é€😀", " padded ", ",", "''"]


@pytest.fixture
def table(session):
    session.run("CREATE TABLE t (id INTEGER NOT NULL, name VARCHAR(20))")
    session.run("INSERT INTO t VALUES (0, 'before')")
    return session


def untouched(session) -> bool:
    return session.run("SELECT id, name FROM t") == [[0, "before"]]


def ids(*values: int | None, name: str | None = "x") -> pl.DataFrame:
    return pl.DataFrame(
        {"id": pl.Series(values, dtype=pl.Int32), "name": pl.Series([name] * len(values), dtype=pl.String)}
    )


def test_every_type_and_every_nasty_text_arrives_as_it_was(session, bucket) -> None:
    session.run(
        "CREATE TABLE t (a SMALLINT, b INTEGER, c BIGINT, d DECIMAL(9,3), e DECIMAL(18,2), f DECIMAL(38,4), g DATE, "
        "h TIMESTAMP, i BOOLEAN, j DOUBLE PRECISION, k REAL, l VARCHAR(20))"
    )
    columns = {
        "a": pl.Series([-5, None], dtype=pl.Int16),
        "b": pl.Series([2**31 - 1, None], dtype=pl.Int32),
        "c": pl.Series([-(2**63), None], dtype=pl.Int64),
        "d": pl.Series([decimal.Decimal("-123456.789"), None], dtype=pl.Decimal(9, 3)),
        "e": pl.Series([decimal.Decimal("9999999999999999.99"), None], dtype=pl.Decimal(18, 2)),
        "f": pl.Series([decimal.Decimal("1234567890123456789012345678901234.5678"), None], dtype=pl.Decimal(38, 4)),
        "g": pl.Series([date(2024, 2, 29), None], dtype=pl.Date),
        "h": pl.Series([datetime(2023, 3, 15, 23, 59, 59, 999999), None], dtype=pl.Datetime("us")),
        "i": pl.Series([True, None], dtype=pl.Boolean),
        "j": pl.Series([0.1, None], dtype=pl.Float64),
        "k": pl.Series([0.5, None], dtype=pl.Float32),
        "l": pl.Series(["x", None], dtype=pl.String),
    }
    frame = pl.DataFrame(columns)
    session.run(COPY.format(bucket.manifest_of(frame)))
    assert session.run("SELECT * FROM t WHERE a IS NOT NULL") == [list(frame.row(0))]
    assert session.run(
        "SELECT count(*) FROM t WHERE coalesce(b, c, d, e, f) IS NULL AND g IS NULL AND h IS NULL AND i IS NULL AND j IS NULL AND k IS NULL AND l IS NULL"
    ) == [[1]]


def test_texts_are_neither_changed_nor_taken_for_null(session, bucket) -> None:
    session.run("CREATE TABLE t (id INTEGER, name VARCHAR(30))")
    frame = pl.DataFrame({"id": pl.int_range(len(NASTY), dtype=pl.Int32, eager=True), "name": NASTY})
    session.run(COPY.format(bucket.manifest_of(frame)))
    assert session.run("SELECT name FROM t ORDER BY id") == [[name] for name in NASTY]


@pytest.mark.parametrize("held", [pl.Enum(["pending", "é"]), pl.Categorical])
def test_an_enumeration_is_a_text_like_any_other(table, bucket, held) -> None:
    frame = ids(1, 2, 3).with_columns(name=pl.Series(["é", None, "pending"]).cast(held))
    table.run(COPY.format(bucket.manifest_of(frame)))
    assert table.run("SELECT name FROM t WHERE id > 0 ORDER BY id") == [["é"], [None], ["pending"]]


def test_columns_are_taken_by_position_whatever_their_names(table, bucket) -> None:
    url = bucket.manifest_of(pl.DataFrame({"name": pl.Series([7], dtype=pl.Int32), "id": ["seven"]}))
    table.run(COPY.format(url))
    assert table.run("SELECT id, name FROM t WHERE id = 7") == [[7, "seven"]]


def test_a_column_list_says_which_position_is_which_column(table, bucket) -> None:
    url = bucket.manifest_of(pl.DataFrame({"x": ["seven"], "y": pl.Series([7], dtype=pl.Int32)}))
    table.run(COPY.format(url).replace("COPY t", 'COPY public.t (name, "id")'))
    assert table.run("SELECT id, name FROM t WHERE id = 7") == [[7, "seven"]]


def test_an_exact_prefix_loads_every_object_but_the_ignored_ones(table, bucket) -> None:
    for key in ("p/a.parquet", "p/b.parquet", "p/_success.parquet", "p/.hidden", "p/c.parquet.gz", "p/d.snappy"):
        bucket.put_frame(ids(len(key)), key)
    bucket.put("p/_SUCCESS", b"")
    table.run(f"COPY t FROM 's3://{bucket.name}/p/' IAM_ROLE 'arn:aws:iam::123456789012:role/copy' FORMAT AS PARQUET")
    assert table.run("SELECT count(*) FROM t") == [[3]]


def test_an_empty_prefix_is_an_error(table, bucket) -> None:
    assert (
        "does not exist" in table.error(f"COPY t FROM 's3://{bucket.name}/q' IAM_ROLE default FORMAT AS PARQUET")["M"]
    )


def test_several_objects_load_and_a_duplicate_entry_loads_twice(table, bucket) -> None:
    first = bucket.entry("a.parquet", bucket.put_frame(ids(1, 2), "a.parquet"))
    second = bucket.entry("b.parquet", bucket.put_frame(ids(3), "b.parquet"))
    table.run(COPY.format(bucket.put_manifest(first, second, first)))
    assert table.run("SELECT count(*) FROM t") == [[6]]
    assert table.run("SELECT pg_last_copy_count()") == [[5]]


def test_a_copy_is_part_of_its_transaction(database, table, bucket) -> None:
    url = bucket.manifest_of(ids(1))
    table.run("BEGIN")
    table.run(COPY.format(url))
    assert table.run("SELECT count(*) FROM t") == [[2]]
    assert database.session().run("SELECT count(*) FROM t") == [[1]]
    table.run("ROLLBACK")
    assert untouched(table)


def test_the_last_copy_count_survives_a_failed_copy_and_a_rollback(database, table, bucket) -> None:
    assert table.run("SELECT pg_last_copy_count()") == [[0]]
    table.run("BEGIN")
    table.run(COPY.format(bucket.manifest_of(ids(1, 2, 3))))
    assert table.run("SELECT pg_last_copy_count()") == [[3]]
    table.run("ROLLBACK")
    assert table.run("SELECT pg_last_copy_count()") == [[3]]
    table.error(COPY.format(bucket.manifest_of(ids(1, 2))).replace("COPY t", "COPY missing"))
    assert table.run("SELECT pg_last_copy_count()") == [[3]], "the flaw is Redshift's: the previous count stays"
    assert database.session().run("SELECT pg_last_copy_count()") == [[0]]


def wrong_length(bucket) -> str:
    length = bucket.put_frame(ids(1), "a.parquet")
    return bucket.put_manifest(bucket.entry("a.parquet", length + 1))


def no_length(bucket) -> str:
    bucket.put_frame(ids(1), "a.parquet")
    return bucket.put_manifest(bucket.entry("a.parquet", None))


def missing_object(bucket) -> str:
    length = bucket.put_frame(ids(1), "a.parquet")
    return bucket.put_manifest(bucket.entry("a.parquet", length), bucket.entry("gone.parquet", 10))


def no_manifest(bucket) -> str:
    return f"s3://{bucket.name}/nothing.json"


def broken_manifest(bucket) -> str:
    bucket.put("manifest.json", b"{]")
    return f"s3://{bucket.name}/manifest.json"


def no_parquet(bucket) -> str:
    return bucket.put_manifest(bucket.entry("a.csv", bucket.put("a.csv", b"id,name\n1,x\n")))


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        (wrong_length, "content_length"),
        (no_length, "Missing content_length"),
        (missing_object, "mandatory url"),
        (no_manifest, "NoSuchKey"),
        (broken_manifest, "not in correct json format"),
        (no_parquet, "Spectrum Scan Error"),
    ],
)
def test_a_manifest_that_is_not_true_loads_nothing(table, bucket, manifest, message: str) -> None:
    error = table.error(COPY.format(manifest(bucket)))
    assert error["C"] == "XX000"
    assert message in error["M"]
    assert untouched(table)


def test_a_missing_object_that_is_not_mandatory_is_passed_over(table, bucket) -> None:
    here = bucket.entry("a.parquet", bucket.put_frame(ids(1), "a.parquet"))
    gone = bucket.entry("gone.parquet", 10, mandatory=False)
    table.run(COPY.format(bucket.put_manifest(here, gone)))
    assert table.run("SELECT count(*) FROM t") == [[2]]


@pytest.mark.parametrize("columns", [["id"], ["id", "name", "more"]])
def test_the_number_of_columns_must_match(table, bucket, columns: list[str]) -> None:
    frame = ids(1).with_columns(more=1).select(columns)
    assert table.error(COPY.format(bucket.manifest_of(frame)))["M"] == "Unmatched number of columns in table and source"
    assert untouched(table)


@pytest.mark.parametrize(
    ("column", "held"),
    [
        ("INTEGER", pl.Int64),
        ("INTEGER", pl.String),
        ("BIGINT", pl.Int32),
        ("SMALLINT", pl.Int64),
        ("DECIMAL(18,2)", pl.Float64),
        ("DECIMAL(18,2)", pl.Int64),
        ("DECIMAL(18,2)", pl.Decimal(9, 2)),
        ("DECIMAL(18,2)", pl.Decimal(38, 2)),
        ("DECIMAL(18,2)", pl.Decimal(18, 4)),
        ("DECIMAL(12,2)", pl.Decimal(18, 2)),
        ("DECIMAL", pl.Decimal(18, 2)),
        ("DATE", pl.Datetime("us")),
        ("DATE", pl.Int32),
        ("TIMESTAMP", pl.Date),
        ("TIMESTAMP", pl.Datetime("ms")),
        ("VARCHAR(20)", pl.Int32),
        ("BOOLEAN", pl.Int32),
        ("DOUBLE PRECISION", pl.Float32),
    ],
)
def test_another_physical_type_is_error_15007(session, bucket, column: str, held: pl.DataType) -> None:
    session.run(f"CREATE TABLE t (a {column})")
    error = session.error(COPY.format(bucket.manifest_of(pl.DataFrame({"a": pl.Series([None], dtype=held)}))))
    assert (error["C"], error["M"]) == ("XX000", "Spectrum Scan Error")
    assert "15007" in error["D"]
    assert "has an incompatible Parquet schema for column" in error["D"]


def test_nanosecond_timestamps_are_refused(session, bucket) -> None:
    session.run("CREATE TABLE t (a TIMESTAMP)")
    body = io.BytesIO()
    pq.write_table(pa.table({"a": pa.array([0], pa.timestamp("ns"))}), body, version="2.6")
    url = bucket.put_manifest(bucket.entry("a.parquet", bucket.put("a.parquet", body.getvalue())))
    assert "nanosecond" in session.error(COPY.format(url))["D"]
    assert session.run("SELECT * FROM t") == []


def test_a_text_longer_in_bytes_than_its_column_aborts_everything(table, bucket) -> None:
    fits = ids(*range(1, 1001), name="x" * 20)
    long = pl.concat([fits, ids(1001, name="é" * 11)])
    error = table.error(COPY.format(bucket.manifest_of(long, row_group_size=100)))
    assert (
        "The length of the data column name is longer than the length defined in the table. Table: 20, Data: 22"
        in error["D"]
    )
    assert untouched(table)
    table.run(COPY.format(bucket.manifest_of(fits)))
    assert table.run("SELECT count(*) FROM t") == [[1001]]


def test_null_into_not_null_aborts_everything(table, bucket) -> None:
    assert table.error(COPY.format(bucket.manifest_of(ids(1, 2, None))))["C"] == "23502"
    assert untouched(table)


def test_an_error_in_the_second_object_takes_back_the_first(table, bucket) -> None:
    first = bucket.entry("a.parquet", bucket.put_frame(ids(1), "a.parquet"))
    second = bucket.entry("b.parquet", bucket.put_frame(ids(2).with_columns(pl.col("id").cast(pl.Int64)), "b.parquet"))
    table.error(COPY.format(bucket.put_manifest(first, second)))
    assert untouched(table)


def test_a_failed_copy_fails_its_transaction(table, bucket) -> None:
    table.run("BEGIN")
    table.run("INSERT INTO t VALUES (1, 'x')")
    table.error(COPY.format(no_manifest(bucket)))
    assert table.error("SELECT 1")["C"] == "25P02"
    table.run("COMMIT")
    assert untouched(table)


@pytest.mark.parametrize(
    "option",
    ["REGION 'us-east-1'", "MAXERROR 10", "IGNOREALLERRORS", "ACCEPTANYDATE", "TRUNCATECOLUMNS", "GZIP", "FILLRECORD"],
)
def test_options_that_parquet_does_not_take_are_refused(table, bucket, option: str) -> None:
    error = table.error(COPY.format(bucket.manifest_of(ids(1))) + " " + option)
    name = option.split()[0]
    assert (error["C"], error["M"]) == ("0A000", f"{name} argument is not supported for PARQUET based COPY")
    assert untouched(table)


@pytest.mark.parametrize("format_", ["FORMAT AS CSV", "CSV", "", "FORMAT AS JSON 'auto'"])
def test_formats_whose_null_is_not_postgresqls_are_refused(table, bucket, format_: str) -> None:
    bucket.put("a.csv", b"1,x\n")
    assert table.error(f"COPY t FROM 's3://{bucket.name}/a.csv' IAM_ROLE default {format_}")["C"] == "0A000"
    assert untouched(table)


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "IAM_ROLE 'somebody'",
        "CREDENTIALS 'aws_access_key_id=x;aws_secret_access_key=y'",
        "ACCESS_KEY_ID 'x'",
        "IAM_ROLE 'default'",
    ],
)
def test_only_a_role_authorises(table, bucket, authorization: str) -> None:
    sql = COPY.format(bucket.manifest_of(ids(1))).replace("IAM_ROLE default", authorization)
    assert table.error(sql)["C"] == "XX000"
    assert untouched(table)


def test_a_missing_table_or_column_is_named(table, bucket) -> None:
    url = bucket.manifest_of(ids(1))
    assert table.error(COPY.format(url).replace("COPY t", "COPY nowhere"))["C"] == "42P01"
    assert table.error(COPY.format(url).replace("COPY t", "COPY t (id, nothing)"))["C"] == "42703"


def test_a_role_without_the_right_to_insert_cannot_copy(database, table, bucket) -> None:
    url = bucket.manifest_of(ids(1))
    assert database.session(role=True).error(COPY.format(url))["C"] == "42501"
    assert untouched(table)


def test_a_file_of_many_row_groups_arrives_whole(session, bucket) -> None:
    session.run("CREATE TEMP TABLE t (id INTEGER, name VARCHAR(20))")
    frame = pl.select(id=pl.int_range(200_000, dtype=pl.Int32)).with_columns(name=pl.format("n{}", "id"))
    session.run(COPY.format(bucket.manifest_of(frame, row_group_size=7_000)))
    assert session.run("SELECT count(*), count(DISTINCT name), sum(CAST(id AS BIGINT)) FROM t") == [
        [200_000, 200_000, 200_000 * 199_999 // 2]
    ]
