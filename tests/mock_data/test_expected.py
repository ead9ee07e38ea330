"""The generator's expected outcomes equal those of the oracle, a second reading of the contract."""

from __future__ import annotations

import csv
import json
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from mock_data import MockData, MockDataArgs, rows
from mock_data.order_histories import HISTORIES, OUTCOMES
from mock_data.row_variants import CONFLICTING, FAULTS, HISTORY_VARIANTS, SPELLINGS
from schemas.reject_reasons import REJECT_REASONS
from tests import oracle

pytestmark = pytest.mark.flow

UPLOADED_AT = datetime(2024, 1, 1)


@dataclass(frozen=True)
class Shop:
    """A generated folder, as a reader who knows only the contract sees it."""

    folder: Path

    @property
    def keys(self) -> list[str]:
        """The transactions files in day order."""
        return sorted(
            path.relative_to(self.folder).as_posix() for path in (self.folder / "transactions").rglob("*.csv")
        )

    def drop(self, key: str, uploaded_at: datetime = UPLOADED_AT) -> oracle.Drop:
        content = (self.folder / key).read_bytes()
        return oracle.Drop(bucket="shop", key=key, version_id="1", uploaded_at=uploaded_at, content=content)

    def warehouse(self) -> oracle.Warehouse:
        """With the dimensions, and no transactions yet."""
        warehouse = oracle.Warehouse(max_reject_ratio="1")
        warehouse.load_products(
            self.drop("dimensions/dim_products.csv"),
            [oracle.Product(**{**row, "price": Decimal(row["price"])}) for row in self.dimension("dim_products")],
        )
        warehouse.load_customers(
            self.drop("dimensions/dim_customers.csv"),
            [oracle.Customer(**row) for row in self.dimension("dim_customers")],
        )
        return warehouse

    def dimension(self, name: str) -> list[dict[str, str]]:
        with open(self.folder / "dimensions" / f"{name}.csv", encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file, strict=True))

    def outcomes(self, key: str) -> pl.DataFrame:
        return pl.read_parquet(self.folder / "expected" / "outcomes" / (Path(key).stem + ".parquet"))

    def fact(self) -> dict[str, dict[str, Any]]:
        rows = pl.read_parquet(self.folder / "expected" / "fact_transactions.parquet").to_dicts()
        fact = {row["transaction_id"]: row for row in rows}
        assert len(fact) == len(rows), "an id is in the expected fact twice"
        return fact

    def summary(self) -> dict[str, Any]:
        text = (self.folder / "expected" / "summary.json").read_text(encoding="utf-8")
        summary: dict[str, Any] = json.loads(text)
        return summary


def generated(folder: Path, **args: Any) -> Shop:
    for _ in MockData(MockDataArgs(**args)).write(folder):
        pass
    return Shop(folder)


def as_expected(fact: dict[str, oracle.FactRow]) -> dict[str, dict[str, Any]]:
    """The oracle's fact in the columns of expected/fact_transactions.parquet."""
    return {
        transaction_id: {
            **row.business,
            "source_key": row.source_uri.removeprefix("s3://shop/"),
            "source_line": row.source_line,
        }
        for transaction_id, row in fact.items()
    }


def outcomes_by_the_oracle(warehouse: oracle.Warehouse, drop: oracle.Drop) -> dict[int, dict[str, Any]]:
    """Load the drop; returns the outcome of each line's row."""
    validated = warehouse.validate(drop)
    resolved = oracle.resolve_file(validated.accepted)
    before = {transaction_id: warehouse.fact.get(transaction_id) for transaction_id in resolved.winners}
    warehouse.load(drop)
    actual = {
        rejected.row.source_line: {"outcome": "rejected", "reject_reasons": ";".join(rejected.reasons)}
        for rejected in validated.rejected
    }
    for duplicate in resolved.duplicates:
        actual[duplicate.row.source_line] = {"outcome": "duplicate", "transaction_id": duplicate.transaction_id}
    for transaction_id, winner in resolved.winners.items():
        now = warehouse.fact[transaction_id]
        if now.load_id != drop.load_id:
            outcome = "stale"
        elif before[transaction_id] is None:
            outcome = "inserted"
        else:
            outcome = "updated" if now.last_changed_by == warehouse.loads else "unchanged"
        actual[winner.row.source_line] = {"outcome": outcome, "transaction_id": transaction_id}
    return actual


