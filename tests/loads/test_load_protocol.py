"""A load commits as a whole or not at all, under every kind of disturbance."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

import pytest
import redshift_connector
from tenacity import stop_after_attempt, wait_none

from jobs.attempt import Attempt
from jobs.errors import TerminalError, Unbalanced, WarehouseBusy, WarehouseLost
from jobs.load.session import WarehouseSession
from jobs.load.staging import Stager
from schemas.warehouse import sql
from tests.loads.disturbed import before, snapshot
from tests.loads.shop import Shop

SOUND = ("T1,C0,P0,1,2023-03-15,pending", "T2,C0,P0,2,2023-03-15,pending", "T2,C0,P0,3,2023-03-15,x")
KILL_ALL = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
)
STATEMENTS = (
    "create_temporary",
    "copy_staged",
    "count_rows",
    "select_ledger",
    "insert_history",
    "count_outcomes",
    "delete_stale",
    "select_change",
    "merge",
    "count_merged",
    "sum_difference",
    "delete_waiting",
    "insert_ledger",
    "insert_amounts",
    "select_sales_of_day",
)


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(WarehouseSession.run.retry, "wait", wait_none())


@contextmanager
def lock_held(shop: Shop) -> Iterator[Any]:
    """Another session holds the lock of all loads."""
    connection = redshift_connector.connect(**shop.warehouse.admin_connection(shop.database))
    try:
        connection.cursor().execute(sql.LOCK)
        yield connection
    finally:
        with suppress(redshift_connector.Error, OSError):
            connection.close()


def test_nothing_comes_before_the_lock_in_its_transaction(sound_shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[str] = []
    execute = redshift_connector.Cursor.execute

    def note(cursor: Any, statement: str, *rest: Any, **named: Any) -> Any:
        if statement != "begin transaction":
            sent.append(f"{cursor._c.in_transaction} {statement.split()[0]}")
        return execute(cursor, statement, *rest, **named)

    def note_commit(connection: Any) -> None:
        sent.append(f"{connection.in_transaction} COMMIT")
        commit(connection)

    commit = redshift_connector.Connection.commit
    monkeypatch.setattr(redshift_connector.Cursor, "execute", note)
    monkeypatch.setattr(redshift_connector.Connection, "commit", note_commit)
    sound_shop.run(sound_shop.drop(*SOUND))
    at = sent.index("False LOCK")
    assert sent[at - 1] == "True COMMIT"
    assert sent[at + 1] == "True SET"
    end = sent.index("True COMMIT", at)
    assert sent[at:end].count("True MERGE") == 1
    assert {statement.split()[1] for statement in sent[end + 1 :]} <= {"SELECT", "COMMIT"}


def test_without_the_lock_two_runs_insert_one_new_key_twice(sound_shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without LOCK this schedule inserts a row twice. So the tests of concurrency can fail."""
    both_have_looked = threading.Barrier(2)
    # With the lock the other run cannot get here, so the wait is short.
    patience_seconds = 1

    def wait_for_the_other(_: int) -> None:
        with suppress(threading.BrokenBarrierError):
            both_have_looked.wait(timeout=patience_seconds)

    first, second = (sound_shop.stage(sound_shop.drop(SOUND[0], name=name)) for name in ("a.csv", "b.csv"))
    with before("merge", wait_for_the_other), ThreadPoolExecutor(2) as pool:
        for load in [pool.submit(signed_in, sound_shop, drop) for drop in (first, second)]:
            load.result()
        assert sound_shop.sql("SELECT COUNT(*) AS rows FROM fact_transactions") == [{"rows": 1}]
        sound_shop.clean()
        both_have_looked.reset()
        patience_seconds = 300
        monkeypatch.setattr(sql, "LOCK", "SELECT 1")
        for load in [pool.submit(signed_in, sound_shop, drop) for drop in (first, second)]:
            load.result()
    assert sound_shop.sql("SELECT COUNT(*) AS rows FROM fact_transactions") == [{"rows": 2}]
    sound_shop.clean_stage()


def signed_in(shop: Shop, load: Callable[[WarehouseSession], object]) -> object:
    with shop.session() as session:
        return load(session)


