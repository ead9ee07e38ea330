"""The proof: runs the steps in order, collects their results, and writes the table of results.

A step is a function of cli.prove.steps. Steps use a deployed pipeline as the other commands do.
So the same steps prove a stack on AWS and, in the tests, the local cloud.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from cli.prove.steps import CLOSING, DESTROY_MINUTES, STEPS, Proof, Step
from cli.refusals import explain

STOPPED = "stopped by hand"
NOT_DONE = "not done: a step before it failed"


def limits(stack: str, region: str, minutes: float) -> str:
    """The text that a person reads before saying yes: the stack, the time and the money."""
    return f"""\
This deploys the throw-away stack {stack} in {region}, in the AWS account you are signed in to.
It loads seven days and some files that must fail, checks the result and destroys the stack again.
  time   at most {minutes:g} minutes. Expected, not measured: 15 to 21, which are 6 to deploy, three loads of 2 to 4
         one after another, and 3 to destroy. What is not done after {minutes - DESTROY_MINUTES:g} minutes fails,
         and the stack is destroyed; --minutes allows more
  money  at most about $2: the warehouse may use 5 RPU-hours, all else costs cents
Glue's two log groups /aws-glue/python-jobs/* stay: they belong to the account."""


@dataclass(frozen=True)
class Result:
    """The result of a step."""

    title: str
    is_good: bool
    evidence: str
    """The result of the step: the facts that prove it, or the fault."""
    seconds: float

    def __str__(self) -> str:
        return f"{'good  ' if self.is_good else 'FAILED'} {self.title}: {self.evidence}"


def prove(
    proof: Proof,
    *,
    steps: Sequence[Step] = STEPS,
    closing: Sequence[Step] = CLOSING,
    on_result: Callable[[Result], None] = lambda _: None,
) -> list[Result]:
    """Run every step; after Ctrl-C, or a needed step that failed, run only the closing ones.

    Raises Refused, before anything is created, when the stack's name is taken.
    """
    proof.stack.refuse_if_unusable()
    results: list[Result] = []
    # The stack must be destroyed also after Ctrl-C between two steps, and when the terminal is closed.
    with suppress(KeyboardInterrupt):
        for step in steps:
            results.append(_run(step, proof))
            _report(on_result, results[-1])
            if results[-1].evidence == STOPPED or (step.is_needed and not results[-1].is_good):
                break
    results += [Result(step.title, False, NOT_DONE, 0) for step in steps[len(results) :]]
    for step in closing:
        results.append(_run(step, proof))
        _report(on_result, results[-1])
    return results


@contextmanager
def endings_like_control_c() -> Iterator[None]:
    """Treat a closed terminal and a `kill` like Ctrl-C, so that the stack is destroyed."""
    endings = (signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(ending, signal.default_int_handler) for ending in endings]
    try:
        yield
    finally:
        for ending, handler in zip(endings, before, strict=True):
            signal.signal(ending, handler)


def _report(on_result: Callable[[Result], None], result: Result) -> None:
    with suppress(OSError):
        on_result(result)


def _run(step: Step, proof: Proof) -> Result:
    began = time.monotonic()
    try:
        evidence = step.prove(proof)
    except KeyboardInterrupt:
        # The closing steps still have to destroy the stack.
        return Result(step.title, False, STOPPED, time.monotonic() - began)
    except Exception as error:
        return Result(step.title, False, explain(error)[0], time.monotonic() - began)
    return Result(step.title, True, evidence, time.monotonic() - began)


def is_destroyed(results: Sequence[Result]) -> bool:
    """True when all closing steps, which are the last ones, succeeded."""
    return all(result.is_good for result in results[-len(CLOSING) :])


def as_markdown(results: Sequence[Result], *, stack: str, region: str, at: datetime, by_hand: str) -> str:
    """The table with date and score in its first line; `by_hand` has the commands that destroy a stack that is left."""
    good = sum(result.is_good for result in results)
    lines = [
        f"# Proof of {at.astimezone(UTC):%Y-%m-%d %H:%M} UTC: {good}/{len(results)}",
        "",
        f"Stack `{stack}` in {region}, {sum(result.seconds for result in results) / 60:.0f} minutes.",
        "",
        "| step | | seen | seconds |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {result.title} | {'good' if result.is_good else '**failed**'} | {_cell(result.evidence)} "
        f"| {result.seconds:.0f} |"
        for result in results
    ]
    if not is_destroyed(results):
        lines += ["", f"**Something is left, and it may cost money.** Type {by_hand}."]
    return "\n".join([*lines, ""])


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
