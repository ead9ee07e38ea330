"""The command `pipeline`: a list of its commands."""

from __future__ import annotations

import typer

from cli.costs import costs
from cli.demo import demo
from cli.drop import drop
from cli.generate import generate
from cli.replay import replay
from cli.up import up
from cli.wheel import wheel

app = typer.Typer(
    add_completion=False, no_args_is_help=True, pretty_exceptions_show_locals=False, rich_markup_mode="markdown"
)


@app.callback()
def pipeline() -> None:
    """A shop's daily transactions, from the dropped CSV to the warehouse."""


app.command()(demo)
app.command()(up)
app.command()(drop)
app.command()(replay)
app.command()(generate)
app.command()(wheel)
app.command()(costs)

if __name__ == "__main__":
    app(prog_name="pipeline")
