"""A local cloud for each module of this folder that asks for one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from local.local_cloud import LocalCloud
from tests.local.local_clouds import started


@pytest.fixture(scope="module")
def laptop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloud]:
    """With the sample products and customers loaded."""
    with started(tmp_path_factory.mktemp("flow"), {"sampleDimensions": "true"}) as laptop:
        laptop.wait_until_idle()
        yield laptop


@pytest.fixture
def undisturbed(laptop: LocalCloud) -> Iterator[LocalCloud]:
    """The laptop, with whatever a test does to it undone."""
    laptop.router.warnings.clear()
    laptop.aws.iam.denials.clear()
    # On a loaded machine the sweep's own time would come in the middle of a test; tests call `tick`.
    laptop.router.delivery_policy = lambda delivery: () if delivery.kind == "schedule" else (0.0,)
    yield laptop
    laptop.router.delivery_policy = lambda _: (0.0,)
    laptop.aws.iam.before = None
    laptop.wait_until_idle()
