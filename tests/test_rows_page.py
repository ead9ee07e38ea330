"""The page about rows says what the code says."""

from __future__ import annotations

from pathlib import Path

from schemas.reject_reasons import REJECT_REASONS
from schemas.sources import NULL_WORDS
from schemas.statuses import SPELLINGS, STATUSES
from schemas.warehouse.tables import TRANSACTION_COLUMNS

PAGE = (Path(__file__).parents[1] / "docs" / "rows.md").read_text(encoding="utf-8")


def test_every_reason_is_on_the_page_in_its_order() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("| ") and line.count("|") == 4][1:]
    assert rows == [f"| {name} | {reason.meaning} | {reason.wanted} |" for name, reason in REJECT_REASONS.items()]


def test_the_words_that_are_read_are_on_the_page() -> None:
    assert all(f"`{word}`" in PAGE for word in (*NULL_WORDS, *SPELLINGS))
    assert ", ".join(STATUSES) in PAGE


def test_a_reason_names_a_column_that_there_is() -> None:
    names = {column.name for column in TRANSACTION_COLUMNS} | {"unit_price"}
    assert {reason.column for reason in REJECT_REASONS.values() if reason.column} <= names
    assert all(reason.meaning and reason.wanted for reason in REJECT_REASONS.values())
