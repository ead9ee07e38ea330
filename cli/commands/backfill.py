"""`pipeline backfill`: many days of files, dropped in batches and reported in one mail."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Annotated

import typer

from cli.invocation import Invocation, command
from cli.refusals import FAILED, NEEDS_A_LOOK, Refused
from schemas.counted import agreeing, counted

if TYPE_CHECKING:
    from cli.backfill.batches import BackfillRun
    from cli.loads.loads import Load


@command(on_pipeline=True)
def backfill(
    invocation: Invocation,
    source: Annotated[
        str, typer.Argument(metavar="FOLDER|S3-URI", help="A folder, which may be flat, or s3://BUCKET/PREFIX.")
    ],
    name: Annotated[
        str | None,
        typer.Option(
            metavar="PATTERN",
            help="Pattern of the day in file names, such as till_%d%m%Y.csv; default: YYYY-MM-DD anywhere in the name.",
            show_default=False,
        ),
    ] = None,
    first: Annotated[
        str | None, typer.Option("--from", metavar="YYYY-MM-DD", help="Only days from this one.", show_default=False)
    ] = None,
    last: Annotated[
        str | None, typer.Option("--to", metavar="YYYY-MM-DD", help="Only days up to this one.", show_default=False)
    ] = None,
    batch: Annotated[int, typer.Option(min=1, help="Number of files that are loaded at a time.")] = 20,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List what would be dropped, and drop nothing.")] = False,
    minutes: Annotated[int, typer.Option(min=1, help="The longest time to wait for each batch.")] = 120,
) -> None:
    """Drop many days, batch after batch, and get one mail about all of them.

    Products and customers come first. Run a stopped backfill again to continue it: a file whose content was
    dropped before is not dropped twice. The exit status is 1 when a file failed, 3 when rows were rejected.
    """
    from cli.backfill.batches import BackfillRun
    from cli.backfill.sources import Selection, files_of
    from cli.drops.uploads import refuse_unversioned

    pipeline = invocation.pipeline
    refuse_unversioned(pipeline)
    with files_of(source, Selection(name, _day(first), _day(last)), pipeline.client("s3")) as files:
        run = BackfillRun(pipeline, files, say=invocation.say, timeout_seconds=minutes * 60)
        left = [file.key for file in run.left]
        with invocation.when_interrupted("Dropped files are still loaded. Run the same command again to continue."):
            loads = [] if dry_run else run.run(batch)
    text = _planned(left, len(files)) if dry_run else _done(loads)
    invocation.show(_json(run, left, loads, dry_run=dry_run), text)
    if any(load.is_failed for load in loads):
        invocation.end(FAILED)
    if any(load.status.rejected for load in loads):
        invocation.end(NEEDS_A_LOOK)


def _json(run: BackfillRun, dropped: list[str], loads: list[Load], *, dry_run: bool) -> dict[str, object]:
    from cli.loads.as_json import load_json

    return {
        "backfill": run.name,
        "dry_run": dry_run,
        "files": len(run.files),
        "dropped": dropped,
        "loads": [load_json(load) for load in loads],
    }


def _planned(keys: list[str], files: int) -> str:
    lines = [f"would drop {key}" for key in keys]
    return "\n".join([*lines, f"{len(keys):,} of {counted(files, 'file')} would be dropped; nothing was sent."])


def _done(loads: list[Load]) -> str:
    failed = [load for load in loads if load.is_failed]
    lines = [f"NOT loaded: {_line(load)}" for load in failed]
    loaded = len(loads) - len(failed)
    are = agreeing(len(loads), "is", "are")
    lines.append(f"{loaded:,} of {counted(len(loads), 'file')} {are} loaded; one mail is about all of them.")
    return "\n".join(lines)


def _day(text: str | None) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        raise Refused(f"{text!r} is not a day of the calendar; write it as YYYY-MM-DD") from None


def _line(load: Load) -> str:
    return f"{load.load_id}  {load.status.file_name}  {load.status.summary}"
