"""The statements of one upsert of staged rows, rendered from the tables' declaration.

One text serves Redshift and the laptop's emulator, in Redshift's narrower grammar: MERGE with both
WHEN clauses and no target alias, no row comparison, no IS DISTINCT FROM, no CTE.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import indent

from schemas.warehouse.tables import (
    BUSINESS_COLUMNS,
    FACT_TRANSACTIONS,
    PRECEDENCE_COLUMNS,
    RESTORED_TRANSACTIONS,
    STAGED_TRANSACTIONS,
    Column,
    Dimension,
    Table,
)


@dataclass(frozen=True)
class UpsertTarget:
    """A staging table, its target table, and the columns that decide between two rows of one key."""

    staged: Table
    table: Table
    precedence: Sequence[Column]
    """Compared in this order; a staged row lower than the table's row is stale."""
    business: Sequence[Column]
    """`updated_at` changes when one of these changes."""

    def count_outcomes(self) -> str:
        """One row: staged rows, distinct ids, then how many will be inserted, updated, unchanged, stale."""
        staged, table = self.staged, self.table
        counts = ",\n    ".join(
            f"COALESCE(SUM(CASE WHEN outcome = '{outcome}' THEN 1 ELSE 0 END), 0) AS {outcome}"
            for outcome in ("inserted", "updated", "unchanged", "stale")
        )
        is_stale = indent(self._is_stale(self.precedence), " " * 12).lstrip()
        differs = indent(self._differs(), " " * 12).lstrip()
        return f"""SELECT
    COUNT(*) AS staged,
    COUNT(DISTINCT {staged.key}) AS ids,
    {counts}
FROM (
    SELECT
        {staged.name}.{staged.key},
        CASE
            WHEN {table.name}.{table.key} IS NULL THEN 'inserted'
            WHEN {is_stale} THEN 'stale'
            WHEN {differs} THEN 'updated'
            ELSE 'unchanged'
        END AS outcome
    FROM {staged.name}
    LEFT JOIN {table.name} ON {self.same_key}
) AS outcomes"""

    def delete_stale(self) -> str:
        """Delete the rows that lost from the staging table first, since MERGE has no condition on WHEN MATCHED."""
        return (
            f"DELETE FROM {self.staged.name}\nUSING {self.table.name}\nWHERE {self.same_key}\n"
            f" AND {self._is_stale(self.precedence)}"
        )

    def merge(self) -> str:
        """Every staged row replaces the row of its key, or is new."""
        staged, table = self.staged, self.table
        sets = [f"{name} = {staged.name}.{name}" for name in staged.names if name != staged.key] + [
            "loaded_at = GETDATE()",
            "updated_at = CASE\n        WHEN "
            + indent(self._differs(), " " * 8).lstrip()
            + f" THEN GETDATE()\n        ELSE {table.name}.updated_at\n    END",
        ]
        set_list = ",\n    ".join(sets)
        values = ", ".join([f"{staged.name}.{name}" for name in staged.names] + ["GETDATE()", "GETDATE()"])
        return f"""MERGE INTO {table.name}
USING {staged.name}
ON {table.name}.{table.key} = {staged.name}.{staged.key}
WHEN MATCHED THEN UPDATE SET
    {set_list}
WHEN NOT MATCHED THEN INSERT ({", ".join(table.names)})
VALUES ({values})"""

    def count_merged(self) -> str:
        """The number of target rows with a staged key: more than staged means that a key occurs twice."""
        return f"SELECT COUNT(*) FROM {self.table.name}\nJOIN {self.staged.name} ON {self.same_key}"

    @property
    def same_key(self) -> str:
        return f"{self.staged.name}.{self.staged.key} = {self.table.name}.{self.table.key}"

    def _is_stale(self, precedence: Sequence[Column]) -> str:
        # Spelled out: Redshift's ancestor compared rows element by element, so (a, b) < (c, d) is not safe.
        staged, table = self.staged.name, self.table.name
        first, rest = precedence[0].name, precedence[1:]
        less = f"{staged}.{first} < {table}.{first}"
        if not rest:
            return less
        equal = f"{staged}.{first} = {table}.{first}"
        return f"({less}\n OR ({equal}\n AND {self._is_stale(rest)}))"

    def _differs(self) -> str:
        # NULL and '' are one value here: the jobs never stage ''.
        staged, table = self.staged.name, self.table.name
        return "\n OR ".join(
            f"COALESCE({staged}.{column.name}, '') <> COALESCE({table}.{column.name}, '')"
            if column.nullable
            else f"{staged}.{column.name} <> {table}.{column.name}"
            for column in self.business
        )


TRANSACTIONS_UPSERT = UpsertTarget(STAGED_TRANSACTIONS, FACT_TRANSACTIONS, PRECEDENCE_COLUMNS, BUSINESS_COLUMNS)

RESTORE = UpsertTarget(RESTORED_TRANSACTIONS, FACT_TRANSACTIONS, PRECEDENCE_COLUMNS, BUSINESS_COLUMNS)
"""Rows of the history that replace rows of a load that no longer counts."""


def dimension_upsert(dimension: Dimension) -> UpsertTarget:
    """The later upload wins, whatever its rows say."""
    return UpsertTarget(
        dimension.staged, dimension.table, [dimension.staged["drop_precedence"]], dimension.source_columns[1:]
    )
