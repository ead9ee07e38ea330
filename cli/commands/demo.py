"""`pipeline demo`: the whole pipeline on this machine, driven by events alone."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.invocation import Invocation, command
from cli.refusals import FAILED, INTERRUPTED

_Data = Annotated[
    Path | None,
    typer.Option(
        help="Folder with dimensions/dim_products.csv, dimensions/dim_customers.csv and "
        "transactions/year=…/month=…/day=…/….csv; without it a week is generated.",
        show_default=False,
    ),
]
_Large = Annotated[
    bool,
    typer.Option(
        "--large",
        help="Load files from 256 MiB on with the job for large files, on Spark on this machine. "
        "Needs Java 17 and PySpark; `make demo-large` installs PySpark and generates such a file.",
    ),
]


@command()
def demo(
    invocation: Invocation,
    data: _Data = None,
    out: Annotated[
        Path, typer.Option(help="Folder for the results: new, empty, or written by an earlier demo.")
    ] = Path("build/demo"),
    shuffle: Annotated[
        int | None,
        typer.Option(metavar="SEED", help="Drop in a random order, and some of the files twice.", show_default=False),
    ] = None,
    chaos: Annotated[
        int | None,
        typer.Option(
            metavar="SEED",
            help="Inject faults: lose, double and delay events, kill jobs and functions, cut connections.",
            show_default=False,
        ),
    ] = None,
    large: _Large = False,
    rows: Annotated[int, typer.Option(help="Rows of an average generated day.")] = 10_000,
    days: Annotated[int, typer.Option(help="Days to generate.")] = 7,
    seed: Annotated[int, typer.Option(help="Seed of the generated data.")] = 7,
) -> None:
    """Run the whole pipeline on this machine, from a file to a mail.

    The command deploys the dev stack into a local AWS and drops the files into its bucket. Events do the
    rest: queue, Lambda, Glue, warehouse, mail, archive. The exit status is not 0 when anything failed.
    """
    from cli.demo.demo import Disturbance, demo_from
    from mock_data import MockDataArgs

    generator = MockDataArgs(rows=rows, days=days, seed=seed) if data is None else None
    try:
        results = demo_from(
            data,
            generator,
            out,
            disturbance=Disturbance(shuffle=shuffle, chaos=chaos),
            is_large=large,
            console=invocation.console(),
        )
    except KeyboardInterrupt:
        invocation.say(f"Stopped. The local pipeline is gone; its logs are in {out}.")
        invocation.end(INTERRUPTED)
    if invocation.as_json:
        invocation.show({**results.summary, "complaints": results.complaints}, "")
    if results.complaints:
        invocation.end(FAILED)
