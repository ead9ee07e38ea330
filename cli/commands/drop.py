"""`pipeline drop`: uploads files to the drop bucket; the name and the day of a file give its key."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.invocation import Invocation, command
from cli.refusals import FAILED, NEEDS_A_LOOK, Failed

if TYPE_CHECKING:
    from cli.drops.keys import FileToDrop
    from cli.loads.loads import Load
    from schemas.drops import Drop


_GOES_ON = "Dropped files are still loaded: see `pipeline status{}`."


@command(on_pipeline=True)
def drop(
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
    wait: Annotated[bool, typer.Option("--wait", help="Wait until every file is loaded or has failed.")] = False,
    minutes: Annotated[int, typer.Option(min=1, help="The longest time to wait.")] = 30,
) -> None:
    """Upload files to the drop bucket.

    The key follows from the name: dim_products….csv, dim_customers….csv or …YYYY-MM-DD….csv.
    Dimensions are dropped first; if one is not loaded, no transactions are dropped. With --wait the exit
    status is 1 when a file failed, 3 when rows were rejected.
    """
    from cli.drops.keys import files_to_drop
    from cli.drops.uploads import refuse_unversioned, wait_until_settled
    from cli.loads.as_json import load_json

    files = files_to_drop(paths, day)
    pipeline = invocation.pipeline
    refuse_unversioned(pipeline)
    dimensions = _upload(invocation, [file for file in files if file.is_dimension])
    transactions = [file for file in files if not file.is_dimension]
    if dimensions and transactions:
        _wait_for_dimensions(invocation, dimensions, timeout_seconds=minutes * 60)
    drops = dimensions + _upload(invocation, transactions)
    loads: list[Load] = []
    if wait:
        with invocation.when_interrupted(_GOES_ON.format(pipeline.stack_option)):
            loads = wait_until_settled(
                pipeline, drops, timeout_seconds=minutes * 60, on_change=lambda load: invocation.say(_line(load))
            )
    dropped = [{"uri": item.uri, "version_id": item.version_id, "load_id": item.load_id} for item in drops]
    text = "\n".join(f"dropped {item.uri} (version {item.version_id}, load {item.load_id})" for item in drops)
    invocation.show({"dropped": dropped, "loads": [load_json(load) for load in loads]}, text)
    if any(load.is_failed for load in loads):
        invocation.end(FAILED)
    if any(load.status.rejected for load in loads):
        invocation.end(NEEDS_A_LOOK)


def _wait_for_dimensions(invocation: Invocation, dimensions: list[Drop], *, timeout_seconds: float) -> None:
    """Raises Failed if one is not loaded."""
    from cli.drops.uploads import wait_until_settled

    pipeline = invocation.pipeline
    invocation.say("Waiting until the dimensions are loaded, so that the transactions find them.")
    with invocation.when_interrupted(f"No file of transactions was dropped. {_GOES_ON.format(pipeline.stack_option)}"):
        ended = wait_until_settled(pipeline, dimensions, timeout_seconds=timeout_seconds, is_done=_has_ended)
    for status in (load.status for load in ended if load.is_failed):
        raise Failed(f"{status.file_name} was not loaded, so no file of transactions was dropped: {status.summary}")


def _upload(invocation: Invocation, files: list[FileToDrop]) -> list[Drop]:
    from cli.drops.uploads import upload

    return [upload(invocation.pipeline, file.path, file.key) for file in files]


def _has_ended(load: Load) -> bool:
    return load.status.is_settled or load.status.phase.value == "loaded"


def _line(load: Load) -> str:
    status = load.status
    return f"{status.phase.value:<9} {status.file_name}  {status.summary}".rstrip()
