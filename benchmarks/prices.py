"""A model of the cost of a run on Glue, from CPU seconds measured here and the prices of `pipeline costs`.

A worker with half a vCPU takes two seconds for each CPU second. The model assumes a CPU as
fast as this machine's, and leaves out start-up, S3 and the warehouse.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from cli.program.costs import Prices

PRICES = Prices()
BILLED_SECONDS_AT_LEAST = 60


@dataclass(frozen=True)
class Worker:
    dpu: float
    vcpus: float
    memory_bytes: int


# The only two sizes of a Python Shell job.
WORKERS = (Worker(0.0625, 0.5, 2**30), Worker(1.0, 4.0, 16 * 2**30))


def worker_for(peak_bytes: int) -> Worker | None:
    """The smallest worker with enough memory; None if there is none."""
    return next((worker for worker in WORKERS if peak_bytes < worker.memory_bytes), None)


def dollars(*, cpu_seconds: float, seconds: float, worker: Worker) -> float:
    """The price of one run; it takes at least the seconds on this machine, even on a worker with more vCPUs."""
    billed = max(math.ceil(max(cpu_seconds / worker.vcpus, seconds)), BILLED_SECONDS_AT_LEAST)
    return billed * worker.dpu * PRICES.glue_dpu_hour / 3600
