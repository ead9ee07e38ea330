"""`pipeline status`: the loads that run or wait, and the problems that need a person."""

from __future__ import annotations

import sys
import time
from typing import Annotated

import typer

from cli.invocation import Invocation, command
from cli.refusals import GOOD, NEEDS_A_LOOK, Refused


@command(on_pipeline=True)
def status(
    invocation: Invocation,
    watch: Annotated[bool, typer.Option("--watch", help="Refresh until Ctrl-C.")] = False,
) -> None:
    """Show what runs, what waits and what needs a person.

    The exit status is 3 when something needs a person: a failed load, a dead letter, a mail address to confirm.
    """
    from cli.pipelines.status import look, status_text

    if watch and invocation.as_json:
        raise Refused("--watch shows a screen and --json prints once; use one of them")
    pipeline = invocation.pipeline
    shown = ""
    while watch:
        text = status_text(look(pipeline))
        if text != shown:
            typer.echo(f"\x1b[2J\x1b[H{text}" if sys.stdout.isatty() else text)
            shown = text
        time.sleep(pipeline.look_seconds)
    state = look(pipeline)
    invocation.show(state.as_json(), status_text(state))
    invocation.end(NEEDS_A_LOOK if state.needs_a_look else GOOD)
