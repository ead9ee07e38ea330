"""The files that `pipeline prove` uploads, and the expected table."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import polars as pl

from mock_data import MockData, MockDataArgs
from schemas.drops import TRANSACTIONS, parse_key, partition

_START = date(2023, 3, 13)
_DAYS, _ROWS = 7, 200
_HEADER = "transaction_id,customer_id,product_id,quantity,transaction_date,status"
_LATE_CUSTOMER = "C-PROOF-LATE"
_LATE_CUSTOMERS = f"customer_id,first_name,last_name,email,membership_level\n{_LATE_CUSTOMER},Late,Comer,,Gold\n"
# The odd rows alone would only be rejected. The second header shows that two files were joined, so the file is refused.
_HOSTILE = "\n".join(
    [
        _HEADER,
        '"\'; DROP TABLE fact_transactions; --",C12345,P12345,1,2023-03-22,completed',
        '"=HYPERLINK(""http://example.com"")",C12345,P12345,1,2023-03-22,completed',
        "X3,C12345,P12345,99999999999999999999,2023-03-22,completed",
        "X4,C12345,P12345,1,2023-03-22,\u202ecompleted",
        _HEADER,
        "X5,C12345,P12345,1,2023-03-22,completed",
        "",
    ]
)


@dataclass(frozen=True)
class ProofFiles:
    """The keys of the files below `folder`, and the expected table."""

    folder: Path
    dimensions: tuple[str, ...]
    week: tuple[str, ...]
    killed: str
    """The day after the week."""
    hostile: str
    orphan: str
    """Two sales of the customer in `late_customer`."""
    late_customer: str
    fact: pl.DataFrame
    """The expected rows of the table, every value as text."""


def write_proof_files(folder: Path) -> ProofFiles:
    """Write all files into an empty folder."""
    days = _DAYS + 1
    keys = list(MockData(MockDataArgs(start=_START, days=days, rows=_ROWS, products=50, customers=200)).write(folder))
    dimensions = [key for key in keys if parse_key(key).kind != TRANSACTIONS]
    transactions = [key for key in keys if parse_key(key).kind == TRANSACTIONS]
    hostile, orphan = (_START + timedelta(days=days + more) for more in (1, 2))
    sales = _orphan_sales(orphan)
    texts: dict[str, str] = {
        f"transactions/{partition(hostile)}/hostile.csv": _HOSTILE,
        f"transactions/{partition(orphan)}/orphan.csv": sales.write_csv(),
        "dimensions/dim_customers_late.csv": _LATE_CUSTOMERS,
    }
    for key, text in texts.items():
        (folder / key).parent.mkdir(parents=True, exist_ok=True)
        (folder / key).write_text(text, encoding="utf-8")
    hostile_key, orphan_key, late_key = texts
    expected = pl.read_parquet(folder / "expected" / "fact_transactions.parquet")
    return ProofFiles(
        folder,
        tuple(dimensions),
        tuple(transactions[:_DAYS]),
        transactions[_DAYS],
        hostile_key,
        orphan_key,
        late_key,
        pl.concat([in_words(expected), _orphan_rows(folder, dimensions, sales, orphan_key)]).sort("transaction_id"),
    )


def in_words(fact: pl.DataFrame) -> pl.DataFrame:
    """The fact with every value as the text that the warehouse makes of it."""
    moment = pl.col("transaction_date").dt.strftime("%Y-%m-%d %H:%M:%S")
    return fact.with_columns(moment).select(pl.col(sorted(fact.columns)).cast(pl.String))


def _orphan_sales(day: date) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "transaction_id": ["PROOF-1", "PROOF-2"],
            "customer_id": _LATE_CUSTOMER,
            "product_id": "P12345",
            "quantity": ["3", "4"],
            "transaction_date": f"{day} 10:00:00",
            "status": "completed",
        }
    )


def _orphan_rows(folder: Path, dimensions: list[str], sales: pl.DataFrame, key: str) -> pl.DataFrame:
    """The expected rows of the two sales: 29.99 each, with the amount classes of the contract."""
    products, customers = (pl.read_csv(folder / name, infer_schema=False) for name in dimensions)
    levels = pl.concat([customers, pl.read_csv(_LATE_CUSTOMERS.encode(), infer_schema=False)], how="diagonal")
    rows = (
        sales.join(products, on="product_id")
        .join(levels.select("customer_id", "membership_level"), on="customer_id")
        .sort("transaction_id")
        .with_columns(
            unit_price=pl.lit("29.9900"),
            total_amount=pl.Series(["89.97", "119.96"]),
            amount_class=pl.Series(["Small", "Medium"]),
            source_key=pl.lit(key),
            source_line=pl.Series(["2", "3"]),
        )
        .drop("price")
    )
    return rows.select(sorted(rows.columns))
