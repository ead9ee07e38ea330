from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lambdas.cloud import Cloud, running_cloud


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    """A fresh stack, its functions' environment, and runs that end only when a test says so."""
    with running_cloud() as made:
        yield made
