"""`pipeline down`: stops the local pipeline."""

from __future__ import annotations

from cli.invocation import Invocation, command
from cli.refusals import Failed


@command()
def down(invocation: Invocation) -> None:
    """Stop the local pipeline of another terminal."""
    from cli.pipelines.local import find_local_pipeline, stop

    local = find_local_pipeline()
    if not stop(local):
        raise Failed(f"the local pipeline (process {local.pid}) did not stop; end that process yourself")
    invocation.show({"stopped": local.pid}, "The local pipeline is stopped.")
