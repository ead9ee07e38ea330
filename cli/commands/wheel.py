"""`pipeline wheel`: the job's package, as Glue installs it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.invocation import Invocation, command

ROOT = Path(__file__).parents[2]


@command()
def wheel(
    invocation: Invocation,
    out: Annotated[Path, typer.Option(help="The folder the wheel is written to.", show_default="dist")] = ROOT / "dist",
) -> None:
    """Build the job's wheel for CPython 3.9 on manylinux2014.

    It has our code and all it needs in one file. A private subnet has no package index, so nothing
    may be left to install there: the wheel declares no dependencies because it contains them.
    """
    from cli.wheel import build_wheel

    path = build_wheel(out, ROOT / "build" / "wheel")
    size = path.stat().st_size
    invocation.show({"path": str(path), "bytes": size}, f"{path} ({size / 1e6:.1f} MB)")
