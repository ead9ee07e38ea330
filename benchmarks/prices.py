"""What a run costs on Glue: a model, made of CPU seconds measured here and the prices of `pipeline costs`.

A worker with half a vCPU takes two seconds for each CPU second; the CPU is taken to be
as fast as this machine's, and what a run does besides (start-up, S3, the warehouse) is
left out.
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


# What a Python Shell job can have, and nothing in between.
WORKERS = (Worker(0.0625, 0.5, 2**30), Worker(1.0, 4.0, 16 * 2**30))


def worker_for(peak_bytes: int) -> Worker | None:
    """The smallest worker whose memory suffices; None if none does."""
    return next((worker for worker in WORKERS if peak_bytes < worker.memory_bytes), None)


def dollars(*, cpu_seconds: float, seconds: float, worker: Worker) -> float:
    """Of one run; a worker with more vCPUs than put to use here is taken to be no faster than this machine."""
    billed = max(math.ceil(max(cpu_seconds / worker.vcpus, seconds)), BILLED_SECONDS_AT_LEAST)
    return billed * worker.dpu * PRICES.glue_dpu_hour / 3600
