"""Files as shops have them, one folder a case: what is read, what is rejected and why, what is refused in which words.

`expected.json` is written from what is right, not from what the job does. Each case holds the
dimensions and the drops as they came, and the settings of its source where it needs any.
"""

from __future__ import annotations

import csv
import json
import re
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from schemas.sources import DEFAULT, SourceSettings
from tests import oracle
from tests.jobs.dry_run import DryRun, dry_run

CASES = sorted((Path(__file__).parent / "cases").iterdir())


def products_of(case: Path) -> dict[str, oracle.Product]:
    with (case / "dimensions" / "dim_products.csv").open(newline="", encoding="utf-8-sig") as file:
        rows = [{**row, "price": Decimal(row["price"])} for row in csv.DictReader(file)]
    return {row["product_id"]: oracle.Product(**row) for row in rows}


def customers_of(case: Path) -> dict[str, oracle.Customer]:
    with (case / "dimensions" / "dim_customers.csv").open(newline="", encoding="utf-8-sig") as file:
        return {row["customer_id"]: oracle.Customer(**row) for row in csv.DictReader(file)}


def load(case: Path, drop: Path, settings: SourceSettings) -> DryRun:
    year, month, day = re.findall("=([0-9]+)", drop.parent.as_posix())
    return dry_run(
        drop.read_bytes(),
        products=products_of(case),
        customers=customers_of(case),
        partition_day=date(int(year), int(month), int(day)),
        max_reject_ratio="0.5",
        source=settings,
    )


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_file_of_a_shop_comes_out_right(case: Path) -> None:
    expected = json.loads((case / "expected.json").read_text(encoding="utf-8"))
    drops = sorted(path for path in (case / "transactions").rglob("*") if path.is_file())
    # `also_with` are other settings for the same drops.
    for variant in [expected, *expected.get("also_with", [])]:
        settings = SourceSettings.parse(variant["settings"], name="shop") if "settings" in variant else DEFAULT
        for drop, outcome in zip(drops, variant["files"], strict=True):
            check(load(case, drop, settings), outcome, expected["right_outcome"])


def check(run: DryRun, outcome: dict[str, Any], right: str) -> None:
    if "refused" in outcome:
        assert run.error is not None, right
        assert [words for words in outcome["refused"] if words not in str(run.error)] == [], right
        assert run.staged == []
        return
    assert run.error is None, f"{right}: {run.error}"
    accepted = {row["transaction_id"]: [row["product_id"], row["quantity"], row["status"]] for row in run.staged}
    assert accepted == outcome["accepted"], right
    rejected = {row[-3]: row[-2].split(";") for row in run.rejected.lines} if run.rejected else {}
    assert rejected == outcome["rejected"], right
    moments = {row["transaction_id"]: str(row["transaction_date"]) for row in run.staged}
    assert moments == outcome.get("moments", moments), right
    reused = [sample.transaction_id for sample in run.report.reused_ids.samples]
    assert reused == outcome.get("reused", reused), right
    total = sum((row["total_amount"] for row in run.staged), Decimal(0))
    assert total == Decimal(outcome.get("total", total)), right
