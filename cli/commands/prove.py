"""`pipeline prove`: deploys, uses, checks and destroys a throw-away stack on your AWS account."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from cli.confirmation import require_yes
from cli.invocation import Invocation, command
from cli.refusals import FAILED, Refused


@command()
def prove(
    invocation: Invocation,
    stack: Annotated[
        str, typer.Option(metavar="NAME", help="Name of the stack to deploy and destroy; it must not exist yet.")
    ] = "proof",
    region: Annotated[
        str | None, typer.Option(metavar="REGION", help="An AWS Region.", show_default="that of your AWS settings")
    ] = None,
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Folder for the table of results.")] = Path(),
    minutes: Annotated[
        float, typer.Option(metavar="N", min=10, help="Limit for everything, the destruction included.")
    ] = 20,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Prove on your own AWS account that the pipeline works there.

    Deploys a stack of its own and loads a week, a hostile file, a killed run and a late customer.
    Compares table, mails and archive with the expected ones, then destroys the stack.
    Prints time and cost first, and asks before it starts.
    """
    import boto3

    from cli.prove.proof import as_markdown, endings_like_control_c, limits
    from cli.prove.proof import prove as run_proof
    from cli.prove.steps import Proof
    from cli.prove.throwaway_stack import PulumiStack

    region = region or boto3.session.Session().region_name
    if region is None:
        raise Refused("no AWS Region is set; name one with --region, or set AWS_REGION")
    stack_on_aws = PulumiStack(stack, region)
    out.mkdir(parents=True, exist_ok=True)
    # With --quiet, too: a person must read it before answering yes.
    typer.echo(limits(stack, region, minutes), err=True)
    if not yes:
        require_yes("Start?")
    at = datetime.now(UTC)
    with TemporaryDirectory() as folder, endings_like_control_c():
        proof = Proof(stack_on_aws, Path(folder), minutes=minutes, began=at)
        results = run_proof(proof, on_result=lambda result: invocation.say(str(result)))
    table = as_markdown(results, stack=stack, region=region, at=at, by_hand=stack_on_aws.by_hand)
    path = out / f"proof-{at:%Y-%m-%dT%H%M}Z.md"
    path.write_text(table, encoding="utf-8")
    good = sum(step.is_good for step in results)
    summary = {"good": good, "of": len(results), "table": str(path), "steps": [vars(step) for step in results]}
    invocation.show(summary, f"{table}\n{good}/{len(results)} good; the table is in {path}")
    if good < len(results):
        invocation.end(FAILED)
