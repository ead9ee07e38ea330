"""`pipeline wheel`: builds the job's package for Glue."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.invocation import Invocation, command
from cli.refusals import Refused

ROOT = Path(__file__).parents[2]


@command()
def wheel(
    invocation: Invocation,
    out: Annotated[Path, typer.Option(help="Folder for the wheel.", show_default="dist")] = ROOT / "dist",
    python: Annotated[str, typer.Option(help="3.9, or 3.13 for a successor of Glue Python Shell.")] = "3.9",
) -> None:
    """Build the job's wheel for CPython 3.9, which Glue runs, on manylinux2014.

    The wheel contains our code and all its dependencies, and declares none: a private subnet has no
    package index from which Glue could install them.
    """
    from cli.program.wheel import PYTHONS, build_wheel

    if python not in PYTHONS:
        raise Refused(f"--python is {python}, but the job's wheel is built for {' and '.join(PYTHONS)}; choose one")
    path = build_wheel(out, ROOT / "build" / "wheel", python)
    size = path.stat().st_size
    invocation.show({"path": str(path), "bytes": size}, f"{path} ({size / 1e6:.1f} MB)")
