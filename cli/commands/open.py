"""`pipeline open`: loads as pages in a browser."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.invocation import Invocation, command
from cli.refusals import Refused


@command(on_pipeline=True)
def open_(
    invocation: Invocation,
    load: Annotated[
        str | None,
        typer.Argument(metavar="LOAD", help="Its id, file name, day, or URI; without it, all.", show_default=False),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for the pages.")] = Path("build/pages"),
    limit: Annotated[int, typer.Option(min=1, help="Show at most this many of the latest loads.")] = 100,
    browser: Annotated[bool, typer.Option(help="Open the page in a browser, or only print its path.")] = True,
) -> None:
    """Open the page of a load, or an index of the latest loads."""
    import webbrowser

    from cli.loads.loads import Loads
    from cli.loads.names import LoadNames
    from cli.loads.pages import save_index, save_page

    pipeline = invocation.pipeline
    loads = Loads(pipeline)
    chosen = loads.recent(limit=limit) if load is None else [LoadNames(loads).resolve(load)]
    reports = [known_load.report for known_load in chosen if known_load.report is not None]
    if not reports:
        raise Refused(f"{load or 'no load'} has a report yet in {pipeline.name}; see `pipeline status`")
    # Pages of two pipelines must not mix.
    folder = out / (pipeline.stack or pipeline.output("drop_bucket"))
    pages = [save_page(pipeline, report, folder) for report in reports]
    page = save_index(reports, folder) if load is None else pages[0]
    invocation.show({"page": str(page)}, str(page))
    if browser:
        webbrowser.open(page.resolve().as_uri())
