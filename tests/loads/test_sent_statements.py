"""Every statement that a load really sends is one that Redshift takes, and one that is committed for review."""

from __future__ import annotations

import re
from typing import Any

import pytest
import redshift_connector

from jobs.load.rendering import rendered
from redshift_emulator import refusals
from schemas.warehouse import sql
from schemas.warehouse.tables import STAGED_TRANSACTIONS
from schemas.warehouse.upsert import TRANSACTIONS_UPSERT
from tests.hostile_content import SOUND_LINE
from tests.loads.shop import Shop

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
    """42."""
    assert refusals(statement) == []


@pytest.mark.parametrize("statement", WRONG, ids=lambda statement: statement[-40:])
def test_a_statement_that_only_postgresql_takes_is_refused(statement: str) -> None:
    """42."""
    assert refusals(statement) != []


def test_what_is_sent_is_what_is_committed(sound_shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[str] = []
    execute = redshift_connector.Cursor.execute

    def note(cursor: Any, statement: str, *binds: Any, **named: Any) -> Any:
        sent.append(statement)
        return execute(cursor, statement, *binds, **named)

    monkeypatch.setattr(redshift_connector.Cursor, "execute", note)
    sound_shop.run(sound_shop.drop(SOUND_LINE))
    assert [statement for statement in sent if refusals(statement)] == []
    committed = {re.sub(r"'[^']*'", "?", statement) for statement in committed_statements()}
    unknown = [statement for statement in sent if re.sub(r"'[^']*'", "?", statement) not in committed]
    assert set(unknown) <= {"begin transaction"}
    assert sum(statement.startswith("MERGE") for statement in sent) == 1
