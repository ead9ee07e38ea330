"""One deployment for all tests: all statements are recorded, and nothing happens unless a test calls it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from unittest import mock

import pytest

from redshift_emulator import session
from tests.local.local_clouds import started
from tests.privileges.probes import PROBES
from tests.privileges.stack import Calm, Stack, nothing_moves


@pytest.fixture(scope="package")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    statements: list[str] = []
    understand = session.understand

    def note(sql: str, *, binds: int = 0) -> object:
        statements.append(sql)
        return understand(sql, binds=binds)

    with ExitStack() as patches:
        patches.enter_context(mock.patch.object(session, "understand", note))
        with nothing_moves():
            cloud = patches.enter_context(started(tmp_path_factory.mktemp("privileges")))
        yield Stack(cloud, statements)


@pytest.fixture(scope="package")
def undisturbed(stack: Stack) -> Calm:
    """The rights that each probe uses when it has all of them."""
    needed = {}
    for probe in PROBES:
        stack.needed.clear()
        probe.run(stack)
        needed[probe] = tuple(stack.needed)
    return Calm(stack, needed)
