"""`pipeline costs`: what a stack costs, idle and per load."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.invocation import Invocation, command


@command()
def costs(
    invocation: Invocation,
    rows: Annotated[int, typer.Option(min=1, help="Rows of a daily file.")] = 1_000_000,
) -> None:
    """Show what a stack costs, idle and per load."""
    from cli.costs import DAYS_PER_MONTH, Prices, Usage, idle_month, load

    prices, usage = Prices(), Usage()
    idle, one = idle_month(prices, usage), load(prices, usage, rows)
    invocation.show({"idle": idle, "load": one, "days": DAYS_PER_MONTH}, f"{idle}{one}")
