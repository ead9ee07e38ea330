"""`pipeline replay`: starts one more attempt at loads."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.invocation import Invocation, command
from cli.refusals import FAILED, Refused
from schemas.counted import agreeing, counted


@command(on_pipeline=True)
def replay(
    invocation: Invocation,
    load: Annotated[
        str | None,
        typer.Argument(
            metavar="LOAD|DAY..DAY",
            help="A load's id, file name, day (YYYY-MM-DD), or s3:// URI; or a range of days.",
            show_default=False,
        ),
    ] = None,
    failed: Annotated[bool, typer.Option("--failed", help="Every load whose last attempt failed.")] = False,
    version_id: Annotated[
        str | None,
        typer.Option(metavar="ID", help="Only this version of the file, as a mail names it.", show_default=False),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List what would start, and start nothing.")] = False,
) -> None:
    """Load files again, from the drop bucket or the archive.

    Safe at any time: a row that is loaded twice stays one row. A load that runs or waits is left alone.
    """
    if (load is None) == (not failed):
        raise Refused("name what to replay: a load, a day, a range of days, or --failed; one of these")
    from cli.loads.loads import Loads
    from cli.loads.names import LoadNames
    from cli.loads.replays import plan_replay, send_replay

    loads = Loads(invocation.pipeline)
    chosen = loads.recent(failed=True) if load is None else LoadNames(loads).find(load)
    if version_id is not None:
        chosen = [known_load for known_load in chosen if known_load.drop.version_id == version_id]
        if not chosen:
            raise Refused(f"{load} has no version {version_id}; leave --version-id out to replay every version")
    plans = [plan_replay(loads, known_load) for known_load in chosen]
    for plan in plans:
        if plan.starts and not dry_run:
            send_replay(loads, plan)
    lines = [
        f"{plan.load.load_id}  {plan.load.status.file_name}  {'' if plan.starts else 'not replayed: '}{plan.reason}"
        for plan in plans
    ]
    starting = sum(plan.starts for plan in plans)
    lines.append(_summary(starting, len(plans), dry_run=dry_run))
    invocation.show({"dry_run": dry_run, "loads": [plan.as_json() for plan in plans]}, "\n".join(lines))
    if plans and not starting:
        invocation.end(FAILED)


def _summary(starting: int, chosen: int, *, dry_run: bool) -> str:
    if not chosen:
        return "No load has failed."
    if dry_run:
        return f"{starting} of {counted(chosen, 'load')} would be replayed; nothing was sent."
    mails = "; a mail will follow for each" if starting else ""
    return f"{starting} of {counted(chosen, 'load')} {agreeing(starting, 'is', 'are')} replayed{mails}."
