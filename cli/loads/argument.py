"""The argument LOAD of the commands that work on one load."""

from __future__ import annotations

from typing import Annotated

import typer

LoadName = Annotated[
    str, typer.Argument(metavar="LOAD", help="A load's id, file name, day (YYYY-MM-DD), or s3:// URI.")
]
