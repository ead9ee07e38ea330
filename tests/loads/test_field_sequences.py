"""Files as shops send them one after another (dimensions, corrections, other folders), and the final tables.

The cases are in tests/field/sequences: a folder for each case, and in it one for each drop, in order.
`expected.json` has the right outcome, worked out by hand and not taken from the job.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from schemas.drops import KeyOutsideLayout, is_not_a_drop, parse_key
from schemas.runs import FLOW_IN
from schemas.sources import SourceSettings
from tests import oracle
from tests.loads.shop import FIRST_UPLOAD, Shop, fresh

pytestmark = pytest.mark.flow

CASES = sorted((Path(__file__).parents[1] / "field" / "sequences").iterdir())


@pytest.fixture(scope="module")
def market(mall: Shop) -> Iterator[Shop]:
    yield from fresh(mall)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_sequence_of_drops_ends_in_the_right_tables(market: Shop, case: Path) -> None:
    market.clean(dimensions=True)
    shop = replace(market)
    expected = json.loads((case / "expected.json").read_text(encoding="utf-8"))
    shop.source = SourceSettings.parse(expected.get("settings", {}), name="shop")
    shop.same_key = expected.get("same_key", "add")
    files = sorted(path for path in case.glob("*/**/*") if path.is_file())
    dropped: dict[str, oracle.Drop] = {}
    for number, (file, outcome) in enumerate(zip(files, expected["drops"], strict=True)):
        # The folder's name is the number of the drop.
        key = file.relative_to(case).as_posix().partition("/")[2]
        drop_file(shop, key, file.read_bytes(), number, outcome, dropped)
    columns = "TO_CHAR(transaction_date, 'YYYY-MM-DD HH24:MI:SS'), status, total_amount"
    assert table(shop, "fact_transactions", "transaction_id", columns) == expected["fact"], expected["right_outcome"]
    for name, columns in {
        "products": "product_name, price",
        "customers": "first_name, last_name, email, membership_level",
    }.items():
        if name in expected:
            assert table(shop, f"dim_{name}", f"{name[:-1]}_id", columns) == expected[name], expected["right_outcome"]
    shop.assert_books_balance()


def drop_file(shop: Shop, key: str, content: bytes, number: int, outcome: Any, dropped: dict[str, oracle.Drop]) -> None:
    """Upload a file, load it, and load the rows that waited for it, as the pipeline does."""
    if outcome == "passed over":
        assert is_not_a_drop(key)
        return
    assert not is_not_a_drop(key)
    if outcome == "outside the layout":
        with pytest.raises(KeyOutsideLayout, match=r"transactions/year=YYYY/month=MM/day=DD/NAME\.csv"):
            parse_key(key)
        return
    drop = shop.upload(key, content, FIRST_UPLOAD + timedelta(minutes=number))
    dropped[drop.load_id] = drop
    report = shop.run(drop)
    if outcome != "loaded":
        assert [words for words in outcome["refused"] if words not in str(shop.error)] == []
        return
    assert report.outcome == "succeeded", report.error
    for awaited in report.awaited_by:
        assert shop.run(dropped[awaited.load_id], 2, FLOW_IN).outcome == "succeeded"


def table(shop: Shop, name: str, key: str, columns: str) -> dict[str, list[str | None]]:
    """The table as text: key -> the other values."""
    rows = [list(row.values()) for row in shop.sql(f"SELECT {key}, {columns} FROM {name}")]
    return {row[0]: [None if value is None else str(value) for value in row[1:]] for row in rows}
