"""The proof: steps in their order, what each found, and the table that is left.

A step is a function of cli.prove.steps. Steps work on a deployed pipeline as the other commands
do, so that the same steps prove a stack on AWS and, in the tests, the local cloud.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from cli.prove.steps import CLOSING, STEPS, Proof, Step
from cli.refusals import explain

PROOF_MINUTES = 20
"""How long the steps between deployment and destruction may take together."""

STOPPED = "stopped by hand"
NOT_DONE = "not done: a step before it failed"

LIMITS = f"""\
This deploys the throw-away stack {{stack}} in {{region}}, in the AWS account you are signed in to.
It loads seven days and some files that must fail, checks the result and destroys the stack again.
  time   about 30 minutes: about 11 to deploy, 12 for four loads one after another (at most {PROOF_MINUTES}),
         7 to destroy; AWS alone needs 14 of them to create an empty warehouse and to delete it
  money  at most about $2: the warehouse may use 5 RPU-hours, the rest is cents
Glue's two log groups /aws-glue/python-jobs/* stay: they belong to the account."""


@dataclass(frozen=True)
class Result:
    """What a step found."""

    title: str
    is_good: bool
    evidence: str
    """What was seen, or what was wrong."""
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
    """Run every step; after a needed step that failed, or Ctrl-C, only the closing ones.

    Raises Refused, before anything is created, when the stack's name is taken.
    """
    proof.stack.refuse_if_unusable()
    results: list[Result] = []
    # Ctrl-C between two steps, or a terminal that is gone, must not keep the stack from being destroyed.
    with suppress(KeyboardInterrupt):
        for step in steps:
            results.append(_run(step, proof))
            _tell(on_result, results[-1])
            if results[-1].evidence == STOPPED or (step.is_needed and not results[-1].is_good):
                break
    results += [Result(step.title, False, NOT_DONE, 0) for step in steps[len(results) :]]
    for step in closing:
        results.append(_run(step, proof))
        _tell(on_result, results[-1])
    return results


@contextmanager
def endings_like_control_c() -> Iterator[None]:
    """A closed terminal and a `kill` are answered like Ctrl-C: the stack is destroyed."""
    endings = (signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(ending, signal.default_int_handler) for ending in endings]
    try:
        yield
    finally:
        for ending, handler in zip(endings, before, strict=True):
            signal.signal(ending, handler)


def _tell(on_result: Callable[[Result], None], result: Result) -> None:
    with suppress(OSError):
        on_result(result)


def _run(step: Step, proof: Proof) -> Result:
    began = time.monotonic()
    try:
        evidence = step.prove(proof)
    except KeyboardInterrupt:
        # What was created must be destroyed all the same.
        return Result(step.title, False, STOPPED, time.monotonic() - began)
    except Exception as error:
        return Result(step.title, False, explain(error)[0], time.monotonic() - began)
    return Result(step.title, True, evidence, time.monotonic() - began)


def is_destroyed(results: Sequence[Result]) -> bool:
    """Whether the closing steps, the last ones, all did what they are for."""
    return all(result.is_good for result in results[-len(CLOSING) :])


def as_markdown(results: Sequence[Result], *, stack: str, region: str, at: datetime, by_hand: str) -> str:
    """The dated table, n/n in its first line; `by_hand` is what to type if the stack is not destroyed."""
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
