"""The content of `pip wheel .`: every package of the repository, and what each needs; and what make needs."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TOOLS_OF_THE_REPOSITORY = ("tests", "benchmarks")


@pytest.fixture(scope="module")
def distribution(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    folder = tmp_path_factory.mktemp("distribution")
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in tracked.splitlines():
        source, target = ROOT / name, folder / "source" / name
        if source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(source.read_bytes())
    command = [sys.executable, "-m", "uv", "build", "--wheel", "--quiet", "--no-build-isolation", "--offline"]
    subprocess.run([*command, "--out-dir", str(folder), str(folder / "source")], check=True)
    (wheel,) = folder.glob("*.whl")
    return zipfile.ZipFile(wheel)


def test_every_module_and_data_file_is_distributed(distribution: zipfile.ZipFile) -> None:
    packages = [init.parent for init in ROOT.glob("*/__init__.py") if init.parent.name not in TOOLS_OF_THE_REPOSITORY]
    wanted = {path.relative_to(ROOT).as_posix() for package in packages for path in package.rglob("*.py")}
    wanted |= {path.relative_to(ROOT).as_posix() for path in (ROOT / "schemas").rglob("*.sql")}
    wanted |= {path.relative_to(ROOT).as_posix() for path in (ROOT / "schemas").rglob("*.csv")}
    wanted |= {path.relative_to(ROOT).as_posix() for path in (ROOT / "sources").rglob("*.yaml")}
    assert wanted - set(distribution.namelist()) == set()


def test_the_distribution_declares_its_dependencies(distribution: zipfile.ZipFile) -> None:
    (metadata,) = [name for name in distribution.namelist() if name.endswith(".dist-info/METADATA")]
    declared = Parser().parsestr(distribution.read(metadata).decode()).get_all("Requires-Dist") or []
    names = {text.partition("=")[0].partition("[")[0].strip() for text in declared}
    assert {"polars", "boto3", "redshift-connector", "pulumi", "pulumi-aws", "faker", "moto"} <= names


@pytest.mark.parametrize(
    ("python", "sentence"),
    [
        ("", "Python 3.11 or newer is needed and none is on the PATH"),
        ("old-python", "Python 3.11 or newer is needed, but old-python is 3.9"),
    ],
)
def test_make_without_the_right_python_says_which_it_needs(tmp_path: Path, python: str, sentence: str) -> None:
    (tmp_path / "requirements").mkdir()
    for name in ("requirements/uv.txt", "requirements/dev.txt", "pyproject.toml"):
        (tmp_path / name).touch()
    old_python = tmp_path / "old-python"
    # The interpreter that runs this test, with the version of an older one.
    old_python.write_text(
        f"#!/bin/sh\nexec {sys.executable} -c \"import sys; sys.version_info, sys.version = (3, 9), '3.9 old'; $2\"\n"
    )
    old_python.chmod(0o755)
    ended = subprocess.run(
        ["make", "-f", str(ROOT / "Makefile"), f"PYTHON={python}", ".venv/ready"],
        cwd=tmp_path,
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode != 0
    assert sentence in ended.stderr
    assert not (tmp_path / ".venv").exists()
