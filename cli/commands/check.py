"""`pipeline check`: how the pipeline would read files, before they are dropped."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.invocation import Invocation, command
from cli.refusals import FAILED, NEEDS_A_LOOK, Refused

if TYPE_CHECKING:
    from jobs.rows.lookup import Lookup
    from schemas.sources import SourceSettings


@command()
def check(
    invocation: Invocation,
    files: Annotated[list[Path], typer.Argument(metavar="FILE…", help="CSV files as they would be dropped.")],
    source: Annotated[
        str, typer.Option(metavar="NAME|FILE", help="The source settings: a name in sources/, or a YAML file.")
    ] = "default",
    day: Annotated[
        str | None,
        typer.Option(metavar="YYYY-MM-DD", help="The day of files whose name has none.", show_default=False),
    ] = None,
    products: Annotated[
        Path | None, typer.Option(help="A dim_products….csv to look product ids up in.", show_default=False)
    ] = None,
    customers: Annotated[
        Path | None, typer.Option(help="A dim_customers….csv to look customer ids up in.", show_default=False)
    ] = None,
    max_reject_ratio: Annotated[float, typer.Option(min=0, max=1, help="As in the stack's configuration.")] = 0.5,
) -> None:
    """Show which rows of a file would be accepted or rejected and why, or why the file would be refused.

    Needs neither AWS nor a warehouse. The exit status is 1 when a file would be refused, 3 when rows need a look.
    """
    from cli.check.file_check import Checker, Dimensions
    from cli.check.text import as_json, as_text
    from schemas.drops import CUSTOMERS, PRODUCTS

    missing = next((path for path in (*files, products, customers) if path is not None and not path.is_file()), None)
    if missing is not None:
        raise Refused(f"{missing} is not a file; check the name")
    settings = _settings(source)
    dimensions = Dimensions(_lookup(products, PRODUCTS, settings), _lookup(customers, CUSTOMERS, settings))
    checker = Checker(settings, dimensions, max_reject_ratio, day)
    checks = [checker.check(file) for file in files]
    invocation.show([as_json(file_check) for file_check in checks], "\n\n".join(map(as_text, checks)))
    if any(file_check.result.refusal for file_check in checks):
        invocation.end(FAILED)
    if any(file_check.result.needs_a_look for file_check in checks):
        invocation.end(NEEDS_A_LOOK)


def _settings(source: str) -> SourceSettings:
    from schemas.sources import InvalidSource
    from sources import read_source

    try:
        return read_source(source)
    except InvalidSource as wrong:
        raise Refused(str(wrong)) from None


def _lookup(path: Path | None, name: str, settings: SourceSettings) -> Lookup | None:
    from cli.check.file_check import read_lookup
    from jobs.errors import JobError

    try:
        return None if path is None else read_lookup(path, name, settings)
    except JobError as refused:
        raise Refused(str(refused)) from None
