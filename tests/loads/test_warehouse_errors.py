"""Errors of the warehouse say what, where and why. Readers and loads do not block each other."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

import polars as pl
import pytest
import redshift_connector

from jobs.load.staging import StagedParts
from schemas.reports import WAREHOUSE_INCOMPLETE
from tests.loads.disturbed import before, snapshot
from tests.loads.shop import DATABASE_USER, Shop
from tests.strategies.hostile_content import SOUND_CUSTOMERS, SOUND_PRODUCTS

SOUND = ("T1,C0,P0,1,2023-03-15,pending", "T2,C0,P0,2,2023-03-15,pending")
WAITING_SECONDS = 60
"""A load or query that does not wait ends long before this, even on a busy machine."""


@pytest.fixture
def _wrong_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Quantities are staged twice as wide as the column."""
    write = StagedParts.write

    def write_wide(parts: StagedParts, rows: pl.DataFrame, name: str) -> None:
        wide = [pl.col("quantity").cast(pl.Int64)] if "quantity" in rows.columns else []
        write(parts, rows.with_columns(wide), name)

    monkeypatch.setattr(StagedParts, "write", write_wide)


@pytest.mark.usefixtures("_wrong_parts")
def test_a_copy_that_fails_names_file_column_and_cause(sound_shop: Shop) -> None:
    before_it = snapshot(sound_shop)
    report = sound_shop.run(sound_shop.drop(*SOUND))
    assert report.error is not None
    for part in ("Spectrum Scan Error", "part-00000.parquet", "column 'quantity'", "Column type: INTEGER", "int64"):
        assert part in report.error.sentence
    assert snapshot(sound_shop) == before_it


@pytest.mark.usefixtures("_wrong_parts")
def test_a_copy_that_fails_is_explained_by_what_redshift_noted_of_it(shop: Shop) -> None:
    """The emulator has no such view. A table with the view's name takes its place."""
    shop.load_dimension_rows(SOUND_PRODUCTS, SOUND_CUSTOMERS)
    shop.sql(
        "CREATE TABLE sys_load_error_detail AS SELECT 's3://b/part-00000.parquet  ' AS file_name, 'quantity ' AS "
        "column_name, 'Value out of range' AS error_message, pg_backend_pid() AS session_id, GETDATE() AS start_time"
    )
    shop.sql("GRANT SELECT, UPDATE ON sys_load_error_detail TO PUBLIC")
    connect = redshift_connector.connect

    def note_session(**given: Any) -> Any:
        connection = connect(**given)
        connection.cursor().execute("UPDATE sys_load_error_detail SET session_id = pg_backend_pid()")
        connection.commit()
        return connection

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(redshift_connector, "connect", note_session)
        report = shop.run(shop.drop(*SOUND))
    assert report.error is not None
    assert report.error.sentence.startswith("COPY into staged_transactions failed: Spectrum Scan Error: ")
    assert report.error.sentence.endswith(
        "; file s3://b/part-00000.parquet, column quantity: Value out of range; nothing was loaded"
    )


def test_an_unload_that_fails_says_why(sound_shop: Shop) -> None:
    with before("unload_dimension", lambda _: "UNLOAD ('SELECT 1') TO 's3://no-such-bucket/' IAM_ROLE default PARQUET"):
        report = sound_shop.run(sound_shop.drop(*SOUND))
    assert report.error is not None
    assert report.error.sentence.startswith("the warehouse refused a statement (")


def test_no_load_waits_for_a_query(sound_shop: Shop) -> None:
    """A report that is left open in a BI tool holds its own lock on the fact."""
    sound_shop.load("T1,C0,P0,1,2023-03-14,pending")
    reader = redshift_connector.connect(**sound_shop.warehouse.admin_connection(sound_shop.database))
    cursor = reader.cursor()
    cursor.execute("SELECT quantity FROM fact_transactions")
    assert [list(row) for row in cursor.fetchall()] == [[1]]
    with ThreadPoolExecutor(1) as pool:
        load = pool.submit(sound_shop.load, "T1,C0,P0,2,2023-03-15,pending")
        wait([load], WAITING_SECONDS)
        is_loaded = load.done()
        reader.close()  # a load that waited for this session ends now
    assert is_loaded, f"the load still waited for an open query after {WAITING_SECONDS} s"
    load.result()


def test_no_query_waits_for_a_load(sound_shop: Shop) -> None:
    """A query in the middle of a load reads what was committed before it."""
    sound_shop.load("T1,C0,P0,1,2023-03-14,pending")
    queries: list[Future[dict[str, dict[str, Any]]]] = []
    waited: list[bool] = []

    def query(_: int) -> None:
        queries.append(pool.submit(sound_shop.fact))
        wait(queries, WAITING_SECONDS)
        waited.append(not queries[-1].done())

    with ThreadPoolExecutor(1) as pool:
        with before("sum_difference", query):
            sound_shop.run(sound_shop.drop("T1,C0,P0,2,2023-03-15,pending"))
        rows = [reading.result() for reading in queries]
    assert waited == [False], f"the query still waited for the load after {WAITING_SECONDS} s"
    assert [row["T1"]["quantity"] for row in rows] == [1], "a query sees committed rows only"
    assert sound_shop.fact()["T1"]["quantity"] == 2


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        ("DROP TABLE ledger_amounts", 'relation "ledger_amounts" does not exist (42P01)'),
        ("DROP TABLE load_lock", 'relation "load_lock" does not exist (42P01)'),
        ("ALTER TABLE load_ledger DROP COLUMN event", "event"),
        (f'REVOKE DELETE ON load_lock FROM "{DATABASE_USER}"', "permission denied for table load_lock (42501)"),
        (f'REVOKE ALL ON dim_products FROM "{DATABASE_USER}"', "permission denied for table dim_products (42501)"),
    ],
)
def test_an_incomplete_warehouse_says_what_to_run(shop: Shop, fault: str, sentence: str) -> None:
    shop.load_dimension_rows(SOUND_PRODUCTS, SOUND_CUSTOMERS)
    shop.sql(fault)
    error = shop.run(shop.drop(*SOUND)).error
    assert error is not None
    assert (error.type, error.is_transient) == (WAREHOUSE_INCOMPLETE, False), error
    assert error.sentence.startswith("the warehouse is incomplete: ")
    assert sentence in error.sentence
    assert error.sentence.endswith("; run `pulumi up --refresh`, which adds what is missing")
    assert shop.fact() == {}
