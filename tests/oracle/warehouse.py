"""The oracle of the warehouse: which rows it holds after any loads, and what its ledger says of them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from fractions import Fraction
from typing import Any

from tests.oracle.files import read_file
from tests.oracle.rows import (
    AMOUNT_CLASSES,
    Accepted,
    AmountClasses,
    Customer,
    Customers,
    Product,
    Products,
    ValidatedFile,
    resolve_file,
    validate_file,
)
from tests.oracle.text import Refused

LINEAGE_COLUMNS = ("load_id", "source_uri", "source_line")
MAX_REJECT_RATIO = "0.5"
_LAYOUT = re.compile("transactions/year=([0-9]{4})/month=([0-9]{1,2})/day=([0-9]{1,2})/[^/]+[.](?i:csv(?:[.]gz)?)")


@dataclass(frozen=True)
class Drop:
    """One version of one source file."""

    bucket: str
    key: str
    version_id: str
    uploaded_at: datetime
    content: bytes = b""

    @property
    def load_id(self) -> str:
        return hashlib.sha256(f"{self.bucket}/{self.key}@{self.version_id}".encode()).hexdigest()[:16]

    @property
    def uri(self) -> str:
        return f"s3://{self.bucket}/{self.key}"

    @property
    def partition_day(self) -> date:
        """The day that the key's folders name; ValueError for a key outside the layout."""
        match = _LAYOUT.fullmatch(self.key)
        if not match:
            raise ValueError(f"{self.key!r} is not laid out as transactions/year=/month=/day=/file.csv")
        return date(*map(int, match.groups()))


@dataclass(frozen=True)
class Counts:
    """The outcome of every row of one load."""

    rows_read: int = 0
    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    stale: int = 0
    duplicate: int = 0
    rejected: int = 0

    @property
    def balanced(self) -> bool:
        ended = self.inserted + self.updated + self.unchanged + self.stale + self.duplicate + self.rejected
        return self.rows_read == ended


@dataclass(frozen=True)
class FactRow:
    """One row of fact_transactions; times of loading are the ordinal of the load in this warehouse."""

    business: Mapping[str, Any]
    precedence: tuple[datetime, int, date, datetime, str, int]
    load_id: str
    source_uri: str
    source_line: int
    last_loaded_by: int
    """The load that last wrote this row at all (loaded_at)."""
    last_changed_by: int
    """The load that last changed a business column of it (updated_at)."""

    def columns(self) -> dict[str, Any]:
        """Business and lineage columns, without the times of loading."""
        lineage = {"load_id": self.load_id, "source_uri": self.source_uri, "source_line": self.source_line}
        return {**self.business, **lineage}


@dataclass(frozen=True)
class LedgerEntry:
    """The first attempt of a load that committed."""

    drop: Drop
    counts: Counts
    committed_by: int


@dataclass
class Warehouse:
    """The model of the warehouse: what it holds after the loads it was given, in the order given."""

    amount_classes: AmountClasses = AMOUNT_CLASSES
    max_reject_ratio: str = MAX_REJECT_RATIO
    fact: dict[str, FactRow] = field(default_factory=dict)
    ledger: dict[str, LedgerEntry] = field(default_factory=dict)
    reused: int = 0
    """The ids of the last load that the fact had, from a file with another key, with another customer or product."""
    loads: int = 0
    """Loads given so far, refused ones included: the clock of this warehouse."""
    _products: dict[str, tuple[tuple[datetime, str], Product]] = field(default_factory=dict)
    _customers: dict[str, tuple[tuple[datetime, str], Customer]] = field(default_factory=dict)

    @property
    def products(self) -> Products:
        return {product_id: product for product_id, (_, product) in self._products.items()}

    @property
    def customers(self) -> Customers:
        return {customer_id: customer for customer_id, (_, customer) in self._customers.items()}

    def load_products(self, drop: Drop, products: Sequence[Product]) -> None:
        """Upsert by id; the later upload wins, whichever comes first."""
        for product in products:
            _upsert(self._products, product.product_id, (drop.uploaded_at, drop.load_id), product)

    def load_customers(self, drop: Drop, customers: Sequence[Customer]) -> None:
        """Upsert by id; the later upload wins, whichever comes first."""
        for customer in customers:
            _upsert(self._customers, customer.customer_id, (drop.uploaded_at, drop.load_id), customer)

    def validate(self, drop: Drop) -> ValidatedFile:
        """The drop's rows validated by the dimensions as they are now; Refused if its shape is wrong."""
        return validate_file(
            read_file(drop.content),
            products=self.products,
            customers=self.customers,
            partition_day=drop.partition_day,
            amount_classes=self.amount_classes,
        )

    def load(self, drop: Drop) -> Counts:
        """Load the drop into the fact and return the outcomes of its rows; Refused changes nothing."""
        self.loads += 1
        validated = self.validate(drop)
        rows_read = len(validated.accepted) + len(validated.rejected)
        if Fraction(len(validated.rejected)) > Fraction(self.max_reject_ratio) * rows_read:
            raise Refused("too_many_rejected")
        resolved = resolve_file(validated.accepted)
        self.reused = sum(self._is_reused(drop, winner) for winner in resolved.winners.values())
        outcomes = [self._merge(drop, winner) for winner in resolved.winners.values()]
        counts = Counts(
            rows_read=rows_read,
            inserted=outcomes.count("inserted"),
            updated=outcomes.count("updated"),
            unchanged=outcomes.count("unchanged"),
            stale=outcomes.count("stale"),
            duplicate=len(resolved.duplicates),
            rejected=len(validated.rejected),
        )
        self.ledger.setdefault(drop.load_id, LedgerEntry(drop, counts, committed_by=self.loads))
        return counts

    def _is_reused(self, drop: Drop, winner: Accepted) -> bool:
        known = self.fact.get(winner.transaction_id)
        if known is None or known.source_uri == drop.uri:
            return False
        return any(known.business[name] != winner.business[name] for name in ("customer_id", "product_id"))

    def _merge(self, drop: Drop, winner: Accepted) -> str:
        arriving = FactRow(
            business=winner.business,
            precedence=(
                winner.business["transaction_date"],
                winner.status_rank,
                drop.partition_day,
                drop.uploaded_at,
                drop.load_id,
                winner.row.source_line,
            ),
            load_id=drop.load_id,
            source_uri=drop.uri,
            source_line=winner.row.source_line,
            last_loaded_by=self.loads,
            last_changed_by=self.loads,
        )
        standing = self.fact.get(winner.transaction_id)
        if standing is not None and arriving.precedence < standing.precedence:
            return "stale"
        if standing is None:
            outcome = "inserted"
        elif arriving.business != standing.business:
            outcome = "updated"
        else:
            outcome = "unchanged"
            arriving = replace(arriving, last_changed_by=standing.last_changed_by)
        self.fact[winner.transaction_id] = arriving
        return outcome

    def columns(self) -> dict[str, dict[str, Any]]:
        """The fact by transaction_id: business and lineage, without the times of loading."""
        return {transaction_id: row.columns() for transaction_id, row in sorted(self.fact.items())}


def _upsert(
    table: dict[str, tuple[tuple[datetime, str], Any]], key: str, upload: tuple[datetime, str], row: Any
) -> None:
    standing = table.get(key)
    if standing is None or upload >= standing[0]:
        table[key] = (upload, row)
