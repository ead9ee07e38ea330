"""`pipeline plan`: the changes that files would make in the warehouse, without making them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.invocation import Invocation, command
from cli.refusals import FAILED, NEEDS_A_LOOK


@command(on_pipeline=True)
def plan(
    invocation: Invocation,
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE…|DIR", help="CSV files (or .csv.gz) of transactions, products or customers; or folders."
        ),
    ],
    day: Annotated[
        str | None,
        typer.Option(
            metavar="YYYY-MM-DD", help="The day of transactions files whose name has none.", show_default=False
        ),
    ] = None,
    minutes: Annotated[int, typer.Option(min=1, help="The longest time to wait for each file.")] = 30,
) -> None:
    """Show what each file would change in the warehouse: rows, money, the largest changes, rejected rows.

    The job loads the file in a transaction and rolls it back. Nothing is changed and no mail is sent.
    The exit status is 1 when a file would not be loaded, 3 when rows would be rejected.
    """
    from cli.drops.keys import files_to_drop
    from cli.drops.plans import make_plan, plan_json, plan_text

    files = files_to_drop(paths, day)
    pipeline = invocation.pipeline
    plans = []
    for file in files:
        invocation.say(f"{file.path.name}: waiting for the job's plan.")
        plans.append(make_plan(pipeline, file, timeout_seconds=minutes * 60))
    text = "\n\n".join([*map(plan_text, plans), "Nothing was changed."])
    invocation.show({"plans": [plan_json(plan) for plan in plans]}, text)
    if any(plan.refusal for plan in plans):
        invocation.end(FAILED)
    if any(plan.needs_a_look for plan in plans):
        invocation.end(NEEDS_A_LOOK)
