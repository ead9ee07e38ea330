"""The work of every peer: from a CSV on local disk to Parquet for COPY and a CSV of rejected rows.

A peer is a module with `run(work, out) -> rows read`. It writes `out/staged/*.parquet`
with the columns of STAGED_TRANSACTIONS, one row for each transaction_id. It also writes
`out/rejected.csv` with the unchanged columns, `source_line`, `reject_reasons` and `source_text`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from jobs.csv.records import WHITE_SPACE
from schemas.drops import drop_precedence
from schemas.warehouse.tables import STAGED_TRANSACTIONS, TRANSACTION_COLUMNS

COLUMNS = tuple(column.name for column in TRANSACTION_COLUMNS)
STAGED_COLUMNS = STAGED_TRANSACTIONS.names
MOST_BYTES = {"transaction_id": 64, "customer_id": 64, "product_id": 64}
"""The sizes of the columns, repeated here so that a change of our rules does not change the peers' rules unnoticed."""

AMOUNT_CLASSES = {"Small": Decimal(0), "Medium": Decimal(100), "Large": Decimal(1000)}
PARTITION_DAY = date(2023, 3, 15)
NEXT_DAY = PARTITION_DAY + timedelta(days=1)
LOAD_ID = "0123456789abcdef"
SOURCE_URI = "s3://drop/transactions/year=2023/month=03/day=15/transactions_2023-03-15.csv"
DROP_PRECEDENCE = drop_precedence(PARTITION_DAY, datetime(2023, 3, 16), LOAD_ID)

SMALL_MEMORY = "600MB"
"""The memory_limit with which DuckDB stays below 1 GiB, since it uses more than it counts."""

# The contract's rules for the generator's files, for peers whose parsers are more lenient or stricter.
AROUND = WHITE_SPACE + "\u200b\ufeff"
"""The characters that are trimmed from a value."""
NULL_WORD = r"(?i)^(?:NULL|\\N|nan|None|\(null\)|#N/A|N/A)$"
ROUNDED_ID = r"^[0-9](?:[.,][0-9]+[Ee]\+?|[Ee]\+)[0-9]{1,3}$"
WHOLE = r"^[0-9]+(?:\.0?0?|\.0000+)?$"
"""A quantity; 1.000 may be a thousand."""
_DAY = "[0-9]{4}-[0-9]{2}-[0-9]{2}"
_CLOCK = "(?:[01][0-9]|2[0-3]):[0-5][0-9]"
_SECONDS = r"(?::[0-5][0-9](?:\.[0-9]{1,6})?)?"
UTC_DATE = f"{_DAY}(?:[T ]{_CLOCK}{_SECONDS}Z?)?"
ZONED_DATE = f"{_DAY}[T ]{_CLOCK}{_SECONDS}[+-]{_CLOCK}"
WITH_OFFSET = "(?:Z|[+-][0-9]{2}:[0-9]{2})$"
DATE_SPELLINGS = (
    (r"^(.{11}[0-9:]+[.][0-9]{6})[0-9]+", r"\1"),
    (r"^(.{11}[0-9:.]+) ?(?:UTC|GMT)$", r"\1Z"),
    (r"^(.{11}[0-9:.]+) ([+-][0-9:]+)$", r"\1\2"),
    (r"^(.{11}[0-9:.]+[+-][0-9]{2})([0-9]{2})$", r"\1:\2"),
)
"""Patterns and replacements, applied in order; afterwards a valid date matches UTC_DATE or ZONED_DATE."""
FIRST_DAY = "2003-03-15"
NEXT_NOON = f"{NEXT_DAY.isoformat()} 12:00:00"
"""The instant at which the file's day is over everywhere on earth."""
SALE = ("customer_id", "product_id", "quantity")
"""The columns that rows with the same transaction_id and event_precedence must agree in."""
WAITING = ("unknown_customer", "unknown_product", "unknown_customer;unknown_product")


@dataclass(frozen=True)
class Work:
    """A folder with a transactions file, and both dimensions as UNLOAD writes them."""

    folder: Path

    @property
    def transactions(self) -> Path:
        return self.folder / "transactions.csv"

    @property
    def products(self) -> Path:
        return self.folder / "products.parquet"

    @property
    def customers(self) -> Path:
        return self.folder / "customers.parquet"
