"""What Glue runs: finds our wheel, then the job named by `--job`.

Glue installs the wheel of `--extra-py-files` into a folder of its own, behind the
boto3 1.21 and redshift-connector 2.0 it brings along, which are too old to sign in to
Redshift Serverless. So that folder goes first on the path, before anything is imported.
"""

from __future__ import annotations

import os
import sys

ALLOCATOR = "_RJEM_MALLOC_CONF"
"""What Polars' jemalloc is told as it is loaded."""
ONE_HEAP = "narenas:1"
"""By default threads have heaps of their own, and what is freed in one of them is of no use to the others."""


def _put_our_wheel_first() -> None:
    ours = [path for path in sys.path if "glue-python-libs" in path]
    sys.path[:] = ours + [path for path in sys.path if path not in ours]
    for name in [name for name in sys.modules if name.split(".")[0] in ("boto3", "botocore", "s3transfer", "urllib3")]:
        del sys.modules[name]


def main() -> None:
    _put_our_wheel_first()
    os.environ.setdefault(ALLOCATOR, ONE_HEAP)
    # Glue's stdout is block buffered: a killed job would leave no trace of how far it came.
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    from jobs.arguments import parse_arguments

    arguments = parse_arguments(sys.argv[1:])
    if arguments.job == "process_transactions":
        from jobs.process_transactions import process_transactions

        process_transactions(arguments)
    else:
        from jobs.load_dimensions import load_dimensions

        load_dimensions(arguments)


if __name__ == "__main__":
    main()
