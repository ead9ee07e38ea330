"""`pipeline rejected`: the rejected rows of one load."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.invocation import Invocation, command
from cli.loads.argument import LoadName
from schemas.counted import counted


@command(on_pipeline=True)
def rejected(
    invocation: Invocation,
    load: LoadName,
    reason: Annotated[str | None, typer.Option(help="Only rows with this reject reason.", show_default=False)] = None,
    limit: Annotated[int, typer.Option(min=1, help="Show at most this many rows.")] = 20,
    out: Annotated[
        Path | None,
        typer.Option(help="Save the whole file here; correct it and drop it again.", show_default=False),
    ] = None,
) -> None:
    """Show the rejected rows of a load, with their reasons."""
    from cli.loads.loads import Loads
    from cli.loads.names import LoadNames
    from cli.loads.rejected_rows import read_rejected_rows, save_rejected_rows

    pipeline = invocation.pipeline
    chosen = LoadNames(Loads(pipeline)).resolve(load)
    if out is not None:
        save_rejected_rows(pipeline, chosen, out)
        invocation.say(f"saved in {out}; correct the values there and drop it again")
    rows = read_rejected_rows(pipeline, chosen, reason=reason, limit=limit)
    shown = rows.rows
    lines = [f"{total:>10,}  {name}" for name, total in rows.reasons.items()]
    lines += [""] if shown else []
    lines += [f"line {row.line}  {', '.join(row.reasons)}\n    {row.text}" for row in shown]
    if rows.total > limit:
        lines.append(
            f"… and {counted(rows.total - limit, 'more row')}; --limit shows more, --out FILE saves all of them"
        )
    result = {
        "load_id": chosen.load_id,
        "reasons": rows.reasons,
        "rows": [{"line": row.line, "reasons": row.reasons, "values": row.values} for row in shown],
    }
    invocation.show(result, "\n".join(lines) or f"No row of {chosen.status.file_name} was rejected.")
