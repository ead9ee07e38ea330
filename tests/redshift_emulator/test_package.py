"""The emulator as a package of its own: it installs from its folder, and its README's example runs."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.flow

FOLDER = Path(__file__).parents[2] / "redshift_emulator"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the emulator's wheel is unpacked in."""
    place = tmp_path_factory.mktemp("package")
    # A build leaves files behind, so it is not done in the repository.
    source = shutil.copytree(
        FOLDER, place / "source", ignore=shutil.ignore_patterns("__pycache__", "build", "*.egg-info")
    )
    built = subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index", "-w", "dist", source],
        cwd=place,
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    (wheel,) = (place / "dist").glob("redshift_emulator-*.whl")
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(place / "site")
    return place / "site"


def test_the_wheel_holds_every_module(installed: Path) -> None:
    modules = {path.name for path in FOLDER.glob("*.py")}
    assert {path.name for path in (installed / "redshift_emulator").iterdir()} == modules


def third_party_modules(source: str) -> set[str]:
    """The top-level modules that a text imports and Python does not bring."""
    nodes = list(ast.walk(ast.parse(source)))
    imported = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    imported |= {str(node.module) for node in nodes if isinstance(node, ast.ImportFrom)}
    return {name.split(".")[0] for name in imported} - sys.stdlib_module_names - {"redshift_emulator"}


def test_what_is_imported_is_installed_with_it_or_named_beside_it() -> None:
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")
    example = re.search(r"```python\n(.*?)```", readme, re.DOTALL)
    typed = re.search(r"pip install \./redshift_emulator(.*)", readme)
    assert example is not None
    assert typed is not None
    project = tomllib.loads((FOLDER / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needed = {
        module for path in FOLDER.glob("*.py") for module in third_party_modules(path.read_text(encoding="utf-8"))
    }
    installed_with_it = {name.replace("-", "_") for name in project["dependencies"]}
    # botocore comes with boto3.
    assert needed - installed_with_it == {"botocore"}
    named = {name.replace("-", "_") for name in typed[1].split()}
    assert third_party_modules(example[1]) - installed_with_it - named == set()


def test_the_example_of_the_readme_prints_what_it_says(installed: Path, tmp_path: Path) -> None:
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")
    example = re.search(r"```python\n(.*?)```", readme, re.DOTALL)
    assert example is not None
    promised = re.findall(r"`([^`]+)`", readme[readme.index("It prints") :].split(".\n")[0])
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", example[1]],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.stdout.splitlines(), ran.returncode) == (promised, 0), ran.stderr
