"""What is set before anything is imported."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import jobs.glue_entry

ENTRY = Path(jobs.glue_entry.__file__)


def test_polars_is_loaded_with_one_heap_for_all_threads() -> None:
    """Told by its allocator itself, for the name of the variable is Polars' own affair."""
    program = f"""
import os, runpy
try:
    runpy.run_path({str(ENTRY)!r}, run_name="__main__")
finally:  # no job was named
    os.environ[{jobs.glue_entry.ALLOCATOR!r}] += ",confirm_conf:true"
    import polars
"""
    environment = {**os.environ, "PYTHONPATH": str(ENTRY.parents[1])}
    environment.pop(jobs.glue_entry.ALLOCATOR, None)
    run = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)
    assert "Set conf value: narenas:1" in run.stderr
