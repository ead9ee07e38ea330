"""The explanation of a transaction: its rows in the history, the winner first, and the rule behind each place."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from cli.pipelines.pipeline import Pipeline
from cli.pipelines.statements import run_statement
from schemas.counted import counted

_COLUMNS = (
    "source_uri",
    "source_line",
    "load_id",
    "transaction_date",
    "status",
    "quantity",
    "total_amount",
    "event_precedence",
    "drop_precedence",
    "is_superseded",
)
_HISTORY = (
    f"SELECT {', '.join(_COLUMNS)} FROM transaction_history WHERE transaction_id = :transaction_id "
    "ORDER BY is_superseded, event_precedence DESC, drop_precedence DESC, source_line DESC"
)
_MOST = 1000


@dataclass(frozen=True)
class HistoryRow:
    """One loaded row of the transaction."""

    source_uri: str
    source_line: int
    load_id: str
    transaction_date: str
    status: str
    quantity: int
    total_amount: str
    reason: str
    """`wins`, or the rule by which it lost to the winner."""


@dataclass(frozen=True)
class Explanation:
    transaction_id: str
    rows: list[HistoryRow]
    """The winner first."""

    def as_json(self) -> dict[str, Any]:
        """The shape `explain` of docs/commands.schema.json."""
        return {"transaction_id": self.transaction_id, "rows": [asdict(row) for row in self.rows]}

    def __str__(self) -> str:
        order = ", the winner first" if len(self.rows) > 1 else ""
        lines = [f"{self.transaction_id}: {counted(len(self.rows), 'loaded row')}{order}"]
        for row in self.rows:
            lines.append(f"\n  {row.transaction_date}  {row.status}  quantity {row.quantity}  {row.total_amount}")
            lines.append(f"  {row.source_uri}, line {row.source_line} (load {row.load_id})")
            lines.append(f"  {row.reason}")
        return "\n".join(lines)


def explain_transaction(pipeline: Pipeline, transaction_id: str) -> Explanation:
    """The rows of the transaction in the history; no rows where none was loaded."""
    result = run_statement(pipeline, _HISTORY, limit=_MOST, transaction_id=transaction_id)
    records = [dict(zip(_COLUMNS, row, strict=True)) for row in result.rows]
    rows = []
    for record in records:
        shown = {name: record[name] for name in _COLUMNS[:7]}
        shown["total_amount"] = str(shown["total_amount"])
        shown["transaction_date"] = str(shown["transaction_date"])
        rows.append(HistoryRow(**shown, reason=_reason(records[0], record)))
    return Explanation(transaction_id, rows)


def _reason(winner: dict[str, Any], row: dict[str, Any]) -> str:
    """The first point of precedence (README, "Which row wins") in which the two differ."""
    if row["is_superseded"]:
        return "does not count: a newer upload of its file replaced it"
    if row is winner:
        return "wins"
    if row["transaction_date"] != winner["transaction_date"]:
        return "lost: the winner's transaction_date is later"
    if row["event_precedence"] != winner["event_precedence"]:
        return "lost: the winner's status is higher"
    if row["drop_precedence"] != winner["drop_precedence"]:
        for name, mine, theirs in zip(
            ("the winner's file is of a later day", "the winner's file was uploaded later", "by load_id"),
            row["drop_precedence"].split(" "),
            winner["drop_precedence"].split(" "),
            strict=True,
        ):
            if mine != theirs:
                return f"lost: {name}"
    return "lost: the winner's line is later in the file"
