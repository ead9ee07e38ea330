from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize("function", ["start_run", "notify", "archive", "sweep"])
def test_functions_import_without_job_packages_or_environment(function: str) -> None:
    """Their layer has Powertools and boto3. Polars and the driver are for Glue only."""
    script = (
        "import sys\n"
        "for absent in ('polars', 'redshift_connector', 'jobs', 'moto'): sys.modules[absent] = None\n"
        f"from lambdas.{function}.handler import handle\n"
        "assert callable(handle)\n"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", script], env={}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
