"""Finds the interpreter for the jobs: CPython 3.9 if the machine has one, else the running interpreter.

`python -m local.runtime.glue_python 3.13` finds another version, for the successor of Glue Python Shell.
"""

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
def find_python(version: str) -> Path | None:
    """The path of a working CPython of this version, or None; JOB_PYTHON_PATH is tried first."""
    for candidate in _candidates(version):
        command = [
            str(candidate),
            "-c",
            "import platform; print(platform.python_version(), platform.python_implementation())",
        ]
        try:
            version_words = subprocess.run(
                command, capture_output=True, text=True, timeout=300, check=False
            ).stdout.split()
        except OSError:
            continue
        if version_words and version_words[0].startswith(f"{version}.") and version_words[-1] == "CPython":
            return candidate
    return None


def find_glue_python() -> Path | None:
    """The path of a CPython of Glue's version, or None."""
    return find_python(GLUE_PYTHON)


def glue_python() -> Path:
    """The interpreter to run the job with on this machine."""
    return find_glue_python() or Path(sys.executable)


def _candidates(version: str) -> Iterator[Path]:
    if named := os.environ.get("JOB_PYTHON_PATH"):
        yield Path(named)
    # pyenv is searched before uv: `uv python find` may return a pyenv shim, which fails for a version not selected.
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    yield from sorted(pyenv.glob(f"versions/{version}.*/bin/python{version}"))
    if on_path := shutil.which(f"python{version}"):
        yield Path(on_path)
    process = subprocess.run(
        [sys.executable, "-m", "uv", "python", "find", version], capture_output=True, text=True, check=False
    )
    if process.returncode == 0:
        yield Path(process.stdout.strip())


if __name__ == "__main__":
    [wanted] = sys.argv[1:] or [GLUE_PYTHON]
    path = find_python(wanted)
    if path is None:
        sys.exit(f"no CPython {wanted} found: install one, or name it in JOB_PYTHON_PATH")
    print(path)
