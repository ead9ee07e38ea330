"""`pipeline up`: keeps the local pipeline running."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.invocation import Invocation, command


@command()
def up(
    invocation: Invocation,
    config: Annotated[str, typer.Option(metavar="NAME", help="Deploy with the settings in Pulumi.NAME.yaml.")] = "dev",
) -> None:
    """Keep the local pipeline running until Ctrl-C or pipeline down.

    Drop files from another terminal with pipeline drop FILE. This terminal shows every file and every mail.
    """
    from cli.pipelines.local import only_local_pipeline
    from cli.pipelines.up import keep_running

    with only_local_pipeline():
        keep_running(invocation, config)
