"""The model of loads that are replayed, taken back, replaced and completed while prices change.

Each load contributes the oracle's result for its drop alone, with the dimensions at the time of its attempt. The
fact is the maximum over the loads that count.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from schemas.runs import FLOW_IN, LOAD, REPLACE, RETRACT
from tests import oracle

_WAITS = {"unknown_customer", "unknown_product"}


@dataclass
class Said:
    """The rows that one load contributes now."""

    drop: oracle.Drop
    counts: oracle.Counts
    """The counts of its latest attempt at the whole drop."""
    rows: dict[int, oracle.FactRow] = field(default_factory=dict)
    """Line -> row: every row that it staged."""
    ids: dict[int, str] = field(default_factory=dict)
    waiting: set[int] = field(default_factory=set)


@dataclass
class Model:
    same_key: str
    dimensions: oracle.Warehouse = field(default_factory=lambda: oracle.Warehouse(max_reject_ratio="1"))
    said: dict[str, Said] = field(default_factory=dict)
    """load_id -> load, for the loads that are not taken back."""
    first_rejected: dict[str, int] = field(default_factory=dict)
    """load_id -> the number of rows that its first commit rejected."""
    arrived: dict[str, int] = field(default_factory=dict)
    """load_id -> the number of its waiting rows that were loaded, or finally rejected, once their dimension came."""

    def attempt(self, drop: oracle.Drop, operation: str) -> None:
        """Apply a successful attempt."""
        if operation == RETRACT:
            self.said.pop(drop.load_id, None)
        elif operation == LOAD:
            self.said[drop.load_id] = self._now(drop)
            self.first_rejected.setdefault(drop.load_id, self.said[drop.load_id].counts.rejected)
        elif operation == FLOW_IN:
            before, now = self.said[drop.load_id], self._now(drop)
            still = before.waiting & now.waiting
            self.arrived[drop.load_id] = self.arrived.get(drop.load_id, 0) + len(before.waiting - still)
            for line in before.waiting & set(now.rows):
                before.rows[line], before.ids[line] = now.rows[line], now.ids[line]
            before.waiting = still

    def awaited(self) -> set[str]:
        """The loads with a waiting row whose ids are all known now."""
        return {load_id for load_id, said in self.said.items() if said.waiting - self._now(said.drop).waiting}

    def counting(self) -> list[Said]:
        if self.same_key != REPLACE:
            return list(self.said.values())
        ordered = sorted(self.said.values(), key=lambda said: (said.drop.uploaded_at, said.drop.load_id))
        return list({said.drop.key: said for said in ordered}.values())

    def fact(self) -> dict[str, oracle.FactRow]:
        """The winner of each transaction_id among the rows of the loads that count."""
        best: dict[str, oracle.FactRow] = {}
        for said in self.counting():
            for line, row in said.rows.items():
                name = said.ids[line]
                if name not in best or row.precedence > best[name].precedence:
                    best[name] = row
        return best

    def columns(self) -> dict[str, dict[str, Any]]:
        return {name: row.columns() for name, row in sorted(self.fact().items())}

    def waiting(self) -> set[tuple[str, int]]:
        return {(load_id, line) for load_id, said in self.said.items() for line in said.waiting}

    def _now(self, drop: oracle.Drop) -> Said:
        """The drop's rows alone, with today's dimensions."""
        alone = oracle.Warehouse(max_reject_ratio="1")
        upload = oracle.Drop("b", "k", "v", datetime(2000, 1, 1))
        alone.load_products(upload, list(self.dimensions.products.values()))
        alone.load_customers(upload, list(self.dimensions.customers.values()))
        counts = alone.load(drop)
        rejected = alone.validate(drop).rejected
        return Said(
            drop,
            counts,
            {row.source_line: row for row in alone.fact.values()},
            {row.source_line: name for name, row in alone.fact.items()},
            {each.row.source_line for each in rejected if set(each.reasons) <= _WAITS},
        )
