"""`pipeline show`: one load in full."""

from __future__ import annotations

from cli.invocation import Invocation, command
from cli.loads.argument import LoadName


@command(on_pipeline=True)
def show(
    invocation: Invocation,
    load: LoadName,
) -> None:
    """Show one load: its attempts, its rows, and where its files are."""
    from cli.loads.details import details_json, details_text
    from cli.loads.loads import Loads
    from cli.loads.names import LoadNames

    chosen = LoadNames(Loads(invocation.pipeline)).resolve(load)
    invocation.show(details_json(chosen), details_text(chosen, invocation.pipeline))
