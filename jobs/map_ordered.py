"""Work on one piece of a file while the next is read, with few pieces in memory at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Callable, TypeVar

# Two at a time: while one is parsed, the other is written and uploaded. One more waits, or a thread would rest while
# the caller uses a result.
_AT_ONCE = 2

_Piece = TypeVar("_Piece")
_Result = TypeVar("_Result")


def map_ordered(function: Callable[[_Piece], _Result], pieces: Iterable[_Piece]) -> Iterator[_Result]:
    """Map in threads, results in order, never more than a few pieces in memory."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        pending: deque[Future[_Result]] = deque()
        for piece in pieces:
            pending.append(pool.submit(function, piece))
            if len(pending) > _AT_ONCE:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
