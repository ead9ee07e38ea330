"""A shop for each module of this folder that requests one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cli.terminals import Terminal, terminal
from tests.local.local_clouds import started


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terminal]:
    """With the sample products and customers loaded."""
    folder = tmp_path_factory.mktemp("shop")
    with started(folder, {"sampleDimensions": "true"}) as cloud:
        cloud.wait_until_idle()
        with terminal(cloud, folder / "running.json") as opened:
            yield opened
