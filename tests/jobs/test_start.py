"""The imports of a run: they are most of the cost of a small day."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from jobs.main import BEFORE_POLARS

JOBS = ("process_transactions", "load_dimensions")
NEEDED = {
    "polars", "_polars_runtime_32",  # the transform
    "boto3", "botocore", "s3transfer", "jmespath", "dateutil", "six", "urllib3", "certifi",  # S3
    "redshift_connector", "asn1crypto", "scramp", "packaging",  # the warehouse
    "tenacity", "typing_extensions",
}  # fmt: skip
"""The packages that each part imports. The report's page is drawn last, and imports its packages then."""

FIND = """
import importlib, json, sys, sysconfig
before = set(sys.modules)
importlib.import_module("jobs." + sys.argv[1])
import polars
folders = {sysconfig.get_path(name) for name in ("purelib", "platlib")}
files = {name: getattr(module, "__file__", None) or "" for name, module in sys.modules.items() if name not in before}
packages = {name.partition(".")[0] for name, file in files.items() if any(file.startswith(at) for at in folders)}
print(json.dumps({"packages": sorted(packages), "threads": polars.thread_pool_size()}))
"""

MOST_TIMES_POLARS = 4.0
"""0.4 s where Polars takes 0.1 s. Measured: 3.2 to 3.6 times."""

TIME = """
import importlib, sys, time
begun = time.process_time()
import polars
polars_alone = time.process_time() - begun
importlib.import_module("jobs." + sys.argv[1])
print((time.process_time() - begun) / polars_alone)
"""


def start(job: str, **environment: str) -> dict[str, Any]:
    kept = {name: value for name, value in os.environ.items() if name not in BEFORE_POLARS}
    ran = subprocess.run(
        [sys.executable, "-c", FIND, job], capture_output=True, text=True, check=True, env={**kept, **environment}
    )
    started: dict[str, Any] = json.loads(ran.stdout)
    return started


@pytest.mark.parametrize("job", JOBS)
def test_a_job_imports_what_it_needs_and_nothing_else(job: str) -> None:
    assert set(start(job)["packages"]) - {"jobs", "schemas"} <= NEEDED


@pytest.mark.parametrize("job", JOBS)
def test_the_imports_of_a_job_cost_a_few_times_those_of_polars(job: str) -> None:
    """CPU time against CPU time, so a slow or busy machine changes nothing. The first run may compile bytecode."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    runs = [
        subprocess.run(
            [sys.executable, "-c", TIME, job], capture_output=True, text=True, check=True, env=environment
        ).stdout
        for _ in range(4)
    ]
    assert min(map(float, runs)) <= MOST_TIMES_POLARS


def test_polars_starts_as_many_threads_as_the_job_says() -> None:
    """Each thread has its own buffers, and a worker may show more cores than it provides."""
    assert BEFORE_POLARS["POLARS_MAX_THREADS"] == "2"
    for threads in (2, 3):
        assert start(JOBS[0], **{**BEFORE_POLARS, "POLARS_MAX_THREADS": str(threads)})["threads"] == threads
