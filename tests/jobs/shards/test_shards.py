"""A file in shards gives the same result as the whole file, wherever it is cut."""

from __future__ import annotations

from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import jobs.shards.stage
from jobs.errors import TransientError
from jobs.shards.runner import Serial, TaskRunner, Threads
from schemas.work_bucket import rejected_folder
from tests import oracle
from tests.jobs.dry_run import dry_run, small_pieces
from tests.jobs.sharding import check_shards
from tests.strategies.files import RenderedFile, hostile_files, transaction_files
from tests.strategies.hostile_content import BROKEN_FILES, HEADER, SOUND_DAY, SOUND_LINE, HostileFile
from tests.strategies.rows import dim_customers, dim_products, hostile_transactions, partition_days, transactions

runners = st.sampled_from((Serial(), Threads(3)))
counts = st.integers(2, 12)


@settings(max_examples=settings.default.max_examples // 2)  # each file is read whole and in shards
@given(
    rendered=transaction_files(rows=st.one_of(transactions(), hostile_transactions()), max_rows=12, gz=None),
    products=dim_products(),
    customers=dim_customers(),
    day=partition_days,
    shards=counts,
    runner=runners,
)
def test_shards_change_nothing_of_a_sound_file(
    rendered: RenderedFile,
    products: oracle.Products,
    customers: oracle.Customers,
    day: object,
    shards: int,
    runner: TaskRunner,
) -> None:
    dressed = {"products": products, "customers": customers, "partition_day": day, "gz": rendered.gz}
    check_shards(rendered.content, shards, runner, **dressed)


@given(hostile=hostile_files(), shards=counts, runner=runners)
def test_shards_change_nothing_of_broken_bytes(hostile: HostileFile, shards: int, runner: TaskRunner) -> None:
    check_shards(hostile.content, shards, runner, gz=hostile.gz)


@pytest.mark.parametrize("hostile", BROKEN_FILES, ids=lambda hostile: hostile.name)
def test_shards_change_nothing_of_a_named_broken_file(hostile: HostileFile) -> None:
    check_shards(hostile.content, 7, Serial(), gz=hostile.gz)


def _sales(*numbers: int, status: str = "completed", quantity: int = 1, customer: str = "C12345") -> str:
    return "".join(f"T{number},{customer},P12345,{quantity},2023-03-15,{status}\n" for number in numbers)


CONTESTED = {
    "an id in the first and the last row": _sales(1, *range(10, 40), 1),
    "a later status in an earlier shard": _sales(1, status="shipped") + _sales(*range(10, 40), 1),
    "a conflict": _sales(1) + _sales(*range(10, 40)) + _sales(1, quantity=2),
    "a conflict with a row that waits": _sales(1) + _sales(*range(10, 40)) + _sales(1, customer="C-LATER"),
    "every id twice, rows that wait among them": _sales(*range(30)) + _sales(*range(30), customer="C-LATER"),
    "one id in all rows": _sales(*[1] * 40),
}


@pytest.mark.parametrize("name", CONTESTED)
def test_rows_of_one_id_meet_across_shards(name: str) -> None:
    run = check_shards(f"{HEADER}\n{CONTESTED[name]}".encode(), 6, Threads(2))
    assert run.duplicate or run.report.reject_reasons


def test_a_large_file_without_quotes_is_read_by_no_one_worker() -> None:
    content = f"{HEADER}\n{_sales(*range(200))}".encode()
    with mock.patch.object(jobs.shards.stage, "walk", side_effect=AssertionError):
        run = check_shards(content, 9, Serial())
    assert len(run.staged) == 200


class Twice:
    """Runs every task twice, as a cluster with speculative execution does, and keeps the later result."""

    def map(self, task, items):  # type: ignore[no-untyped-def]
        for item in items:
            task(item)
        return [task(item) for item in items]


def test_a_task_that_runs_twice_is_loaded_once() -> None:
    for content in CONTESTED.values():
        check_shards(f"{HEADER}\n{content}".encode(), 5, Twice())


def test_tasks_whose_runner_is_lost_load_nothing() -> None:
    lost = mock.Mock()
    lost.map.side_effect = TransientError("the cluster is gone")
    with small_pieces(range_bytes=7, shard_bytes=100):
        run = dry_run(f"{HEADER}\n{_sales(*range(40))}".encode(), runner=lost)
    assert (run.staged, run.left_staged) == ([], [])
    assert run.report.error is not None
    assert run.report.error.is_transient


def test_rejected_rows_of_shards_are_parts_that_can_be_dropped() -> None:
    bad = "T{},NOBODY,P12345,1,2023-03-15,completed\n"
    content = f"{HEADER}\n" + "".join(bad.format(number) for number in range(60))
    run = check_shards(content.encode(), 4, Serial())
    assert run.report.rejected_uri is not None
    assert run.report.rejected_uri.endswith(rejected_folder(SOUND_DAY, "day.csv", run.report.load_id))
    assert len(run.rejected_parts) >= 3
    again = [dry_run(part).report for part in run.rejected_parts]
    assert all(list(report.reject_reasons) == ["unknown_customer"] for report in again)
    assert sum(report.reject_reasons["unknown_customer"].rows for report in again) == 60


def test_a_small_file_keeps_the_way_of_one_worker() -> None:
    run = dry_run(f"{HEADER}\n{SOUND_LINE}\n".encode(), runner=mock.Mock(spec=()))
    assert len(run.staged) == 1
