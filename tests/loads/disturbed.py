"""Lets a test act between the statements of a load, and records the warehouse before that."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from schemas.warehouse import sql
from schemas.warehouse.upsert import UpsertTarget
from tests.loads.shop import Shop


@contextmanager
def before(statement: str, act: Callable[[int], str | None]) -> Iterator[list[int]]:
    """Each time the job renders this statement, `act` gets the number of the call; it may return another statement."""
    home: Any = UpsertTarget if hasattr(UpsertTarget, statement) else sql
    render, calls = getattr(home, statement), []

    def rendered(*arguments: Any, **named: Any) -> str:
        calls.append(len(calls) + 1)
        return act(len(calls)) or str(render(*arguments, **named))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(home, statement, rendered)
        yield calls


def snapshot(shop: Shop) -> tuple[object, ...]:
    return shop.fact(), shop.ledger(), shop.history(), shop.amounts(), shop.waiting(), shop.left_staged()
