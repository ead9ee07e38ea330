"""Runners of tasks: one after the other, in threads, or on the workers of a Spark cluster."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Callable, Protocol, TypeVar

from jobs.errors import JobError

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


class TaskRunner(Protocol):
    """Something that runs tasks; a task may be run more than once, and one result of it counts."""

    def map(self, task: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
        """The results in the order of the items."""


class Serial:
    """One task after the other, in this thread."""

    def map(self, task: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
        """The results in the order of the items."""
        return [task(item) for item in items]


class Threads:
    """Some tasks at a time, in this process."""

    def __init__(self, at_once: int) -> None:
        self._at_once = at_once

    def map(self, task: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
        """The results in the order of the items."""
        with ThreadPoolExecutor(self._at_once) as pool:
            return list(pool.map(task, items))


def run_tasks(runner: TaskRunner, task: Callable[[_Item], _Result], items: Sequence[_Item]) -> list[_Result]:
    """The results in the order of the items; raises the JobError of the first item that has one.

    A JobError is a result: the same task would raise it again, and a cluster would try it four times.
    """
    results: list[Any] = runner.map(partial(_result_of, task), items) if items else []
    for result in results:
        if isinstance(result, JobError):
            raise result
    return results


def _result_of(task: Callable[[_Item], _Result], item: _Item) -> _Result | JobError:
    try:
        return task(item)
    except JobError as refused:
        return refused
