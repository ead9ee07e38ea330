"""Work that blocks, done in a thread and never left behind."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

_T = TypeVar("_T")


async def in_thread(work: Callable[..., _T], *arguments: object) -> _T:
    """Runs `work` in a thread; when cancelled it waits for the thread, so that what it uses may be closed after."""
    running = asyncio.ensure_future(asyncio.to_thread(work, *arguments))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.gather(running, return_exceptions=True)
        raise
