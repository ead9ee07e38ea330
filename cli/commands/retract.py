"""`pipeline retract`: takes one load back."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from cli.confirmation import require_yes
from cli.invocation import Invocation, command
from cli.loads.argument import LoadName
from cli.refusals import FAILED, Refused


@command(on_pipeline=True)
def retract(
    invocation: Invocation,
    load: LoadName,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Take one load back: the table is then as if its file had never been uploaded.

    Rows of other files about the same transactions count again. A mail follows.
    """
    from cli.loads.loads import Loads
    from cli.loads.names import LoadNames
    from cli.loads.retractions import obstacle_to_retraction, send_retraction

    loads = Loads(invocation.pipeline)
    chosen = LoadNames(loads).resolve(load)
    obstacle = obstacle_to_retraction(chosen)
    name = f"{chosen.load_id} ({chosen.status.file_name})"
    if obstacle is None and not yes:
        if not sys.stdin.isatty():
            raise Refused(f"retract would take back {name}; confirm it with --yes")
        require_yes(f"Take back {name}?")
    if obstacle is None:
        send_retraction(loads, chosen)
    text = f"{name} is not retracted: {obstacle}" if obstacle else f"{name} is being retracted; a mail will follow"
    invocation.show({"load_id": chosen.load_id, "starts": obstacle is None, "reason": obstacle}, text)
    if obstacle is not None:
        invocation.end(FAILED)
