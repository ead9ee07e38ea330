"""`pipeline dead`: the messages that could not be handled."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from cli.invocation import Invocation, command
from cli.refusals import Refused


class Action(StrEnum):
    """The actions on dead letters."""

    LIST = "list"
    SHOW = "show"
    REDRIVE = "redrive"
    DISCARD = "discard"


@command(on_pipeline=True)
def dead(
    invocation: Invocation,
    action: Annotated[Action, typer.Argument(help="list, show one, send back to the queue, or delete.")] = Action.LIST,
    message: Annotated[
        str | None, typer.Argument(metavar="MESSAGE", help="A message's id, or all.", show_default=False)
    ] = None,
) -> None:
    """List, show, redrive or discard dead letters.

    redrive and discard need a message's id, or the word all.
    """
    from cli.pipelines.dead_letters import DeadLetters

    letters = DeadLetters(invocation.pipeline)
    if action is Action.LIST:
        chosen = letters.read()
    elif message is None:
        raise Refused(f"say which message to {action.value}: its id, or all; `pipeline dead list` shows them")
    else:
        chosen = letters.choose(message)
    if action is Action.REDRIVE:
        letters.redrive(chosen)
    if action is Action.DISCARD:
        letters.discard(chosen)
    done = {Action.REDRIVE: "sent back to the queue: ", Action.DISCARD: "discarded: "}.get(action, "")
    lines = [f"{done}{letter.line}" for letter in chosen]
    if action is Action.SHOW:
        # A person who looks at a message may want to redrive it next.
        letters.release(chosen)
        lines = [f"{letter.line}\n{letter.body}" for letter in chosen]
    result = {"action": action.value, "messages": [letter.as_json() for letter in chosen]}
    invocation.show(result, "\n".join(lines) or "No dead letters.")
