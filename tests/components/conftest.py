"""The program as two stacks deploy it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.components.program import LARGE_WHEEL, WHEEL, Deployed, deploy


@pytest.fixture(scope="session")
def wheel_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a wheel for each Python; the program reads no more of them than their names."""
    directory = tmp_path_factory.mktemp("dist")
    for wheel in (WHEEL, LARGE_WHEEL):
        (directory / wheel).write_bytes(b"")
    return directory


@pytest.fixture(scope="session")
def dev(wheel_directory: Path) -> Deployed:
    return deploy("dev", wheel_directory)


@pytest.fixture(scope="session")
def prod(wheel_directory: Path) -> Deployed:
    return deploy("prod", wheel_directory)


@pytest.fixture(params=["dev", "prod"])
def deployed(request: pytest.FixtureRequest) -> Deployed:
    """Either stack: for what must hold in both."""
    program: Deployed = request.getfixturevalue(request.param)
    return program
