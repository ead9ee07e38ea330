"""The wheel that `make wheel` has built, as Glue gets it: pip writes and compiles it before each run."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from cli.program.wheel import build_wheel
from components.packages import job_wheel
from jobs import __version__
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


def test_one_source_makes_a_wheel_for_each_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is downloaded here: what differs are the pins' binaries, which `make test-313` installs and runs."""
    asked: list[str] = []

    def install(work: Path, python: str) -> None:
        asked.append(python)
        (work / "botocore" / "data").mkdir(parents=True)

    monkeypatch.setattr("cli.program.wheel._install_dependencies", install)
    wheels = [build_wheel(tmp_path / "dist", tmp_path / "work", python) for python in ("3.9", "3.13", "3.9")]
    assert asked == ["3.9", "3.13", "3.9"]
    assert wheels[0] == wheels[2]
    wheel_names = sorted(path.name for path in (tmp_path / "dist").iterdir())
    assert wheel_names == [
        f"transactions_pipeline-{__version__}-cp313-cp313-manylinux2014_x86_64.whl",
        f"transactions_pipeline-{__version__}-cp39-cp39-manylinux2014_x86_64.whl",
    ]
    contents = []
    for path, tag in zip(wheels[:2], ("cp39", "cp313"), strict=True):
        with zipfile.ZipFile(path) as packed:
            assert f"Tag: {tag}-{tag}-" in packed.read(f"transactions_pipeline-{__version__}.dist-info/WHEEL").decode()
            contents.append({name: packed.read(name) for name in packed.namelist() if ".dist-info/" not in name})
    assert contents[0] == contents[1]
    assert "jobs/main.py" in contents[0]
    assert job_wheel(tmp_path / "dist") == wheels[0], "Glue gets the wheel for its own Python"
