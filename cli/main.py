"""The command `pipeline`: a list of its commands, in the groups that --help shows."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from cli.commands.backfill import backfill
from cli.commands.check import check
from cli.commands.costs import costs
from cli.commands.dead import dead
from cli.commands.demo import demo
from cli.commands.doctor import doctor
from cli.commands.down import down
from cli.commands.drop import drop
from cli.commands.env import env
from cli.commands.explain import explain
from cli.commands.forget import forget
from cli.commands.generate import generate
from cli.commands.loads import loads
from cli.commands.logs import logs
from cli.commands.open import open_
from cli.commands.plan import plan
from cli.commands.prove import prove
from cli.commands.rejected import rejected
from cli.commands.replay import replay
from cli.commands.retract import retract
from cli.commands.show import show
from cli.commands.sql import sql
from cli.commands.status import status
from cli.commands.up import up
from cli.commands.wheel import wheel


def command_name(function: Any) -> str:
    """The word that a person types; the function `open_` is typed `open`, because a builtin has that name."""
    return str(function.__name__).strip("_").replace("_", "-")


class GroupedCommands(TyperGroup):
    """Lists the commands by group, in plain text: importing Rich takes half a second."""

    def format_commands(self, _: Any, formatter: Any) -> None:
        width = max(map(len, self.commands))
        for group, members in GROUPS.items():
            names = [command_name(member) for member in members]
            with formatter.section(group):
                helps = [self.commands[name].get_short_help_str(formatter.width - width - 6) for name in names]
                formatter.write_dl([(name.ljust(width), text) for name, text in zip(names, helps, strict=True)])


app = typer.Typer(
    cls=GroupedCommands,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(is_asked: bool) -> None:
    if is_asked:
        from jobs import __version__

        typer.echo(f"pipeline {__version__}")
        raise typer.Exit


@app.callback()
def pipeline(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Load a shop's daily CSV files of transactions into the warehouse.

    With --stack NAME (or PIPELINE_STACK) a command works on that stack on AWS, without it on the local pipeline.

    Exit status: 0 good, 1 failed, 2 wrong use, 3 loaded but rows need a look, 130 interrupted.
    """


GROUPS = {
    "Try it": (demo, up, down, open_, sql, env),
    "Files": (check, plan, drop, backfill, generate),
    "Operate": (status, loads, show, rejected, explain, replay, retract, forget, dead, logs, doctor),
    "Build": (wheel, costs, prove),
}

for _group, _commands in GROUPS.items():
    for _command in _commands:
        app.command(command_name(_command), rich_help_panel=_group)(_command)

if __name__ == "__main__":
    app(prog_name="pipeline")
