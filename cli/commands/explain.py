"""`pipeline explain`: the rows of one transaction in all files, and the rule that chose the winner."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from cli.invocation import Invocation, command
from cli.refusals import Refused


@command(on_pipeline=True)
def explain(
    invocation: Invocation,
    transaction_id: Annotated[str, typer.Argument(metavar="TRANSACTION", help="A transaction_id, as in the file.")],
    deep: Annotated[
        bool, typer.Option("--deep", help="Read every archived file too, for rows that were not loaded.")
    ] = False,
) -> None:
    """Show every loaded row of one transaction, which row won and why.

    The rows come from the warehouse's history. --deep adds rejected rows and duplicates within a file.
    """
    from cli.loads.deep_explanation import find_unloaded_rows
    from cli.loads.explanation import explain_transaction

    explanation = explain_transaction(invocation.pipeline, transaction_id)
    unloaded = list(find_unloaded_rows(invocation.pipeline, transaction_id, explanation.rows)) if deep else []
    if not (explanation.rows or unloaded):
        hint = "" if deep else ", and --deep looks for rows that were not loaded"
        raise Refused(
            f"no row of the transaction {transaction_id!r} was ever {'archived' if deep else 'loaded'}; "
            f"ids are case-sensitive{hint}"
        )
    lines = [str(explanation)] if explanation.rows else [f"{transaction_id}: no loaded row"]
    for row in unloaded:
        values = ", ".join(f'{column} "{value}"' for column, value in row.values.items())
        lines.append(f"\n  {values}\n  {row.source_uri}, line {row.source_line} (load {row.load_id})\n  {row.reason}")
    shown = {**explanation.as_json(), "unloaded": [asdict(row) for row in unloaded] if deep else None}
    invocation.show(shown, "\n".join(lines))
