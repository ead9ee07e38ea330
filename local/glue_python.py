"""Finds the interpreter for the jobs: CPython 3.9 if the machine has one, else the running one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

GLUE_PYTHON = "3.9"


@cache
def find_glue_python() -> Path | None:
    """The path of a CPython 3.9 that runs, or None; GLUE_PYTHON_PATH names one outright."""
    for candidate in _candidates():
        asked = [
            str(candidate),
            "-c",
            "import platform; print(platform.python_version(), platform.python_implementation())",
        ]
        try:
            answer = subprocess.run(asked, capture_output=True, text=True, timeout=20, check=False).stdout.split()
        except OSError:
            continue
        if answer and answer[0].startswith(f"{GLUE_PYTHON}.") and answer[-1] == "CPython":
            return candidate
    return None


def glue_python() -> Path:
    """The interpreter to run the job with on this machine."""
    return find_glue_python() or Path(sys.executable)


def _candidates() -> Iterator[Path]:
    if named := os.environ.get("GLUE_PYTHON_PATH"):
        yield Path(named)
    # pyenv's shims stand in the way of `uv python find`: one for a version that is not selected only complains.
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    yield from sorted(pyenv.glob(f"versions/{GLUE_PYTHON}.*/bin/python{GLUE_PYTHON}"))
    if on_path := shutil.which(f"python{GLUE_PYTHON}"):
        yield Path(on_path)
    found = subprocess.run(
        [sys.executable, "-m", "uv", "python", "find", GLUE_PYTHON], capture_output=True, text=True, check=False
    )
    if found.returncode == 0:
        yield Path(found.stdout.strip())


if __name__ == "__main__":
    path = find_glue_python()
    if path is None:
        sys.exit(f"no CPython {GLUE_PYTHON} found: install one, or name it in GLUE_PYTHON_PATH")
    print(path)
