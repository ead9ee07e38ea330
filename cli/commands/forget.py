"""`pipeline forget`: removes the name and e-mail of one customer from the pipeline."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from cli.confirmation import require_yes
from cli.invocation import Invocation, command
from cli.refusals import Refused


@command(on_pipeline=True)
def forget(
    invocation: Invocation,
    customer_id: Annotated[str, typer.Argument(metavar="CUSTOMER", help="A customer_id, as in dim_customers.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List where the customer is, and change nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Remove a customer's name and e-mail from the warehouse and from every version of every file.

    The customer_id and the sales stay. It cannot be undone. Run a stopped forget again to finish it.
    """
    from cli.forget.forgetting import forget_customer

    if not (dry_run or yes):
        if not sys.stdin.isatty():
            raise Refused(f"forget would remove the name and e-mail of {customer_id} for good; confirm it with --yes")
        require_yes(f"Remove the name and e-mail of {customer_id} for good?")
    result = forget_customer(invocation.pipeline, customer_id, is_dry_run=dry_run)
    invocation.show(result.as_json(), str(result))
