"""A local cloud for each module of this folder that requests one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from local.local_cloud import LocalCloud
from tests.local.local_clouds import started


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloud]:
    """With the sample products and customers loaded."""
    with started(tmp_path_factory.mktemp("flow"), {"sampleDimensions": "true"}) as cloud:
        cloud.wait_until_idle()
        yield cloud


@pytest.fixture
def undisturbed(cloud: LocalCloud) -> Iterator[LocalCloud]:
    """The local cloud; changes by a test are undone after it."""
    cloud.router.warnings.clear()
    cloud.aws.iam.denials.clear()
    # On a busy machine the scheduled sweep could run in the middle of a test, so tests call `tick` themselves.
    cloud.router.delivery_policy = lambda delivery: () if delivery.kind == "schedule" else (0.0,)
    yield cloud
    cloud.router.delivery_policy = lambda _: (0.0,)
    cloud.aws.iam.before = None
    cloud.wait_until_idle()
