"""`pipeline backfill`: many days of files, dropped in batches and told by one mail."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.invocation import Invocation, command
from cli.refusals import FAILED, NEEDS_A_LOOK, Refused

if TYPE_CHECKING:
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
            help="How names say the day, as in till_%d%m%Y.csv; else YYYY-MM-DD is looked for.",
            show_default=False,
        ),
    ] = None,
    first: Annotated[
        str | None, typer.Option("--from", metavar="YYYY-MM-DD", help="Only days from this one.", show_default=False)
    ] = None,
    last: Annotated[
        str | None, typer.Option("--to", metavar="YYYY-MM-DD", help="Only days up to this one.", show_default=False)
    ] = None,
    batch: Annotated[int, typer.Option(min=1, help="So many files are on their way at once.")] = 20,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be dropped, and drop nothing.")] = False,
    minutes: Annotated[int, typer.Option(min=1, help="How long to wait for each batch at most.")] = 120,
) -> None:
    """Drop many days, batch after batch, and get one mail about all of them.

    Products and customers come first. Stopped and run again it goes on where it was: a file whose content was
    dropped before is not dropped twice. The exit status is 1 when a file failed, 3 when rows were rejected.
    """
    from tempfile import TemporaryDirectory

    from cli.backfill.batches import BackfillRun
    from cli.backfill.sources import Selection, files_in_bucket, files_in_folder, is_uri
    from cli.drops.uploads import refuse_unversioned
    from cli.loads.as_json import load_json

    pipeline = invocation.pipeline
    refuse_unversioned(pipeline)
    with TemporaryDirectory() as scratch:
        selection = Selection(name, _day(first), _day(last))
        if is_uri(source):
            files = files_in_bucket(pipeline.client("s3"), source, selection, Path(scratch))
        else:
            files = files_in_folder(Path(source), selection)
        run = BackfillRun(pipeline, files, say=invocation.say, timeout_seconds=minutes * 60)
        left = [file.key for file in run.left]
        loads = [] if dry_run else run.run(batch)
    result = {
        "backfill": run.name,
        "dry_run": dry_run,
        "files": len(files),
        "dropped": left,
        "loads": [load_json(load) for load in loads],
    }
    invocation.show(result, _planned(left, len(files)) if dry_run else _done(loads))
    if any(load.is_failed for load in loads):
        invocation.end(FAILED)
    if any(load.status.rejected for load in loads):
        invocation.end(NEEDS_A_LOOK)


def _planned(keys: list[str], files: int) -> str:
    lines = [f"would drop {key}" for key in keys]
    return "\n".join([*lines, f"{len(keys):,} of {files:,} files would be dropped; nothing was sent."])


def _done(loads: list[Load]) -> str:
    failed = [load for load in loads if load.is_failed]
    lines = [f"NOT loaded: {_line(load)}" for load in failed]
    loaded = len(loads) - len(failed)
    return "\n".join([*lines, f"{loaded:,} of {len(loads):,} files are loaded; one mail is about all of them."])


def _day(text: str | None) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        raise Refused(f"{text!r} is not a day of the calendar; write it as YYYY-MM-DD") from None


def _line(load: Load) -> str:
    return f"{load.load_id}  {load.status.file_name}  {load.status.summary}"
