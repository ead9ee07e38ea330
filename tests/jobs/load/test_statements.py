"""The SQL: the committed text is the text that is sent, and no outside value is ever read as SQL."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.load.rendering import rendered
from schemas.statuses import RANK_SLOTS, STATUS_RANK, STATUSES
from schemas.warehouse import sql
from schemas.warehouse.tables import STAGED_TRANSACTIONS, WAREHOUSE_TABLES
from tests import oracle


@pytest.mark.parametrize("name", sorted(rendered()))
def test_the_rendered_statements_are_the_committed_ones(name: str) -> None:
    assert (sql.RENDERED / name).read_text(encoding="utf-8") == rendered()[name], (
        "run `.venv/bin/python -m jobs.load.rendering` and review the difference"
    )


def test_no_committed_statement_is_left_over() -> None:
    assert {path.name for path in sql.RENDERED.glob("*.sql")} == set(rendered())


def test_lock_comes_first_and_nothing_is_truncated() -> None:
    for script in rendered().values():
        assert "TRUNCATE" not in script
        statements = [statement.strip() for statement in script.split(";\n")]
        for at, statement in enumerate(statements):
            if statement == "BEGIN":
                assert statements[at + 1].startswith("LOCK ")


def test_no_decimal_is_bare() -> None:
    """Redshift's bare DECIMAL is DECIMAL(18,0)."""
    decimals = [column for table in (*WAREHOUSE_TABLES, STAGED_TRANSACTIONS) for column in table.columns]
    assert all("," in column.redshift for column in decimals if column.redshift.startswith("DECIMAL"))


def test_ranks_are_the_oracles_and_are_never_restated_in_sql() -> None:
    assert STATUSES == oracle.STATUSES
    assert {status: rank for rank, status in enumerate(oracle.STATUSES)} == STATUS_RANK
    assert len(STATUSES) <= RANK_SLOTS, "a rank beyond the slots would count as a later microsecond"
    # The opening balance names the statuses that are sales, without their order.
    scripts = [script for name, script in rendered().items() if name != "tables.sql"]
    assert not any(status in script for script in scripts for status in STATUSES)


@given(st.text(max_size=20))
def test_a_literal_is_one_token_or_refused(text: str) -> None:
    if "\\" in text or "\0" in text:
        with pytest.raises(ValueError, match="no backslash and no NUL"):
            sql.literal(text)
        return
    literal = sql.literal(text)
    assert literal[0] == literal[-1] == "'"
    assert literal[1:-1].replace("''", "") == text.replace("'", "")
    assert literal[1:-1].replace("''", "'") == text


@given(st.text(max_size=20))
def test_an_identifier_is_one_token_or_refused(text: str) -> None:
    if not text or "\0" in text:
        with pytest.raises(ValueError, match="cannot be an SQL identifier"):
            sql.identifier(text)
        return
    assert sql.identifier(text)[1:-1].replace('""', '"') == text
