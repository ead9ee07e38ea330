"""The comparison of the pipeline's results with those that the generator expects."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

_REJECTED_FOR = "rejected for "


def differences(data: Path, out: Path, summary: dict[str, Any], *, in_order: bool) -> list[str] | None:
    """Differences from `data/expected`, a sentence each; None where there is no such folder.

    The fact must be the same for any order of files. The numbers of inserted and stale rows
    depend on the order, so totals are compared only when the days were dropped one after
    the other (`in_order`).
    """
    expected = data / "expected"
    if not (expected / "fact_transactions.parquet").is_file():
        return None
    unexpected = fact_differences(
        out / "fact_transactions.parquet", expected / "fact_transactions.parquet", of="expected/"
    )
    if in_order:
        totals = _each_alone(json.loads((expected / "summary.json").read_text(encoding="utf-8")))
        ours = _each_alone(summary)
        unexpected += [
            f"{name} is {ours.get(name, 0)}, but expected/ has {total}"
            for name, total in totals.items()
            if ours.get(name, 0) != total
        ]
        reasons = {name for name in ours if name.startswith(_REJECTED_FOR)}
        unexpected += [f"{name} is {ours[name]}, but expected/ has 0" for name in sorted(reasons - set(totals))]
    return unexpected


def _each_alone(totals: Mapping[str, Any]) -> dict[str, Any]:
    """The totals by name, with each reject reason as a total of its own."""
    reasons = totals.get("reject_reasons", {})
    plain = {name: total for name, total in totals.items() if name != "reject_reasons"}
    return plain | {f"{_REJECTED_FOR}{reason}": rows for reason, rows in reasons.items()}


def fact_differences(actual_in: Path, expected_in: Path, *, of: str) -> list[str]:
    """One sentence about rows in which two facts differ, or none; `of` names the expected fact."""
    actual, expected = _fact(pl.read_parquet(actual_in)), _fact(pl.read_parquet(expected_in))
    missing, surplus = (
        expected.join(actual, on=expected.columns, how="anti", nulls_equal=True),
        actual.join(expected, on=expected.columns, how="anti", nulls_equal=True),
    )
    if not missing.height and not surplus.height:
        return []
    first = (missing if missing.height else surplus).item(0, "transaction_id")
    return [
        f"fact_transactions lacks {missing.height} rows of {of} and has {surplus.height} that are not in it; "
        f"the first is {first}"
    ]


def lost_rows(actual_in: Path, expected_in: Path) -> int:
    """The number of expected transactions that are not in the actual fact."""
    actual, expected = (pl.read_parquet(path, columns=["transaction_id"]) for path in (actual_in, expected_in))
    return expected.join(actual, on="transaction_id", how="anti").height


def _fact(rows: pl.DataFrame) -> pl.DataFrame:
    """The columns that both facts have, in the same form: business columns, the file and the line."""
    if "source_uri" in rows.columns:
        rows = rows.with_columns(source_key=pl.col("source_uri").str.replace("^s3://[^/]+/", ""))
    lineage = ("event_precedence", "drop_precedence", "load_id", "source_uri", "loaded_at", "updated_at")
    plain = rows.drop(lineage, strict=False).cast({pl.Enum: pl.String, pl.Categorical: pl.String}, strict=False)
    return plain.select(pl.col(sorted(plain.columns)).cast(pl.String))
