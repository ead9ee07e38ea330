"""The parts that all commands share: options, one error handler, and output as text or JSON.

A command is a function whose first parameter is an `Invocation`; `@command` adds the shared
options. Modules in cli/commands import nothing heavy at their top, so `--help` is quick.
"""

from __future__ import annotations

import functools
import inspect
import json
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from cli.refusals import GOOD, INTERRUPTED, explain

if TYPE_CHECKING:
    from rich.console import Console

    from cli.pipelines.pipeline import Pipeline

STACK_VARIABLE = "PIPELINE_STACK"

_SHARED = {
    "as_json": Annotated[bool, typer.Option("--json", help="Print the result as JSON.")],
    "is_quiet": Annotated[bool, typer.Option("--quiet", "-q", help="Print errors and results only.")],
    "debug": Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")],
}
_STACK = Annotated[
    str | None,
    typer.Option(
        "--stack",
        envvar=STACK_VARIABLE,
        metavar="NAME",
        help="A stack on AWS, read from its Pulumi outputs; without it the local pipeline.",
        show_default=False,
    ),
]


@dataclass(frozen=True)
class Invocation:
    """One call of a command."""

    name: str
    """The command's name, as it is typed."""
    stack: str | None = None
    as_json: bool = False
    is_quiet: bool = False
    debug: bool = False

    @functools.cached_property
    def pipeline(self) -> Pipeline:
        """The stack on AWS, or the local pipeline; raises Refused when there is none."""
        from cli.pipelines.pipeline import find_pipeline

        return find_pipeline(self.stack)

    def say(self, text: str) -> None:
        """Progress for a person: on standard error, not with --quiet."""
        if not self.is_quiet:
            typer.echo(text, err=True)

    def show(self, result: object, text: str) -> None:
        """The result on standard output: as JSON with --json, else the text."""
        printed = json.dumps(result, indent=2, ensure_ascii=False) if self.as_json else text
        if not printed:
            return
        try:
            typer.echo(printed)
        except BrokenPipeError:
            # `| head` has read enough. The exit status is still the result's.
            _write_nowhere()

    @contextmanager
    def when_interrupted(self, sentence: str) -> Iterator[None]:
        """Say the sentence when Ctrl-C ends the block: what goes on, and how to continue."""
        try:
            yield
        except KeyboardInterrupt:
            self.say(sentence)
            raise

    def console(self) -> Console:
        """The terminal to draw on: standard output, or standard error when --json needs standard output."""
        from rich.console import Console

        return Console(stderr=self.as_json, quiet=self.is_quiet)

    def end(self, status: int) -> NoReturn:
        raise typer.Exit(status)


def command(*, on_pipeline: bool = False) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Turn a function into a command; `on_pipeline` adds the option --stack."""

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        name = function.__name__.replace("_", "-").strip("-")

        @functools.wraps(function)
        def run(**values: Any) -> None:
            shared = {option: values.pop(option) for option in list(values) if option in options}
            invocation = Invocation(name, **shared)
            with one_sentence_per_error(invocation):
                function(invocation, **values)

        options = {**({"stack": _STACK} if on_pipeline else {}), **_SHARED}
        _add_options(run, function, options)
        return run

    return decorate


def _add_options(run: Any, function: Callable[..., None], options: dict[str, Any]) -> None:
    """Give `run` the options and the parameters of `function`, all but the first."""
    own = list(inspect.signature(function, eval_str=True).parameters.values())[1:]
    shared = [
        inspect.Parameter(
            name, inspect.Parameter.KEYWORD_ONLY, default=None if name == "stack" else False, annotation=annotation
        )
        for name, annotation in options.items()
    ]
    keyword_only = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own]
    run.__signature__ = inspect.Signature([*keyword_only, *shared])
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in (*keyword_only, *shared)}
    del run.__wrapped__


@contextmanager
def one_sentence_per_error(invocation: Invocation) -> Iterator[None]:
    """Turn every error inside the block into one sentence and an exit status."""
    try:
        yield
    except (typer.Exit, typer.Abort):
        raise
    except KeyboardInterrupt:
        typer.echo("Stopped.", err=True)
        raise typer.Exit(INTERRUPTED) from None
    except BrokenPipeError:
        _write_nowhere()
        raise typer.Exit(GOOD) from None
    except Exception as error:
        if invocation.debug:
            traceback.print_exception(error)
        sentence, status = explain(error)
        typer.echo(f"pipeline {invocation.name}: {sentence}", err=True)
        raise typer.Exit(status) from None


def _write_nowhere() -> None:
    """The reader of standard output is gone. At exit Python would report that a second time."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
