"""Tasks on the workers of a Spark cluster. Spark places them, retries them and runs slow ones twice; no more.

No row goes through Spark: a task reads its bytes from S3 and leaves what it writes there. The session names no
master, so the same code runs on Glue and, where the environment says so, on the cores of one machine.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any, Callable

from jobs.errors import TransientError
from jobs.main import BEFORE_POLARS

WORKER_ENVIRONMENT = {
    **BEFORE_POLARS,
    # A worker runs as many tasks at a time as it has cores.
    "POLARS_MAX_THREADS": "1",
}
"""Polars reads these while it is imported."""


class SparkTasks:
    """Starts its cluster with the first tasks: a load without any needs none."""

    def map(self, task: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
        """The results in the order of the items; raises TransientError where a task failed at every try."""
        from py4j.protocol import Py4JError

        try:
            results: list[Any] = self._context.parallelize(items, len(items)).map(task).collect()
        except Py4JError as reason:
            raise TransientError(f"Spark gave up a task of the load: {_first_line(reason)}") from reason
        return results

    def stop(self) -> None:
        """End the session, if one was begun."""
        if "_context" in self.__dict__:
            self._context.stop()

    @cached_property
    def _context(self) -> Any:
        from pyspark import SparkConf, SparkContext

        conf = SparkConf().setAppName("transactions-pipeline").set("spark.speculation", "true")
        conf.set("spark.ui.enabled", "false")
        # A bar of progress is drawn in one endless line, between the job's own lines.
        conf.set("spark.ui.showConsoleProgress", "false")
        for name, value in WORKER_ENVIRONMENT.items():
            conf.setExecutorEnv(name, value)
        context = SparkContext.getOrCreate(conf)
        context.setLogLevel("ERROR")
        return context


@contextmanager
def spark_tasks() -> Iterator[SparkTasks]:
    """A runner whose session ends with the load."""
    runner = SparkTasks()
    try:
        yield runner
    finally:
        runner.stop()


def _first_line(reason: Exception) -> str:
    """The cause in a Java stack trace."""
    lines = [line.strip() for line in str(reason).splitlines() if line.strip()]
    return next((line for line in reversed(lines) if line.startswith("Caused by: ")), lines[0])[:300]