@pytest.mark.parametrize(
    ("seed", "more"),
    [
        (0, {}),
        (1, {"faults": 0.4}),
        (2, {"faults": 0.0}),
        (2**63 - 1, {"days": 1}),
        (3, {"rows": 7, "days": 40, "faults": 0.3, "products": 2, "customers": 1}),
        (4, {"faults": 1.0, "days": 3}),
    ],
)
def test_every_row_the_fact_and_the_totals_match_the_oracle(tmp_path: Path, seed: int, more: dict[str, Any]) -> None:
    shop = generated(tmp_path, **{"days": 9, "rows": 500, "products": 30, "customers": 60, "seed": seed, **more})
    warehouse = shop.warehouse()
    counts: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    for key in shop.keys:
        actual = outcomes_by_the_oracle(warehouse, shop.drop(key))
        expected = {row["source_line"]: row for row in shop.outcomes(key).to_dicts()}
        assert expected.keys() == actual.keys()
        for line, columns in actual.items():
            # A rejected row's id is not compared: the oracle keeps it as it stood.
            assert columns.items() <= expected[line].items(), f"{key} line {line}"
            assert (expected[line]["reject_reasons"] == "") == (columns["outcome"] != "rejected")
        assert list(expected) == sorted(expected), "outcomes are in the order of the lines"
        counts.update(columns["outcome"] for columns in actual.values())
        reasons.update(
            reason for columns in actual.values() for reason in columns.get("reject_reasons", "").split(";") if reason
        )
    fact = as_expected(warehouse.fact)
    assert shop.fact() == fact
    assert shop.summary() == {
        "loads": len(shop.keys),
        "rows_read": counts.total(),
        **{outcome: counts[outcome] for outcome in OUTCOMES},
        "reject_reasons": dict(reasons),
        "fact_rows": len(fact),
        "fact_amount": f"{sum((row['total_amount'] for row in fact.values()), Decimal('0.00')):.2f}",
    }


def test_the_expected_fact_is_that_of_any_order_of_uploads(tmp_path: Path) -> None:
    shop = generated(tmp_path, days=8, rows=300, faults=0.1)
    keys = shop.keys
    for order in (keys[::-1], keys[1::2] + keys[::2] + keys[:3]):
        warehouse = shop.warehouse()
        for minute, key in enumerate(order):
            warehouse.load(shop.drop(key, UPLOADED_AT + timedelta(minutes=minute)))
        assert as_expected(warehouse.fact) == shop.fact()


def test_a_file_made_in_many_pieces_is_expected_as_rightly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "PIECE_ROWS", 37)
    shop = generated(tmp_path, days=4, rows=400, faults=0.2)
    warehouse = shop.warehouse()
    for key in shop.keys:
        actual = outcomes_by_the_oracle(warehouse, shop.drop(key))
        expected = dict(shop.outcomes(key).select("source_line", "outcome").iter_rows())
        assert {line: columns["outcome"] for line, columns in actual.items()} == expected
    assert as_expected(warehouse.fact) == shop.fact()


def test_each_fault_spelling_and_outcome_has_a_row(tmp_path: Path) -> None:
    shop = generated(tmp_path, days=6, rows=4_000)
    seen = pl.concat([shop.outcomes(key) for key in shop.keys])
    variants = {variant.name for variant in (*FAULTS, *SPELLINGS, *HISTORY_VARIANTS)}
    assert variants - set(seen["variant"]) == set()
    assert set(seen["outcome"]) == set(OUTCOMES)
    reasons = seen.filter(pl.col("outcome") == "rejected")["reject_reasons"].str.split(";")
    assert set(reasons.explode()) == set(REJECT_REASONS) - {"invalid_unit_price"}, "the contract has no such column"
    assert reasons.list.len().max() == 6, "rows with several faults at once"


def test_a_fault_shows_exactly_where_a_row_is_rejected(tmp_path: Path) -> None:
    shop = generated(tmp_path, days=3, rows=3_000, faults=0.1)
    seen = pl.concat([shop.outcomes(key) for key in shop.keys])
    is_fault = pl.col("variant").is_in([variant.name for variant in FAULTS])
    seen = seen.filter(pl.col("variant") != CONFLICTING.name)
    assert seen.filter(is_fault != (pl.col("outcome") == "rejected")).height == 0
    assert seen.filter(is_fault).height == 900


def test_half_of_the_faulty_rows_speak_of_an_order_that_the_fact_has(tmp_path: Path) -> None:
    """Were one of them accepted, its status and date would win."""
    shop = generated(tmp_path, days=3, rows=3_000, faults=0.1)
    seen = pl.concat([shop.outcomes(key) for key in shop.keys])
    rejected = seen.filter((pl.col("outcome") == "rejected") & pl.col("transaction_id").is_not_null())
    in_fact = rejected["transaction_id"].is_in(list(shop.fact())).mean()
    assert isinstance(in_fact, float)
    assert 0.3 < in_fact < 0.6


def test_all_lives_together_leave_room_for_the_plain_one() -> None:
    """And for rows of past days of any weekday: the smallest day over the largest is 0.68."""
    assert sum(history.share for history in HISTORIES) < 0.6
    assert sum(history.share * sum(row.file > 0 for row in history.rows) for history in HISTORIES) < 0.6
