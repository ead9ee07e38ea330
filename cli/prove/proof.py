"""The proof: steps in their order, what each found, and the table that is left.

A step is a function of cli.prove.steps. Steps work on a deployed pipeline as the other commands
do, so that the same steps prove a stack on AWS and, in the tests, the local cloud.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from cli.prove.steps import CLOSING, STEPS, Proof, Step
from cli.refusals import explain

PROOF_MINUTES = 20
"""How long the steps between deployment and destruction may take together."""

STOPPED = "stopped by hand"

LIMITS = f"""\
This deploys the throw-away stack {{stack}} in {{region}}, in the AWS account you are signed in to.
It loads seven days and some files that must fail, checks the result and destroys the stack again.
  time   deploying and destroying take what AWS takes, about 15 minutes; what is between them at most {PROOF_MINUTES}
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
    proof.stack.refuse_taken_name()
    results: list[Result] = []
    can_go_on = True
    for step in steps:
        result = _run(step, proof) if can_go_on else Result(step.title, False, "not done: a step before it failed", 0)
        can_go_on = can_go_on and (result.is_good or not step.is_needed) and result.evidence != STOPPED
        results.append(result)
        on_result(result)
    for step in closing:
        results.append(_run(step, proof))
        on_result(results[-1])
    return results


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


def as_markdown(results: Sequence[Result], *, stack: str, region: str, at: datetime) -> str:
    """The dated table, n/n in its first line."""
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
    return "\n".join([*lines, ""])


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
