"""Transactions, locks and lost clients, as Redshift has them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import pytest


@pytest.fixture
def table(session):
    session.run("CREATE TABLE t (a INTEGER, b INTEGER)")
    session.run("INSERT INTO t VALUES (1, 1), (2, 2)")
    return session


def test_a_transaction_sees_the_snapshot_of_its_first_statement(database, table) -> None:
    reader = database.session()
    reader.run("BEGIN")
    assert reader.run("SELECT count(*) FROM t") == [[2]]
    table.run("INSERT INTO t VALUES (3, 3)")
    assert reader.run("SELECT count(*) FROM t") == [[2]]
    reader.run("COMMIT")
    assert reader.run("SELECT count(*) FROM t") == [[3]]


def test_the_snapshot_is_not_taken_by_begin(database, table) -> None:
    reader = database.session()
    reader.run("BEGIN ISOLATION LEVEL SERIALIZABLE")
    table.run("INSERT INTO t VALUES (3, 3)")
    assert reader.run("SELECT count(*) FROM t") == [[3]]


def test_a_conflicting_write_is_error_1023_under_xx000(database, table) -> None:
    other = database.session()
    other.run("BEGIN")
    other.run("SELECT count(*) FROM t")
    table.run("UPDATE t SET b = 9 WHERE a = 1")
    error = other.error("UPDATE t SET b = 8 WHERE a = 1")
    assert (error["C"], error["M"]) == ("XX000", "1023")
    assert error["D"].startswith("Serializable isolation violation on table - ")


def _in_background(work) -> threading.Thread:
    thread = threading.Thread(target=work)
    thread.start()
    return thread


def _wait_for_a_waiting_lock(observer) -> None:
    deadline = time.monotonic() + 120
    while observer.run(
        "SELECT count(*) FROM pg_locks WHERE NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    ) == [[0]]:
        assert time.monotonic() < deadline, "nobody waits for a lock"
        time.sleep(0.02)


def test_lock_first_takes_the_snapshot_after_the_lock_is_granted(database, table) -> None:
    second, observer, seen = database.session(), database.session(), []
    table.run("BEGIN")
    table.run("LOCK t")
    second.run("BEGIN")

    def wait_and_count() -> None:
        second.run("LOCK t")
        seen.append(second.run("SELECT count(*) FROM t"))
        second.run("UPDATE t SET b = 5 WHERE a = 1")
        second.run("COMMIT")

    waiting = _in_background(wait_and_count)
    _wait_for_a_waiting_lock(observer)
    table.run("INSERT INTO t VALUES (3, 3)")
    table.run("UPDATE t SET b = 4 WHERE a = 1")
    table.run("COMMIT")
    waiting.join(300)
    assert seen == [[[3]]], "the waiter sees what the holder committed, and may write over it"
    assert table.run("SELECT b FROM t WHERE a = 1") == [[5]]


def test_a_deadlock_ends_for_one_of_the_two_in_redshifts_words(database, table) -> None:
    table.run("CREATE TABLE u (a INTEGER)")
    first, second, observer, errors = database.session(), database.session(), database.session(), []
    first.run("BEGIN")
    first.run("LOCK t")
    second.run("BEGIN")
    second.run("LOCK u")

    def take(session, name: str) -> None:
        try:
            session.run(f"LOCK {name}")
        except Exception as error:
            errors.append(error.args[0])
        session.run("ROLLBACK")

    waiting = _in_background(lambda: take(first, "u"))
    _wait_for_a_waiting_lock(observer)
    take(second, "t")
    waiting.join(300)
    assert [(error["C"], error["M"]) for error in errors] == [("XX000", "deadlock detected")]


def test_a_lock_that_cannot_be_had_in_time_ends_in_a_timeout(database, table) -> None:
    other = database.session()
    table.run("BEGIN")
    table.run("LOCK t")
    other.run("BEGIN")
    other.run("SET statement_timeout TO 100")
    assert other.error("LOCK t")["C"] == "57014"


_HOLDER = """
import json, sys, redshift_connector
connection = redshift_connector.connect(**json.loads(sys.argv[1]))
cursor = connection.cursor()
cursor.execute("LOCK t")
cursor.execute("DELETE FROM t")
print("holding", flush=True)
if sys.argv[2] == "idle":
    sys.stdin.read()
cursor.execute("LOCK u")
"""


@pytest.mark.parametrize("state", ["idle", "waiting"])
def test_a_killed_client_loses_its_transaction_and_its_locks_at_once(database, table, state: str) -> None:
    import json

    table.run("CREATE TABLE u (a INTEGER)")
    blocker, observer = database.session(), database.session()
    blocker.run("BEGIN")
    blocker.run("LOCK u")
    connection = json.dumps(database.warehouse.admin_connection(database.name))
    holder = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", _HOLDER, connection, state],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, **database.warehouse.client_environment()},
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"holding\n"
        if state == "waiting":
            _wait_for_a_waiting_lock(observer)
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    # The statement would wait for an unreleased lock until it times out.
    table.run("SET statement_timeout TO 60000")
    table.run("BEGIN")
    table.run("LOCK t")
    assert table.run("SELECT count(*) FROM t") == [[2]], "what the killed client deleted is back"
