"""Redshift accepts every statement that a load sends, and each is committed for review."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redshift_connector

from jobs.load.rendering import rendered
from redshift_emulator import refusals
from schemas.runs import FLOW_IN, RETRACT
from schemas.warehouse import sql
from schemas.warehouse.tables import STAGED_TRANSACTIONS
from schemas.warehouse.upsert import TRANSACTIONS_UPSERT
from tests.loads.shop import Shop
from tests.strategies.hostile_content import SOUND_CUSTOMERS, SOUND_LINE, SOUND_PRODUCTS

MERGE = TRANSACTIONS_UPSERT.merge()
DELETE_STALE = TRANSACTIONS_UPSERT.delete_stale()

WRONG = (
    MERGE.replace("WHEN MATCHED THEN", "WHEN MATCHED AND staged_transactions.quantity > 0 THEN"),
    MERGE.replace("MERGE INTO fact_transactions", "MERGE INTO fact_transactions AS fact"),
    MERGE.partition("WHEN NOT MATCHED")[0],
    MERGE.replace("\nWHEN MATCHED", " AND fact_transactions.status < staged_transactions.status\nWHEN MATCHED"),
    DELETE_STALE.replace("DELETE FROM staged_transactions", "DELETE FROM staged_transactions AS s"),
    TRANSACTIONS_UPSERT.count_outcomes().replace("SELECT", "SELECT DISTINCT ON (transaction_id)", 1),
    sql.copy_staged(STAGED_TRANSACTIONS, manifest_uri="s3://b/m", copy_role_arn="r") + " MAXERROR 5",
    sql.insert_ledger() + " ON CONFLICT DO NOTHING",
    sql.LOCK + " IN SHARE MODE",
)


def committed_statements() -> list[str]:
    scripts = "".join(rendered().values()).replace("COPY_ROLE_ARN", "arn:aws:iam::123456789012:role/copy")
    return [statement.strip() for statement in scripts.split(";\n") if statement.strip()]


@pytest.mark.parametrize("statement", committed_statements(), ids=lambda statement: statement[:40])
def test_every_committed_statement_is_one_that_redshift_takes(statement: str) -> None:
    assert refusals(statement) == []


@pytest.mark.parametrize("statement", WRONG, ids=lambda statement: statement[-40:])
def test_a_statement_that_only_postgresql_takes_is_refused(statement: str) -> None:
    assert refusals(statement) != []


def shape(statement: str) -> str:
    """The statement without the parts that differ from load to load: literals, and the number of inserted rows."""
    text = re.sub(r"'[^']*'", "?", " ".join(statement.split()))
    return re.sub(r"(\([%s, ]+\))(?:, \1)+", r"\1", text)


def everything_a_load_can_do(shop: Shop) -> None:
    """Rows wait, flow in and wait too long; an upload replaces another; loads are replayed and taken back."""
    shop.max_reject_ratio, shop.same_key = "1", "replace"
    lines = (SOUND_LINE, "T8,C8,P0,1,2023-03-15,pending", "T9,C0,P9,1,2023-03-15,pending")
    shop.run(shop.drop(*lines, name="expires.csv"))
    shop.sql("UPDATE waiting_rows SET since = '2023-01-01'")
    noon = datetime(2023, 3, 16, 12, tzinfo=UTC)
    shop.run(shop.drop(*lines, uploaded_at=noon))
    newer = shop.drop(*lines, uploaded_at=noon + timedelta(hours=1))
    shop.run(newer)
    shop.run(newer, 2)
    for name, content in (
        ("dim_customers", b"customer_id,first_name,last_name,email,membership_level\nC8,J,D,e,Gold\n"),
        ("dim_products", b"product_id,product_name,category,price,supplier_id\nP8,W,G,1,S\n"),
    ):
        shop.run(shop.upload(f"dimensions/{name}.csv", content))
    shop.plan(newer.key, newer.content, noon + timedelta(hours=2))
    shop.run(newer, 3, FLOW_IN)
    shop.run(newer, 4, RETRACT)


def test_what_is_sent_is_what_is_committed(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: set[str] = set()
    execute = redshift_connector.Cursor.execute

    def note(cursor: Any, statement: str, *binds: Any, **named: Any) -> Any:
        if cursor._c is not shop._connection:
            sent.add(statement)
        return execute(cursor, statement, *binds, **named)

    shop.load_dimension_rows(SOUND_PRODUCTS, SOUND_CUSTOMERS)
    monkeypatch.setattr(redshift_connector.Cursor, "execute", note)
    everything_a_load_can_do(shop)
    assert shop.error is None, str(shop.error)
    assert [statement for statement in sent if refusals(statement)] == []
    committed = {
        shape(statement)
        for name, script in rendered().items()
        if name not in ("tables.sql", "grants.sql")
        for statement in script.removesuffix(";\n").split(";\n\n")
    }
    # Sent only after a failed COPY: tests/loads/test_warehouse_errors.py.
    committed = {statement for statement in committed if "sys_load_error_detail" not in statement}
    assert {shape(statement) for statement in sent} - {"begin transaction"} == committed - {
        "BEGIN",
        "COMMIT",
        "ROLLBACK",
    }
