"""`pipeline logs`: the log of a load's run."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from cli.invocation import Invocation, command
from cli.loads.argument import LoadName
from cli.refusals import Refused


@command(on_pipeline=True)
def logs(
    invocation: Invocation,
    load: LoadName,
    attempt: Annotated[
        int | None, typer.Option(min=1, help="The attempt; default: the last one.", show_default=False)
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Print new lines until the run ends.")] = False,
) -> None:
    """Print the log of a load's run."""
    from cli.loads.loads import Loads
    from cli.loads.names import LoadNames
    from cli.loads.run_logs import read_log, run_of

    if follow and invocation.as_json:
        raise Refused("--follow prints lines as they come and --json prints once; use one of them")
    pipeline = invocation.pipeline
    chosen = LoadNames(Loads(pipeline)).resolve(load)
    run_id = run_of(chosen, attempt)
    lines = read_log(pipeline, run_id)
    shown = 0
    while follow:
        for line in lines[shown:]:
            typer.echo(line)
        shown = len(lines)
        if Loads(pipeline).of(chosen.drop).status.is_settled:
            return
        time.sleep(pipeline.look_seconds)
        lines = read_log(pipeline, run_id)
    text = "\n".join(lines) or "The run has printed nothing yet."
    invocation.show({"load_id": chosen.load_id, "run_id": run_id, "lines": lines}, text)
