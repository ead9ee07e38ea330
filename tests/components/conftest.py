"""The program as two stacks deploy it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.components.program import WHEEL, Deployed, deploy


@pytest.fixture(scope="session")
def wheel_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with what `make wheel` leaves there; the program reads no more of it than its name."""
    directory = tmp_path_factory.mktemp("dist")
    (directory / WHEEL).write_bytes(b"")
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
