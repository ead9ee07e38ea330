"""Starting and stopping: in a process of its own, several at once, twice on the same data, and after a crash."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
import redshift_connector

from redshift_emulator import Warehouse

pytestmark = pytest.mark.flow


def _rows(warehouse: Warehouse, sql: str) -> Any:
    with redshift_connector.connect(**warehouse.admin_connection()) as connection:
        cursor = connection.cursor()
        cursor.execute(sql)
        rows = cursor.fetchall() if cursor.description else None
        connection.commit()
        return rows


def test_two_at_once_do_not_share_anything(monkeypatch) -> None:
    with Warehouse.start() as item, Warehouse.start() as two:
        for warehouse in (item, two):
            monkeypatch.setenv("SSL_CERT_FILE", str(warehouse.authority_file))
            _rows(warehouse, f"CREATE TABLE only_in_{warehouse.port} (a INTEGER)")
        assert item.port != two.port
        assert _rows(two, "SELECT tablename FROM pg_tables WHERE tablename LIKE 'only%'") == ([f"only_in_{two.port}"],)


def test_data_in_a_folder_outlast_the_warehouse(tmp_path: Path, monkeypatch) -> None:
    for expected in (1, 2):
        with Warehouse.start(tmp_path / "data") as warehouse:
            monkeypatch.setenv("SSL_CERT_FILE", str(warehouse.authority_file))
            _rows(warehouse, "CREATE TABLE IF NOT EXISTS t (a INTEGER)")
            _rows(warehouse, "INSERT INTO t VALUES (1)")
            assert _rows(warehouse, "SELECT count(*) FROM t") == ([expected],)


def test_stopping_ends_open_sessions_and_leaves_nothing_behind(monkeypatch) -> None:
    warehouse = Warehouse.start()
    monkeypatch.setenv("SSL_CERT_FILE", str(warehouse.authority_file))
    home = warehouse.authority_file.parent
    connection = redshift_connector.connect(**warehouse.admin_connection())
    connection.cursor().execute("SELECT 1")
    warehouse.stop()
    with pytest.raises((redshift_connector.InterfaceError, OSError)):
        connection.cursor().execute("SELECT 2")
    connection.close()
    assert not home.exists()


def _start_process(tmp_path: Path) -> tuple[subprocess.Popen[bytes], dict[str, Any]]:
    ready = tmp_path / "ready.json"
    command = [
        sys.executable,
        "-m",
        "redshift_emulator",
        "--data-dir",
        str(tmp_path / "data"),
        "--ready-file",
        str(ready),
    ]
    process = subprocess.Popen(command, cwd=Path(__file__).parents[2])
    deadline = time.monotonic() + 120
    while not ready.exists():
        assert process.poll() is None, "the warehouse ended before it was ready"
        assert time.monotonic() < deadline, "the warehouse did not get ready"
        time.sleep(0.02)
    return process, json.loads(ready.read_text())


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_process_serves_until_it_is_stopped(tmp_path: Path, monkeypatch, how) -> None:
    process, connection = _start_process(tmp_path)
    with process:
        for name, value in connection["environment"].items():
            monkeypatch.setenv(name, value)
        home = Path(connection["environment"]["SSL_CERT_FILE"]).parent
        connection = redshift_connector.connect(
            host=connection["host"],
            port=connection["port"],
            database=connection["database"],
            user=connection["admin_user"],
            password=connection["admin_password"],
        )
        cursor = connection.cursor()
        cursor.execute("SELECT 1")
        postgres = int((tmp_path / "data" / "cluster" / "postmaster.pid").read_text().split()[0])
        connection.close()
        process.send_signal(how)
        process.wait(120)
    deadline = time.monotonic() + 120
    while _alive(postgres) or home.exists():
        assert time.monotonic() < deadline, "PostgreSQL outlived its owner"
        time.sleep(0.02)


def _alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
