"""`pipeline env`: the keys and addresses of a pipeline, for other tools."""

from __future__ import annotations

from cli.invocation import Invocation, command


@command(on_pipeline=True)
def env(invocation: Invocation) -> None:
    """Print the keys and addresses that other tools need.

    Type eval "$(pipeline env)", and then aws s3 ls or psql work on this pipeline.
    """
    import shlex

    from cli.pipelines.tool_environment import tool_environment

    variables = tool_environment(invocation.pipeline)
    text = "\n".join(f"export {name}={shlex.quote(value)}" for name, value in variables.items())
    invocation.show(variables, text)
