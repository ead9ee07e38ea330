"""`pipeline generate`: mock data into a folder, or straight into the drop bucket."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, NoReturn

import boto3
import typer
from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from mock_data import MockData, MockDataArgs
from mock_data.profile import profile

BAD_ARGUMENTS = 2
NOT_WRITTEN = 1


def generate(
    out: Annotated[
        Path | None, typer.Option(help="Folder to write to; it is made, or must be empty.", show_default=False)
    ] = None,
    bucket: Annotated[
        str | None,
        typer.Option(
            help="S3 bucket to upload to instead (no expected outcomes). Dimensions come first, then day by day.",
            show_default=False,
        ),
    ] = None,
    start: Annotated[str, typer.Option(metavar="YYYY-MM-DD", help="The first day.")] = MockDataArgs.start.isoformat(),
    days: Annotated[int, typer.Option(help="Number of days; each gets one file.")] = MockDataArgs.days,
    rows: Annotated[
        int, typer.Option(help="Rows of an average day. All files together have exactly days x rows.")
    ] = MockDataArgs.rows,
    products: Annotated[int, typer.Option(help="Rows of dim_products, at least 2.")] = MockDataArgs.products,
    customers: Annotated[int, typer.Option(help="Rows of dim_customers.")] = MockDataArgs.customers,
    seed: Annotated[int, typer.Option(help="The same seed gives the same bytes.")] = MockDataArgs.seed,
    faults: Annotated[
        float,
        typer.Option(help="Share of rows to be rejected, 0 to 1; about as many are valid but oddly written."),
    ] = MockDataArgs.faults,
    expected: Annotated[
        bool,
        typer.Option(help="Write what a right job makes of every row beside the data, in expected/ (with --out)."),
    ] = True,
    show_profile: Annotated[
        bool, typer.Option("--profile", help="Show how orders develop and which faults there are, each with its share.")
    ] = False,
) -> None:
    """Generate a shop: products, customers, and a file of transactions a day.

    Orders live over several days, so later files update what earlier ones told; some rows come twice,
    late or with a fault. `expected/` says of each row what becomes of it (`outcomes/`), how
    fact_transactions ends (`fact_transactions.parquet`), and the totals (`summary.json`).
    """
    if (out is None) == (bucket is None):
        _refuse("give either --out FOLDER to write files or --bucket NAME to upload them, one of the two")
    try:
        args = MockDataArgs(
            start=_day(start),
            days=days,
            rows=rows,
            products=products,
            customers=customers,
            seed=seed,
            faults=faults,
        )
    except ValueError as wrong:
        _refuse(str(wrong))
    began = time.perf_counter()
    if out is not None:
        _refuse_used_folder(out)
        files, size = _write(args, out, expected=expected)
    else:
        assert bucket is not None
        files, size = _upload(args, bucket)
    seconds = time.perf_counter() - began
    total = args.days * args.rows
    print(
        f"{total:,} rows in {files - 2} transactions files and 2 dimension files ({size / 1e6:,.1f} MB) "
        f"{'written to ' + str(out) if out is not None else 'uploaded to s3://' + str(bucket)} "
        f"in {seconds:.1f} s ({total / seconds:,.0f} rows/s)"
    )
    if out is not None and expected:
        print(f"expected outcomes in {out / 'expected'}")
    if show_profile:
        _show_profile(args)


def _show_profile(args: MockDataArgs) -> None:
    found = profile(args)
    for title, shares in (("How orders develop", found.orders), ("Faulty rows", found.faults)):
        print(f"\n{title}")
        for share in shares:
            print(f"  {share.name:<42}{share.count:>12,}{share.share:>9.2%}")


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ValueError(f"start is {text!r}; give a day of the calendar as YYYY-MM-DD") from None


def _write(args: MockDataArgs, folder: Path, *, expected: bool) -> tuple[int, int]:
    """How many files, and their bytes."""
    try:
        with _rows_shown(args) as on_rows:
            keys = list(MockData(args).write(folder, expected=expected, on_rows=on_rows))
        return len(keys), sum((folder / key).stat().st_size for key in keys)
    except OSError as error:
        _fail(f"cannot write to {folder}: {error.strerror}; what is there is not complete")


def _upload(args: MockDataArgs, bucket: str) -> tuple[int, int]:
    """As _write; each file is kept on disk just until it is uploaded."""
    files = size = 0
    try:
        s3 = boto3.client("s3")
        with TemporaryDirectory() as folder, _rows_shown(args) as on_rows:
            for key in MockData(args).write(Path(folder), expected=False, on_rows=on_rows):
                path = Path(folder) / key
                size += path.stat().st_size
                with path.open("rb") as file:
                    s3.upload_fileobj(file, bucket, key)
                path.unlink()
                files += 1
    except (BotoCoreError, ClientError) as error:
        _fail(f"cannot upload to s3://{bucket} after {files} files: {error}")
    return files, size


def _refuse_used_folder(out: Path) -> None:
    if out.exists() and not out.is_dir():
        _refuse(f"--out {out} is a file; name a folder")
    if out.is_dir() and any(out.iterdir()):
        _refuse(f"--out {out} is not empty; name a new folder, for files of two runs must not mix")


@contextmanager
def _rows_shown(args: MockDataArgs) -> Iterator[Callable[[int], None]]:
    """A progress bar on a terminal's standard error; gives what is to be told of new rows."""
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


def _refuse(sentence: str) -> NoReturn:
    typer.echo(f"pipeline generate: {sentence}", err=True)
    raise typer.Exit(BAD_ARGUMENTS)


def _fail(sentence: str) -> NoReturn:
    typer.echo(f"pipeline generate: {sentence}", err=True)
    raise typer.Exit(NOT_WRITTEN)
