"""The script that Glue runs: puts our wheel first on the path, then runs jobs.main from it.

Glue starts this script in a process that has already imported a boto3 of 2022. That boto3 knows neither Redshift
Serverless nor conditional writes. Where pip leaves the wheel of `--extra-py-files` is not
documented; users have found it in `/glue/lib/installation`, behind the bundled packages on `sys.path`.
So the folder is recognised by its content, and every package in it is imported from there.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterable, Sequence

INSTALLATION = "/glue/lib/installation"
"""Users have seen pip install wheels here; it is searched even if Glue leaves it off the path."""
OUR_FILES = (os.path.join("jobs", "main.py"), os.path.join("schemas", "drops.py"))
"""No other package has these."""


def find_wheel_folder(path: Iterable[str]) -> str:
    """The first folder of an import path that holds our package; raises ImportError if none does."""
    folders = list(path)
    for folder in folders:
        if all(os.path.isfile(os.path.join(folder, file)) for file in OUR_FILES):
            return folder or os.curdir
    raise ImportError(
        f"the job's wheel is in none of the folders {', '.join(folders)}; "
        "check that --extra-py-files names it and that its installation did not fail (see the error log)"
    )


def import_first_from(folder: str) -> None:
    """Import a folder's packages from there from now on, even if another version is already imported."""
    # Python puts a script's own folder first. This script's folder has jobs/csv, which is not Python's csv.
    own = os.path.dirname(os.path.realpath(__file__))
    sys.path[:] = [folder, *(entry for entry in sys.path if entry != folder and os.path.realpath(entry) != own)]
    provided = {entry.split(".")[0] for entry in os.listdir(folder)}
    for name in [name for name in sys.modules if name.split(".")[0] in provided and name != "__main__"]:
        if not _comes_from(folder, name):
            del sys.modules[name]
    importlib.invalidate_caches()


def _comes_from(folder: str, module: str) -> bool:
    file = getattr(sys.modules[module], "__file__", None)
    return file is not None and os.path.realpath(file).startswith(os.path.join(os.path.realpath(folder), ""))


def run_from_wheel(argv: Sequence[str]) -> None:
    """Run jobs.main from the wheel's folder."""
    import_first_from(find_wheel_folder([*sys.path, INSTALLATION]))
    import boto3

    print(f"boto3 {boto3.__version__} from {boto3.__file__}", flush=True)
    from jobs.main import main

    main(argv)


if __name__ == "__main__":
    run_from_wheel(sys.argv[1:])
