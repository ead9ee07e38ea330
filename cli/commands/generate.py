"""`pipeline generate`: writes mock data into a folder, or uploads it to a drop bucket."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from cli.invocation import Invocation, command
from cli.refusals import Refused

Out = Annotated[Path | None, typer.Option(help="Folder to write to: a new or an empty one.", show_default=False)]
Upload = Annotated[
    bool,
    typer.Option("--upload", help="Upload to the pipeline's drop bucket instead: dimensions first, then day by day."),
]
Bucket = Annotated[
    str | None,
    typer.Option(help="Upload to this drop bucket on AWS, with your own AWS sign-in.", show_default=False),
]
Start = Annotated[str, typer.Option(metavar="YYYY-MM-DD", help="The first day.")]
Days = Annotated[int, typer.Option(help="Number of days; each gets one file.")]
Rows = Annotated[int, typer.Option(help="Rows of an average day. All files together have exactly days x rows.")]
Products = Annotated[int, typer.Option(help="Rows of dim_products.")]
Customers = Annotated[int, typer.Option(help="Rows of dim_customers.")]
Seed = Annotated[int, typer.Option(help="The same seed gives the same bytes.")]
Faults = Annotated[
    float, typer.Option(help="Share of rows to be rejected, 0 to 1; about as many are valid but oddly written.")
]


@command(on_pipeline=True)
def generate(
    invocation: Invocation,
    out: Out = None,
    upload: Upload = False,
    bucket: Bucket = None,
    minutes: Annotated[int, typer.Option(min=1, help="The longest time to wait for the dimensions.")] = 30,
    start: Start = "2023-03-15",
    days: Days = 30,
    rows: Rows = 10_000,
    products: Products = 500,
    customers: Customers = 5_000,
    seed: Seed = 7,
    faults: Faults = 0.02,
    expected: Annotated[
        bool,
        typer.Option(help="Write the outcome of every row beside the data, in expected/ (with --out)."),
    ] = True,
    show_profile: Annotated[
        bool, typer.Option("--profile", help="Show how orders develop and which faults there are, each with its share.")
    ] = False,
) -> None:
    """Generate a shop and its daily files of transactions.

    Orders develop over several days, so later files update earlier rows. Some rows come twice, late or
    with a fault. An upload waits until the dimensions are loaded before it uploads the first day.
    """
    if sum((out is not None, upload, bucket is not None)) != 1:
        raise Refused(
            "say where the files go: --out FOLDER, --upload (to the local pipeline or --stack NAME), or --bucket NAME"
        )
    from cli.drops.generate import parse_arguments, upload_shop, write_shop

    args = parse_arguments(
        start, days=days, rows=rows, products=products, customers=customers, seed=seed, faults=faults
    )
    if out is not None:
        generated = write_shop(args, out, expected=expected)
    else:
        from cli.pipelines.pipeline import bucket_alone

        pipeline = invocation.pipeline if bucket is None else bucket_alone(bucket)
        generated = upload_shop(args, pipeline, say=invocation.say, timeout_seconds=minutes * 60)
    if show_profile:
        from mock_data.profile import profile

        generated = replace(generated, profile=profile(args))
    invocation.show(generated.as_json(), str(generated))
