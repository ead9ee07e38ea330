"""`pipeline loads`: the recent loads."""

from __future__ import annotations

import shutil
import sys
from typing import Annotated

import typer

from cli.invocation import Invocation, command


@command(on_pipeline=True)
def loads(
    invocation: Invocation,
    failed: Annotated[bool, typer.Option("--failed", help="Only loads whose last attempt failed.")] = False,
    since: Annotated[
        str | None,
        typer.Option(metavar="YYYY-MM-DD", help="Only loads that changed on this day or later.", show_default=False),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Show at most this many loads.")] = 50,
) -> None:
    """List the recent loads, the latest first."""
    from cli.drops.days import first_moment
    from cli.loads.as_json import load_json, load_line
    from cli.loads.loads import Loads

    recent = Loads(invocation.pipeline).recent(since=first_moment(since), limit=limit, failed=failed)
    columns = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    text = (
        "\n".join(load_line(load, columns) for load in recent)
        or f"No {'failed ' if failed else ''}load in {invocation.pipeline.name}."
    )
    invocation.show({"loads": [load_json(load) for load in recent]}, text)