def test_a_lock_that_cannot_be_had_ends_in_a_clear_sentence(sound_shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    sound_shop.load(*SOUND)
    before_it = snapshot(sound_shop)
    monkeypatch.setattr(sound_shop, "lock_seconds", "1")
    monkeypatch.setattr(WarehouseSession.run.retry, "stop", stop_after_attempt(2))
    drop = sound_shop.drop(*SOUND, name="late.csv")
    with before("copy_staged", lambda _: None) as tries, lock_held(sound_shop):
        report = sound_shop.run(drop)
    assert len(tries) == 2
    assert isinstance(sound_shop.error, WarehouseBusy)
    assert str(sound_shop.error) == (
        "a statement did not finish within its time: canceling statement due to statement timeout; "
        "SVV_TRANSACTIONS shows which session holds the lock, "
        "and warehouseLockSeconds and warehouseStatementSeconds give more time"
    )
    assert report.error is not None
    assert report.error.is_transient
    assert snapshot(sound_shop) == before_it


def test_a_lock_that_is_had_in_time_was_worth_the_wait(sound_shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    set_timeout = sql.set_statement_timeout
    monkeypatch.setattr(sound_shop, "lock_seconds", "1")

    def release(call: int) -> None:
        if call == 2:
            holder.rollback()
            # Long enough to get a free lock even on a busy machine.
            monkeypatch.setattr(sql, "set_statement_timeout", lambda _: set_timeout(300))

    with lock_held(sound_shop) as holder, before("copy_staged", release) as tries:
        report = sound_shop.load(*SOUND)
    assert len(tries) == 2
    assert report.counts is not None
    assert report.counts["inserted"] == 2


def test_time_for_the_lock_is_set_and_for_statements_grows_with_rows(
    sound_shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_timeout, seconds = sql.set_statement_timeout, []

    def noted(given: int) -> str:
        seconds.append(given)
        return set_timeout(given)

    monkeypatch.setattr(sql, "set_statement_timeout", noted)
    monkeypatch.setattr("jobs.arguments.SECONDS_PER_MILLION_ROWS", 60_000_000)
    monkeypatch.setattr(sound_shop, "lock_seconds", "77")
    sound_shop.load(*SOUND)
    assert seconds == [1800 + 2 * 60, 77, 1800 + 2 * 60]


def test_a_session_that_dies_holding_the_lock_frees_it(sound_shop: Shop) -> None:
    def die(_: int) -> None:
        threading.Timer(0.3, holder._usock.shutdown, [socket.SHUT_RDWR]).start()

    with lock_held(sound_shop) as holder, before("copy_staged", die) as tries:
        report = sound_shop.load(*SOUND)
    assert len(tries) == 1
    assert report.counts is not None
    assert report.counts["inserted"] == 2


def test_a_serialisation_failure_is_tried_again_as_a_whole(sound_shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """A real error 1023: two updates of one row from one snapshot. It needs the lock to be missing."""
    sound_shop.load("T1,C0,P0,1,2023-03-13,pending")
    monkeypatch.setattr(sql, "LOCK", "SELECT 1")
    both_have_looked = threading.Barrier(2)

    def wait_for_the_other(call: int) -> None:
        if call <= 2:
            both_have_looked.wait(timeout=300)

    first, second = (
        sound_shop.stage(sound_shop.drop(f"T1,C0,P0,{quantity},2023-03-1{quantity},pending", name=name))
        for name, quantity in (("a.csv", 4), ("b.csv", 5))
    )
    with before("merge", wait_for_the_other) as merges, ThreadPoolExecutor(2) as pool:
        for load in [pool.submit(signed_in, sound_shop, drop) for drop in (first, second)]:
            load.result()
    assert len(merges) == 3, "one of the two runs must start over"
    assert {key: row["quantity"] for key, row in sound_shop.fact().items()} == {"T1": 5}
    sound_shop.clean_stage()


def test_a_password_that_has_expired_is_not_used_again(sound_shop: Shop) -> None:
    sound_shop.load(*SOUND)
    # The driver would use it until the second it expires, so it may expire in transit.
    sound_shop.warehouse._passwords._temporary.clear()
    sound_shop.load(*SOUND, name="next.csv")


@pytest.mark.parametrize("statement", STATEMENTS)
def test_after_a_lost_connection_the_load_is_done_once(sound_shop: Shop, statement: str) -> None:
    """The server kills the connection before each statement of the load in turn."""

    def kill(call: int) -> None:
        if call == 1:
            sound_shop.sql(KILL_ALL)

    with before(statement, kill) as calls:
        report = sound_shop.load(*SOUND)
    assert len(calls) == (3 if statement == "create_temporary" else 2)
    assert report.counts is not None
    assert (report.counts["inserted"], report.counts["rejected"], report.first_commit) == (2, 1, None)
    assert sorted(sound_shop.fact()) == ["T1", "T2"]
    assert len(sound_shop.ledger()) == 1


def test_a_connection_lost_in_the_commit_converges(sound_shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The job cannot know whether the commit succeeded. The retry applies the rows again, which changes nothing."""
    commit = redshift_connector.Connection.commit

    def lose(connection: Any) -> None:
        commit(connection)
        if len(sound_shop.fact()) and not lost:
            lost.append(True)
            raise redshift_connector.InterfaceError("BrokenPipe: server socket closed")

    lost: list[bool] = []
    monkeypatch.setattr(redshift_connector.Connection, "commit", lose)
    report = sound_shop.load(*SOUND)
    assert lost
    assert report.counts is not None
    assert report.counts["unchanged"] == 2
    assert report.first_commit is not None
    assert report.first_commit["inserted"] == 2
    assert sorted(sound_shop.fact()) == ["T1", "T2"]


def test_a_connection_that_stays_lost_is_given_up_after_five_tries(sound_shop: Shop) -> None:
    before_it = snapshot(sound_shop)
    drop = sound_shop.drop(*SOUND)
    with before("merge", lambda _: sound_shop.sql(KILL_ALL) and None) as calls:
        report = sound_shop.run(drop)
    assert len(calls) == 5
    assert isinstance(sound_shop.error, WarehouseLost)
    assert str(sound_shop.error).startswith("the connection to the warehouse was lost or could not be made: ")
    assert report.error is not None
    assert report.error.is_transient
    assert snapshot(sound_shop) == before_it


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ("SELECT 1 / 0", "the warehouse refused a statement (22012): division by zero"),
        (
            "SELECT FROM nowhere",
            'the warehouse is incomplete: relation "nowhere" does not exist (42P01); '
            "run `pulumi up --refresh`, which adds what is missing",
        ),
        ("MERGE nonsense", 'the warehouse refused a statement (42601): syntax error at or near "nonsense"'),
    ],
)
def test_no_other_error_is_tried_again(sound_shop: Shop, wrong: str, sentence: str) -> None:
    sound_shop.load(*SOUND)
    before_it = snapshot(sound_shop)
    drop = sound_shop.drop(*SOUND, name="again.csv")
    with before("count_merged", lambda _: wrong) as calls:
        report = sound_shop.run(drop)
    assert len(calls) == 1
    assert isinstance(sound_shop.error, TerminalError)
    assert str(sound_shop.error) == sentence
    assert report.error is not None
    assert not report.error.is_transient
    assert snapshot(sound_shop) == before_it


def test_two_attempts_of_one_load_at_once_never_share_a_staging_name(
    sound_shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    both_loaded = threading.Barrier(2)
    clean_up = Attempt.clean_up

    def clean_up_after_both(attempt: Attempt) -> None:
        # A later attempt deletes the staged files of an earlier one, which is presumed dead.
        both_loaded.wait(timeout=600)
        clean_up(attempt)

    monkeypatch.setattr(Attempt, "clean_up", clean_up_after_both)
    drop = sound_shop.drop(*SOUND)
    with ThreadPoolExecutor(2) as pool:
        reports = [run.result() for run in [pool.submit(sound_shop.run_alone, drop, attempt) for attempt in (1, 2)]]
    assert sorted(report.counts["inserted"] for report in reports if report.counts) == [0, 2]
    assert [report.first_commit is None for report in reports].count(True) == 1
    assert sorted(sound_shop.fact()) == ["T1", "T2"]
    assert len(sound_shop.ledger()) == 1


@pytest.mark.parametrize("statement", STATEMENTS)
def test_a_failed_load_leaves_nothing_behind(sound_shop: Shop, statement: str) -> None:
    sound_shop.load(*SOUND)
    before_it = snapshot(sound_shop)
    drop = sound_shop.drop("T1,C0,P0,9,2023-03-15,refunded", "T3,C0,P0,2,2023-03-15,pending", name="failing.csv")
    with before(statement, lambda _: "SELECT 1 / 0"):
        report = sound_shop.run(drop)
    assert report.outcome == "failed"
    assert report.counts is None
    assert snapshot(sound_shop) == before_it
    assert sound_shop.sql("SELECT relname FROM pg_class WHERE relname LIKE 'staged%'") == []


def test_a_copy_of_fewer_rows_than_were_staged_is_no_success(sound_shop: Shop) -> None:
    before_it = snapshot(sound_shop)
    drop = sound_shop.drop(*SOUND)
    with before("count_rows", lambda _: "SELECT COUNT(*) - 1 FROM staged_transactions") as calls:
        sound_shop.run(drop)
    assert len(calls) == 1
    assert isinstance(sound_shop.error, Unbalanced)
    assert str(sound_shop.error) == (
        "COPY put 1 of 2 staged rows into staged_transactions, so nothing was loaded; "
        "replay the load, and if it happens again look at SYS_LOAD_ERROR_DETAIL"
    )
    assert snapshot(sound_shop) == before_it


def test_an_id_that_is_twice_in_the_staging_table_is_found_in_sql(sound_shop: Shop) -> None:
    """MERGE itself would silently insert a new id twice, and fail on a known id."""
    before_it = snapshot(sound_shop)
    drop = sound_shop.drop(*SOUND)
    twice = "UPDATE staged_transactions SET transaction_id = 'T1'"
    with before("count_outcomes", lambda _: None), pytest.MonkeyPatch.context() as patch:
        locked = sql.LOCK
        patch.setattr(sql, "LOCK", twice)
        sound_shop.run(drop)
        assert locked != twice
    assert isinstance(sound_shop.error, Unbalanced)
    assert str(sound_shop.error) == (
        "2 rows were staged, but the warehouse counts 2 of 1 ids with 2 outcomes, so nothing was loaded; "
        "an id occurs twice in the staging table or in the target"
    )
    assert snapshot(sound_shop) == before_it


def test_an_id_that_is_twice_in_the_fact_is_found_in_sql(sound_shop: Shop) -> None:
    sound_shop.load(*SOUND)
    sound_shop.sql("INSERT INTO fact_transactions SELECT * FROM fact_transactions WHERE transaction_id = 'T1'")
    drop = sound_shop.drop(*SOUND, name="again.csv")
    sound_shop.run(drop)
    assert str(sound_shop.error) == (
        "2 rows were staged, but the warehouse counts 3 of 2 ids with 3 outcomes, so nothing was loaded; "
        "an id occurs twice in the staging table or in the target"
    )
    assert drop.load_id not in sound_shop.ledger()


def test_a_merge_that_leaves_other_rows_than_it_should_is_rolled_back(sound_shop: Shop) -> None:
    before_it = snapshot(sound_shop)
    drop = sound_shop.drop(*SOUND)
    with before("merge", lambda _: "DELETE FROM staged_transactions WHERE transaction_id = 'T1'"):
        sound_shop.run(drop)
    assert str(sound_shop.error) == (
        "MERGE left 0 rows instead of 2, so nothing was loaded; look for ids that occur twice in the target"
    )
    assert snapshot(sound_shop) == before_it


def test_rows_that_do_not_add_up_are_rolled_back(sound_shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    before_it = snapshot(sound_shop)
    drop = sound_shop.drop(*SOUND)
    stage = Stager.stage
    monkeypatch.setattr(Stager, "stage", lambda *given: replace(stage(*given), duplicate=7))
    sound_shop.run(drop)
    assert isinstance(sound_shop.error, Unbalanced)
    assert str(sound_shop.error) == (
        "3 rows were read, but 2 inserted + 0 updated + 0 unchanged + 0 stale + 7 duplicate + 1 rejected are 10, "
        "so nothing was loaded; this is a defect of the job: report it"
    )
    assert snapshot(sound_shop) == before_it


def test_amounts_that_are_not_those_of_the_fact_are_rolled_back(sound_shop: Shop) -> None:
    before_it = snapshot(sound_shop)
    with before("sum_difference", lambda _: "SELECT 0.01"):
        sound_shop.run(sound_shop.drop(*SOUND))
    assert "differs from the staged rows by 0.01; nothing was loaded" in str(sound_shop.error)
    assert snapshot(sound_shop) == before_it
