"""Whether anything is on its way on the laptop: the one count that all who move something keep."""

from __future__ import annotations

import threading


class InFlightCounter:
    """How many things are under way."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._under_way = 0

    def begin(self) -> None:
        with self._lock:
            self._under_way += 1

    def end(self) -> None:
        with self._lock:
            self._under_way -= 1

    @property
    def is_idle(self) -> bool:
        with self._lock:
            return self._under_way == 0
