"""A counter of deliveries, runs and invocations in flight."""

from __future__ import annotations

import threading


class InFlightCounter:
    """A counter that all threads of a local cloud share."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._count = 0

    def begin(self) -> None:
        with self._lock:
            self._count += 1

    def end(self) -> None:
        with self._lock:
            self._count -= 1

    @property
    def is_idle(self) -> bool:
        with self._lock:
            return self._count == 0
