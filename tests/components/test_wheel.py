"""The wheel that `make wheel` has built, as Glue gets it: pip writes and compiles it before each run."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from components.packages import job_wheel
from tests.components.program import ROOT


@pytest.fixture(scope="module")
def wheel() -> Path:
    return job_wheel(ROOT / "dist")


def test_the_wheel_brings_everything_and_asks_pip_for_nothing(wheel: Path) -> None:
    """A private subnet has no index: pip would look for one for minutes and then fail."""
    with zipfile.ZipFile(wheel) as packed:
        (metadata,) = (name for name in packed.namelist() if name.endswith(".dist-info/METADATA"))
        assert "Requires-Dist" not in packed.read(metadata).decode()
        folders = {name.split("/")[0] for name in packed.namelist()}
    assert {"jobs", "schemas", "polars", "boto3", "botocore", "redshift_connector"} <= folders


def test_the_wheel_is_small_enough_to_be_installed_before_each_run(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as packed:
        names = packed.namelist()
        unpacked = sum(entry.file_size for entry in packed.infolist())
    # Six hundred of them are the time zones of tzdata: a source's time zone is checked inside Glue, too.
    assert len(names) <= 1_750
    assert sum(name.endswith(".py") for name in names) <= 850
    assert wheel.stat().st_size <= 60e6
    assert unpacked <= 180e6
