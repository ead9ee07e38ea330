"""The entry point of a run, on any runner: `python -m jobs.main --pipeline-…`, arguments as schemas.runs encodes them.

Glue reaches it through jobs/glue_entry.py; a container can start it as it is.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

from jobs.errors import JobError

if TYPE_CHECKING:
    from jobs.arguments import Arguments

BEFORE_POLARS = {
    # By default each thread has its own heap, and memory freed in one heap is of no use to the others. Freed memory
    # goes back to the system after one second, not ten.
    "_RJEM_MALLOC_CONF": "narenas:1,dirty_decay_ms:1000,muzzy_decay_ms:0",
    # Polars starts a thread with buffers for every core it sees, and a container sees all of its host's.
    # Memory was measured with two.
    "POLARS_MAX_THREADS": "2",
}
"""Polars reads these while it is imported. Values that the environment already sets are kept."""


def main(argv: Sequence[str]) -> None:
    """Run the job that the arguments name; raises JobError where a person or another attempt is needed."""
    # Output to a pipe is block buffered: a killed job would leave no log of its last steps.
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    for name, value in BEFORE_POLARS.items():
        os.environ.setdefault(name, value)
    # docs/when-python-shell-ends.md says what follows from it; in the log of every load it says nothing.
    warnings.filterwarnings("ignore", message="Boto3 will no longer support Python")
    from jobs.arguments import parse_arguments

    arguments = parse_arguments(argv)
    # Without a Region boto3 would look for S3 in us-east-1, which the private network cannot reach.
    os.environ.setdefault("AWS_DEFAULT_REGION", arguments.warehouse.region)
    try:
        _run(arguments)
    except JobError as error:
        # The sentence is all that a person needs; a traceback in the log would hide it.
        sys.tracebacklimit = 0
        raise error from None


def _run(arguments: Arguments) -> None:
    from schemas.runs import PROCESS_TRANSACTIONS, PROCESS_TRANSACTIONS_LARGE

    if arguments.job == PROCESS_TRANSACTIONS:
        from jobs.process_transactions import process_transactions

        process_transactions(arguments)
    elif arguments.job == PROCESS_TRANSACTIONS_LARGE:
        from jobs.process_transactions import process_transactions
        from jobs.shards.spark import spark_tasks

        with spark_tasks() as runner:
            process_transactions(arguments, runner)
    else:
        from jobs.load_dimensions import load_dimensions

        load_dimensions(arguments)


if __name__ == "__main__":
    main(sys.argv[1:])
