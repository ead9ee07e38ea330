"""`pipeline show`: everything known of one load."""

from __future__ import annotations

from cli.invocation import Invocation, command
from cli.load_argument import LoadName


@command(on_pipeline=True)
def show(
    invocation: Invocation,
    load: LoadName,
) -> None:
    """Show one load: its attempts, its rows, where to look."""
    from cli.load_details import details_json, details_text
    from cli.load_names import LoadNames
    from cli.loads import Loads

    found = LoadNames(Loads(invocation.pipeline)).one(load)
    invocation.show(details_json(found), details_text(found, invocation.pipeline))
