"""`pipeline costs`: the price of a stack, idle and per load."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.invocation import Invocation, command
from schemas.counted import counted


@command()
def costs(
    invocation: Invocation,
    rows: Annotated[int, typer.Option(min=1, help="Rows of a daily file.")] = 1_000_000,
    config: Annotated[str, typer.Option(metavar="NAME", help="The stack of Pulumi.NAME.yaml.")] = "dev",
) -> None:
    """Show what a stack costs, idle and per load.

    The command runs the stack's program to count its resources; it creates nothing and sends nothing to AWS.
    The month does not include analysts' queries, which cost money while they keep the warehouse awake.
    """
    from cli.pipelines.local import ROOT
    from cli.program.costs import DAYS_PER_MONTH, Prices, beside_loads, idle_month, load, usage_of
    from cli.program.declared_resources import declared_resources

    resources, region = declared_resources(ROOT, config)
    prices, usage = Prices(), usage_of(resources)
    idle, daily, beside = idle_month(prices, usage), load(prices, usage, rows), beside_loads(prices, usage, rows)
    month = sum(idle.values()) + sum(daily.values()) * DAYS_PER_MONTH
    lines = [f"US dollars, prices of {prices.region}, {prices.as_of}"]
    if region != prices.region:
        lines.append(f"The stack {config} runs in {region}, where prices differ somewhat: look them up.")
    lines += ["", *(f"{f'a month idle: {name}':<58}{dollars:>12,.2f}" for name, dollars in idle.items())]
    of_rows = f"a load of {counted(rows, 'row')}"
    lines += [f"{f'{of_rows}: {name}':<58}{dollars:>12,.4f}" for name, dollars in daily.items()]
    lines += [f"{name:<58}{dollars:>12,.2f}" for name, dollars in beside.items()]
    lines.append(f"{'a month of such days, idle cost included':<58}{month:>12,.2f}")
    result = {
        "stack": config,
        "region": region,
        "prices": {"region": prices.region, "as_of": prices.as_of},
        "rows": rows,
        "idle_month": idle,
        "load": daily,
        "beside_loads": beside,
        "month": month,
    }
    invocation.show(result, "\n".join(lines))
