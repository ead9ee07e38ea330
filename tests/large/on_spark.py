"""A load on Spark is the load of one worker: with tasks that die, run twice, and with a driver that dies."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from jobs.arguments import parse_arguments
from jobs.process_transactions import process_transactions
from jobs.shards.runner import Serial, TaskRunner, Threads
from jobs.shards.spark import SparkTasks, spark_tasks
from schemas.drops import Drop
from schemas.reports import Report
from schemas.runs import PROCESS_TRANSACTIONS_LARGE
from schemas.work_bucket import report_key
from tests import oracle
from tests.loads.conftest import _sound_shop, mall, s3_url, sound_shop  # noqa: F401 - fixtures
from tests.loads.shop import Shop
from tests.oracle.files import read_cells

ROWS = 4000
SHARD_BYTES = 9000
LOCAL_SPARK = {
    # Of the workers, which this process's own import path does not reach.
    "PYTHONPATH": str(Path(__file__).parents[2]),
    "PYSPARK_PYTHON": sys.executable,
    # Two tasks at a time, and each is tried four times, as on a cluster.
    "PYSPARK_SUBMIT_ARGS": "--master local[2,4] pyspark-shell",
}
UPLOADED_AT = datetime(2023, 3, 16, 6, tzinfo=UTC)


@pytest.fixture(scope="module")
def spark() -> Iterator[SparkTasks]:
    with mock.patch.dict(os.environ, LOCAL_SPARK), spark_tasks() as runner:
        yield runner


def lines() -> list[str]:
    """Sales, one in ten of them twice or in conflict, one in ten rejected, one in a hundred malformed."""
    chance = random.Random(7)
    rows = []
    for number in range(ROWS):
        name = f"T{chance.randrange(number + 1) if chance.random() < 0.1 else number}"
        quantity = chance.choice(("1", "2", "0")) if chance.random() < 0.1 else "3"
        customer = "C-LATER" if chance.random() < 0.05 else "C12345"
        status = chance.choice(("pending", "completed", "shipped"))
        row = f"{name},{customer},P12345,{quantity},2023-03-{chance.choice((14, 15))},{status}"
        rows.append(row if chance.random() > 0.01 else row + ",more")
    return rows


def load(shop: Shop, drop: oracle.Drop, runner: TaskRunner | None, attempt: int = 1) -> Report:
    """One attempt at a drop in shards, or without a runner as a whole."""
    with mock.patch("jobs.shards.survey.SHARD_BYTES", SHARD_BYTES):
        process_transactions(parse_arguments(shop.arguments(drop, attempt)), runner)
    key = report_key(Drop(drop.bucket, drop.key, drop.version_id).load_id, attempt)
    return Report.from_json(shop.s3.get_object(Bucket=shop.work_bucket, Key=key)["Body"].read().decode())


def rejected_rows(shop: Shop, report: Report) -> list[tuple[str, ...]]:
    assert report.rejected_uri is not None
    bucket, _, prefix = report.rejected_uri.removeprefix("s3://").partition("/")
    keys = [each["Key"] for each in shop.s3.list_objects_v2(Bucket=bucket, Prefix=prefix)["Contents"]]
    parts = [read_cells(shop.s3.get_object(Bucket=bucket, Key=key)["Body"].read()) for key in keys]
    return [row for _, *rows in parts for row in rows]


def assert_same(shop: Shop, sharded: Callable[[oracle.Drop], Report]) -> None:
    """The same file as a whole and in shards leaves the same fact, ledger and rejected rows."""
    results: list[Any] = []
    for run in (lambda drop: load(shop, drop, None), sharded):
        shop.clean()
        drop = shop.drop(*lines(), uploaded_at=UPLOADED_AT)
        report = run(drop)
        assert report.error is None
        assert shop.left_staged() == []
        shop.assert_books_balance()
        own = {"load_id", "drop_precedence", "loaded_at", "updated_at"}
        fact = {key: {name: row[name] for name in set(row) - own} for key, row in shop.fact().items()}
        (entry,) = shop.ledger_entries()
        booked = {name: entry[name] for name in ("rows_read", "inserted", "duplicate", "rejected", "staged_amount")}
        results.append((fact, booked, report.reject_reasons, rejected_rows(shop, report)))
    assert results[0] == results[1]


@pytest.mark.parametrize("name", ["spark", "threads", "serial"])
def test_a_runner_changes_nothing_of_a_load(sound_shop: Shop, spark: SparkTasks, name: str) -> None:  # noqa: F811
    runner: TaskRunner = {"spark": spark, "threads": Threads(2), "serial": Serial()}[name]
    assert_same(sound_shop, lambda drop: load(sound_shop, drop, runner))


class Killing:
    """Kills the process of the first task of each kind when it has done its work, once."""

    def __init__(self, runner: TaskRunner, folder: Path) -> None:
        self._runner, self._folder = runner, folder

    def map(self, task: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
        victim = self._folder / str(len(list(self._folder.iterdir())))
        results = self._runner.map(partial(_die_once, task, victim), items)
        assert victim.exists()
        return results


def _die_once(task: Callable[[Any], Any], victim: Path, item: Any) -> Any:
    result = task(item)
    with suppress(FileExistsError):
        victim.touch(exist_ok=False)
        os.kill(os.getpid(), signal.SIGKILL)
    return result


def test_a_task_that_is_killed_leaves_nothing_that_counts(
    sound_shop: Shop,  # noqa: F811
    spark: SparkTasks,
    tmp_path: Path,
) -> None:
    assert_same(sound_shop, lambda drop: load(sound_shop, drop, Killing(spark, tmp_path)))
    assert len(list(tmp_path.iterdir())) == 6, "a task of each kind was killed"


class Twice:
    """The worst case of speculation: every task runs to its end twice."""

    def __init__(self, runner: TaskRunner) -> None:
        self._runner = runner

    def map(self, task: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
        both = self._runner.map(task, [item for item in items for _ in range(2)])
        return both[1::2]


def test_a_task_that_runs_twice_counts_once(sound_shop: Shop, spark: SparkTasks) -> None:  # noqa: F811
    assert_same(sound_shop, lambda drop: load(sound_shop, drop, Twice(spark)))


_DRIVER = """
import sys
from unittest import mock
from jobs.main import main
import jobs.shards.stage as stage
import os, signal

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

mock.patch.object(stage, "_counted", die).start()
mock.patch("jobs.shards.survey.SHARD_BYTES", int(sys.argv[1])).start()
main(sys.argv[2:])
"""


def test_an_attempt_after_a_killed_driver_is_as_the_first(sound_shop: Shop, spark: SparkTasks) -> None:  # noqa: F811
    def killed_then_run(drop: oracle.Drop) -> Report:
        words = sound_shop.arguments(drop)
        words[words.index("process_transactions")] = PROCESS_TRANSACTIONS_LARGE
        killed = subprocess.run(
            [sys.executable, "-c", _DRIVER, str(SHARD_BYTES), *words],
            cwd=LOCAL_SPARK["PYTHONPATH"],
            check=False,
            timeout=550,
        )
        assert killed.returncode == -signal.SIGKILL
        assert sound_shop.left_staged(), "it died with its parts staged"
        assert sound_shop.fact() == {}
        return load(replace(sound_shop), drop, spark, attempt=2)

    assert_same(sound_shop, killed_then_run)
