"""The output of a peer, in a form in which two outputs can be compared."""

from __future__ import annotations

from dataclasses import dataclass, fields
from decimal import Decimal
from pathlib import Path

import polars as pl

from schemas.warehouse.tables import STAGED_TRANSACTIONS

_MODULUS = 2**64


@dataclass(frozen=True)
class Output:
    rows_read: int
    staged: int
    rejected: int
    reject_reasons: dict[str, int]
    """Reason -> number of rows, in alphabetical order."""
    amount: Decimal
    """The sum of total_amount of the staged rows."""
    staged_digest: int
    """The digest of all values of all staged rows; it does not depend on their order."""
    rejected_digest: int
    """The digest of the lines and reasons of all rejected rows."""

    def difference(self, other: Output) -> str:
        """The fields in which the two differ, as a sentence; empty if they are equal."""
        return "; ".join(
            f"{field.name} is {getattr(self, field.name)}, not {getattr(other, field.name)}"
            for field in fields(self)
            if getattr(self, field.name) != getattr(other, field.name)
        )


def read_output(out: Path, rows_read: int) -> Output:
    """The content of a peer's folder; raises if a staged column is missing or has another type than declared."""
    staged, amount, digest = 0, Decimal(0), 0
    for path in sorted((out / "staged").glob("*.parquet")):
        rows = pl.read_parquet(path).select(_as_declared(name, dtype) for name, dtype in _DECLARED.items())
        staged += rows.height
        amount += rows.select(pl.col("total_amount").sum()).item()
        digest = (digest + _digest(rows)) % _MODULUS
    rejected = _rejected(out / "rejected.csv")
    reasons = rejected.select(pl.col("reject_reasons").str.split(";").explode().value_counts(sort=True)).unnest(
        "reject_reasons"
    )
    return Output(
        rows_read=rows_read,
        staged=staged,
        rejected=rejected.height,
        reject_reasons=dict(sorted(reasons.rows())),
        amount=amount,
        staged_digest=digest,
        rejected_digest=_digest(rejected),
    )


_DECLARED = STAGED_TRANSACTIONS.polars_schema()


def _as_declared(name: str, dtype: pl.DataType) -> pl.Expr:
    """The column in its declared type: categories are texts for COPY, and a peer's integers may have another width."""
    return pl.col(name).cast(dtype)


def _rejected(path: Path) -> pl.DataFrame:
    schema = {"source_line": pl.Int64(), "reject_reasons": pl.String()}
    if not path.exists():
        return pl.DataFrame(schema=schema)
    return pl.read_csv(path, infer_schema=False).select(pl.col(name).cast(dtype) for name, dtype in schema.items())


def _digest(rows: pl.DataFrame) -> int:
    """The sum of the rows' hashes: it does not depend on the order, but on the number of rows."""
    hashes = rows.hash_rows(seed=1, seed_1=2, seed_2=3, seed_3=4)
    low, high = hashes & 0xFFFFFFFF, hashes // 2**32
    return (int(low.sum()) + int(high.sum()) * 2**32) % _MODULUS
