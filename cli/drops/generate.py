"""A generated shop, written to a folder or uploaded to a drop bucket: dimensions first, then the days."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from cli.drops.uploads import refuse_unversioned, upload, wait_until_settled
from cli.pipelines.pipeline import Pipeline
from cli.refusals import Failed, Refused
from mock_data import MockData, MockDataArgs
from mock_data.profile import Profile
from schemas.counted import counted
from schemas.drops import DIMENSIONS_PREFIX, TRANSACTIONS, Drop, parse_key


@dataclass(frozen=True)
class Generated:
    """The size and the place of a generated shop."""

    place: str
    rows: int
    """The rows of all transactions files together."""
    files: int
    """The number of files, the two dimension files included."""
    bytes: int
    seconds: float
    expected: str | None = None
    """The folder with the expected outcomes."""
    profile: Profile | None = None
    """The histories and faults in the data, where --profile asks for them."""

    def as_json(self) -> dict[str, Any]:
        return {
            "place": self.place,
            "rows": self.rows,
            "files": self.files,
            "bytes": self.bytes,
            "seconds": round(self.seconds, 1),
            "expected": self.expected,
            "profile": asdict(self.profile) if self.profile else None,
        }

    def __str__(self) -> str:
        text = (
            f"{counted(self.rows, 'row')} in {counted(self.files - 2, 'transactions file')} and 2 dimension files "
            f"({self.bytes / 1e6:,.1f} MB) in {self.place}, in {self.seconds:.1f} s "
            f"({self.rows / self.seconds:,.0f} rows/s)"
        )
        expected = f"\nexpected outcomes in {self.expected}" if self.expected else ""
        return text + expected + (_profile_text(self.profile) if self.profile else "")


def _profile_text(profile: Profile) -> str:
    lines = []
    for title, shares in (("How orders develop", profile.orders), ("Faulty rows", profile.faults)):
        lines += [f"\n{title}", *(f"  {share.name:<42}{share.count:>12,}{share.share:>9.2%}" for share in shares)]
    return "\n" + "\n".join(lines)


def parse_arguments(start: str, **arguments: Any) -> MockDataArgs:
    """The generator's arguments; raises Refused."""
    try:
        first_day = date.fromisoformat(start)
    except ValueError:
        raise Refused(f"start is {start!r}; give a day of the calendar as YYYY-MM-DD") from None
    try:
        return MockDataArgs(start=first_day, **arguments)
    except ValueError as error:
        raise Refused(str(error)) from error


def write_shop(args: MockDataArgs, folder: Path, *, expected: bool) -> Generated:
    """Write the shop into a new or empty folder; raises Refused."""
    if folder.exists() and not folder.is_dir():
        raise Refused(f"--out {folder} is a file; name a folder")
    if folder.is_dir() and any(folder.iterdir()):
        raise Refused(f"--out {folder} is not empty; name a new folder, because files of two runs must not mix")
    began = time.perf_counter()
    with _progress_bar(args) as on_rows:
        keys = list(MockData(args).write(folder, expected=expected, on_rows=on_rows))
    size = sum((folder / key).stat().st_size for key in keys)
    return Generated(
        str(folder),
        args.days * args.rows,
        len(keys),
        size,
        time.perf_counter() - began,
        str(folder / "expected") if expected else None,
    )


def upload_shop(
    args: MockDataArgs, pipeline: Pipeline, *, say: Callable[[str], None], timeout_seconds: float
) -> Generated:
    """Upload the shop; each file is on disk only until it is uploaded.

    The days are uploaded once the dimensions are loaded. Raises Failed when a dimension fails or takes too long.
    """
    refuse_unversioned(pipeline)
    began = time.perf_counter()
    size = 0
    dimensions: list[Drop] = []
    drops: list[Drop] = []
    with TemporaryDirectory() as folder, _progress_bar(args) as on_rows:
        for key in MockData(args).write(Path(folder), expected=False, on_rows=on_rows):
            path = Path(folder) / key
            is_dimension = parse_key(key).kind != TRANSACTIONS
            if not is_dimension and dimensions:
                say("The dimensions are uploaded; waiting until they are loaded.")
                _wait_for_dimensions(pipeline, dimensions, timeout_seconds=timeout_seconds)
                dimensions.clear()
            drops.append(upload(pipeline, path, key))
            if is_dimension:
                dimensions.append(drops[-1])
            size += path.stat().st_size
            path.unlink()
    place = f"s3://{pipeline.output('drop_bucket')}"
    return Generated(place, args.days * args.rows, len(drops), size, time.perf_counter() - began)


def _wait_for_dimensions(pipeline: Pipeline, dimensions: list[Drop], *, timeout_seconds: float) -> None:
    if "work_bucket" not in pipeline.outputs:
        _wait_until_gone(pipeline, dimensions, timeout_seconds=timeout_seconds)
        return
    loads = wait_until_settled(pipeline, dimensions, timeout_seconds=timeout_seconds)
    for load in loads:
        if load.is_failed:
            raise Failed(f"the dimension {load.drop.key} was not loaded, so no day was uploaded: {load.status.summary}")


def _wait_until_gone(pipeline: Pipeline, dimensions: list[Drop], *, timeout_seconds: float) -> None:
    """Wait until the dimensions have left the drop bucket; only a loaded drop leaves it."""
    until = time.monotonic() + timeout_seconds
    s3, bucket = pipeline.client("s3"), pipeline.output("drop_bucket")
    while True:
        versions = s3.list_object_versions(Bucket=bucket, Prefix=DIMENSIONS_PREFIX).get("Versions", [])
        present = {(version["Key"], version["VersionId"]) for version in versions}
        waiting = [drop for drop in dimensions if (drop.key, drop.version_id) in present]
        if not waiting:
            return
        if time.monotonic() > until:
            raise Failed(
                f"{waiting[0].uri} is still not loaded after {timeout_seconds / 60:g} minutes, so no day was "
                "uploaded; read its mail, or use --stack NAME to see the reason here"
            )
        time.sleep(pipeline.look_seconds)


@contextmanager
def _progress_bar(args: MockDataArgs) -> Iterator[Callable[[int], None]]:
    """A progress bar on a terminal's standard error; yields a function to call with the number of new rows."""
    console = Console(stderr=True)
    progress = Progress(
        TextColumn("generating"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("rows"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    with progress:
        task = progress.add_task("rows", total=args.days * args.rows)
        yield lambda rows: progress.advance(task, rows)
