"""`python -m redshift_emulator`: the warehouse as a process of its own."""

from __future__ import annotations

import argparse
import json
import os
import signal
from pathlib import Path

from redshift_emulator.warehouse import Warehouse


def main() -> None:
    """Start a warehouse, write its address and password to the ready file, and serve until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="python -m redshift_emulator", description=__doc__)
    parser.add_argument("--s3-endpoint", help="URL of moto, for COPY, UNLOAD and STS")
    parser.add_argument("--data-dir", type=Path, help="keeps the data between starts (default: nothing is kept)")
    parser.add_argument(
        "--ready-file", type=Path, required=True, help="file for address and password, written once it is ready"
    )
    arguments = parser.parse_args()
    signals = (signal.SIGTERM, signal.SIGINT)
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    with Warehouse.start(arguments.data_dir, s3_endpoint_url=arguments.s3_endpoint) as warehouse:
        connection = {
            "host": warehouse.host,
            "port": warehouse.port,
            "database": warehouse.database,
            "admin_user": warehouse.admin_user,
            "admin_password": warehouse.admin_password,
            "environment": warehouse.client_environment(),
        }
        unfinished = arguments.ready_file.with_suffix(".part")
        unfinished.touch(mode=0o600)
        unfinished.write_text(json.dumps(connection))
        os.replace(unfinished, arguments.ready_file)
        signal.sigwait(signals)


if __name__ == "__main__":
    main()
