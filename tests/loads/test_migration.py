"""A warehouse of an earlier version, with its rows, is upgraded to this version. A second upgrade changes nothing."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from schemas.runs import RETRACT
from schemas.warehouse import ddl
from schemas.warehouse.tables import WAREHOUSE_TABLES
from tests.loads.shop import DATABASE_USER, Shop
from tests.strategies.hostile_content import SOUND_CUSTOMERS, SOUND_PRODUCTS

YESTERDAYS_TABLES = (Path(__file__).parent / "yesterdays_tables.sql").read_text(encoding="utf-8")
"""The DDL of version 1.0.0. Its ledger had no events, and it had no table of amounts."""
NEW_TABLES = ("transaction_history", "ledger_amounts", "waiting_rows", "load_lock")


def make_yesterdays(shop: Shop) -> None:
    """Create the tables of version 1.0.0, with dimensions and one load of two transactions."""
    for name in (*NEW_TABLES, "load_ledger", "fact_transactions", "dim_products", "dim_customers"):
        shop.sql(f"DROP TABLE {name}")
    for statement in filter(str.strip, YESTERDAYS_TABLES.split(";\n")):
        shop.sql(statement)
    shop.sql(
        "INSERT INTO load_ledger (load_id, attempt, source_uri, version_id, etag, bytes, partition_day, uploaded_at, "
        "rows_read, inserted, updated, unchanged, stale, duplicate, rejected, staged_amount, started_at, committed_at, "
        "job_version, polars_version) VALUES ('00000000000000aa', 1, 's3://old/k', 'v', 'e', 1, '2023-03-14', "
        "'2023-03-14', 2, 2, 0, 0, 0, 0, 0, 300, GETDATE(), GETDATE(), '1', '1')"
    )
    microseconds = int(datetime(2023, 3, 14, tzinfo=UTC).timestamp()) * 1_000_000
    for name, amount, status, rank in (("T1", "100", "pending", 0), ("T2", "200", "refunded", 6)):
        shop.sql(
            "INSERT INTO fact_transactions (transaction_id, customer_id, product_id, quantity, transaction_date, "
            "status, unit_price, total_amount, amount_class, event_precedence, drop_precedence, source_line, load_id, "
            f"source_uri, loaded_at, updated_at) VALUES ('{name}', 'C0', 'P0', 1, '2023-03-14', '{status}', {amount}, "
            f"{amount}, 'Medium', {microseconds * 16 + rank}, '2023-03-14 2023-03-14T00:00:00Z 00000000000000aa', 2, "
            "'00000000000000aa', 's3://old/k', GETDATE(), GETDATE())"
        )


def upgrade(shop: Shop) -> None:
    for statement in ddl.create_tables():
        shop.sql(statement)
    for statement in ddl.grants(process_transactions_user=DATABASE_USER, load_dimensions_user=DATABASE_USER):
        shop.sql(statement)


def test_yesterdays_warehouse_takes_todays_loads_and_balances(shop: Shop) -> None:
    make_yesterdays(shop)
    for _ in range(2):
        upgrade(shop)
        shop.assert_books_balance()
    shop.load_dimension_rows(SOUND_PRODUCTS, SOUND_CUSTOMERS)
    drop = shop.drop("T1,C0,P0,3,2023-03-15,shipped", "T3,C0,P0,1,2023-03-15,pending")
    report = shop.run(drop)
    assert shop.error is None, str(shop.error)
    assert report.counts is not None
    assert (report.counts["inserted"], report.counts["updated"]) == (1, 1)
    upgrade(shop)
    shop.assert_books_balance()
    assert [entry["event"] for entry in shop.ledger_entries()] == ["load", "load"]
    opening = [row for row in shop.amounts() if row["load_id"] == "opening"]
    assert {(row["status"], row["is_sale"], row["row_count"], row["amount"]) for row in opening} == {
        ("pending", True, 1, Decimal(100)),
        ("refunded", False, 1, Decimal(200)),
    }


def columns(shop: Shop) -> set[tuple[object, ...]]:
    """Table, column, type, size and nullability, for every permanent table."""
    listed = shop.sql(
        "SELECT table_name, column_name, data_type, character_maximum_length, numeric_precision, numeric_scale, "
        "is_nullable FROM information_schema.columns WHERE table_schema = 'public'"
    )
    names = {table.name for table in WAREHOUSE_TABLES}
    return {tuple(row.values()) for row in listed if row["table_name"] in names}


def test_an_upgraded_warehouse_has_every_column_of_a_new_one(shop: Shop) -> None:
    """So every change of the schema since the release has its migration."""
    new = columns(shop)
    make_yesterdays(shop)
    assert columns(shop) < new
    upgrade(shop)
    assert columns(shop) == new


def test_a_retracted_load_gives_way_to_yesterdays_row(shop: Shop) -> None:
    make_yesterdays(shop)
    before = shop.fact()
    upgrade(shop)
    shop.load_dimension_rows(SOUND_PRODUCTS, SOUND_CUSTOMERS)
    drop = shop.drop("T1,C0,P0,3,2023-03-15,shipped")
    shop.run(drop)
    assert shop.fact()["T1"]["transaction_date"] == datetime(2023, 3, 15)
    shop.run(drop, 2, RETRACT)
    names = set(before["T1"]) - {"loaded_at", "updated_at"}
    after = shop.fact()
    assert {key: {name: row[name] for name in names} for key, row in after.items()} == {
        key: {name: row[name] for name in names} for key, row in before.items()
    }
    shop.assert_books_balance()
