"""The question that a command asks before it does what cannot be undone."""

from __future__ import annotations

import signal

import typer

from cli.refusals import Refused


def require_yes(question: str) -> None:
    """Ask on the terminal. Raises Refused for any answer but yes and for none, KeyboardInterrupt for Ctrl-C."""
    # Polars installs a handler after which a blocked read starts again, so Ctrl-C would not end the question.
    signal.siginterrupt(signal.SIGINT, True)
    try:
        is_yes = typer.confirm(question, err=True)
    except typer.Abort as abort:
        # Typer raises it for Ctrl-C and for the end of standard input alike.
        if isinstance(abort.__context__, KeyboardInterrupt):
            raise abort.__context__ from None
        is_yes = False
    if not is_yes:
        raise Refused("nothing was done; answer y, or type the command with --yes")
