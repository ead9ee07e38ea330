"""`pipeline explain`: which rows of which files made one transaction what it is."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.invocation import Invocation, command
from cli.refusals import Refused


@command(on_pipeline=True)
def explain(
    invocation: Invocation,
    transaction_id: Annotated[str, typer.Argument(metavar="TRANSACTION", help="A transaction_id, as in the file.")],
) -> None:
    """Show every loaded row of one transaction, who won and why.

    Read from the warehouse's history: rejected rows and duplicates within a file are not in it.
    """
    from cli.loads.explanation import explain_transaction

    explanation = explain_transaction(invocation.pipeline, transaction_id)
    if not explanation.rows:
        raise Refused(f"no row of the transaction {transaction_id!r} was ever loaded; ids are case-sensitive")
    invocation.show(explanation.as_json(), str(explanation))
