"""`pipeline sql`: runs statements in the warehouse."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.invocation import Invocation, command
from cli.refusals import Failed, Refused


@command(on_pipeline=True)
def sql(
    invocation: Invocation,
    query: Annotated[
        str | None,
        typer.Argument(help="A statement; without it they are read from standard input.", show_default=False),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Show at most this many rows.")] = 1000,
) -> None:
    """Run a statement in the warehouse and show its rows.

    Without a QUERY, statements are read from standard input, each up to its semicolon. Ctrl-C cancels the statement
    that runs; `quit` ends the session.
    """
    from cli.pipelines.statements import are_typed, read_statements, result_text, run_statement

    if query is not None and not query.strip():
        raise Refused("the statement is empty; give one in quotes, or on standard input")
    goes_on = query is None and are_typed()
    for statement in [query] if query is not None else read_statements():
        try:
            with invocation.when_interrupted("The statement was cancelled in the warehouse."):
                result = run_statement(invocation.pipeline, statement, limit=limit)
        except Failed as refused:
            if not goes_on:
                raise
            typer.echo(refused, err=True)
        else:
            invocation.show(result.as_json(), result_text(result))
