"""What the generator says of its data, beside what the pipeline made of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl


def differences(data: Path, out: Path, summary: dict[str, Any], *, in_order: bool) -> list[str] | None:
    """What came out otherwise than `data/expected` says, a sentence each; None where there is no such folder.

    In whatever order the files came, the fact must be the same. How many rows were
    inserted or stale on the way there depends on the order, so the totals are compared
    only where the days were dropped one after the other.
    """
    expected = data / "expected"
    if not (expected / "fact_transactions.parquet").is_file():
        return None
    found = _fact(pl.read_parquet(out / "fact_transactions.parquet"))
    meant = _fact(pl.read_parquet(expected / "fact_transactions.parquet"))
    surprises = []
    missing, surplus = (
        meant.join(found, on=meant.columns, how="anti", nulls_equal=True),
        found.join(meant, on=meant.columns, how="anti", nulls_equal=True),
    )
    if missing.height or surplus.height:
        first = (missing if missing.height else surplus).item(0, "transaction_id")
        surprises.append(
            f"{missing.height} rows of fact_transactions are not as expected/ has them and {surplus.height} are not in "
            f"it, the first of them {first}"
        )
    if in_order:
        totals = json.loads((expected / "summary.json").read_text(encoding="utf-8"))
        surprises += [
            f"{name} is {summary[name]}, but expected/ says {total}"
            for name, total in totals.items()
            if summary[name] != total
        ]
    return surprises


def _fact(rows: pl.DataFrame) -> pl.DataFrame:
    """The columns both have, alike: business columns, the file and the line."""
    if "source_uri" in rows.columns:
        rows = rows.with_columns(source_key=pl.col("source_uri").str.replace("^s3://[^/]+/", ""))
    lineage = ("event_precedence", "drop_precedence", "load_id", "source_uri", "loaded_at", "updated_at")
    plain = rows.drop(lineage, strict=False).cast({pl.Enum: pl.String, pl.Categorical: pl.String}, strict=False)
    return plain.select(pl.col(sorted(plain.columns)).cast(pl.String))
