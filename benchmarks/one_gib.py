"""The whole job inside 1 GiB of memory: download, UNLOAD, transform, upload, COPY, MERGE, ledger.

S3 and the warehouse run outside of it, as on AWS. The job is a process of Glue's Python with
the wheel on its path, in a memory cgroup of the size of the smallest worker.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import redshift_connector
from moto.server import ThreadedMotoServer
from rich.console import Console
from rich.table import Table

from benchmarks.measure import ROOT, DiedError, Finished, run_watched
from benchmarks.work import PARTITION_DAY, Work
from jobs.main import BEFORE_POLARS
from local.runtime.glue_python import find_glue_python
from redshift_emulator import Warehouse
from schemas import amount_classes
from schemas.counts import COUNTS
from schemas.drops import CUSTOMERS, PRODUCTS, Drop, dimension_key, transactions_key
from schemas.reports import Report
from schemas.runs import LOAD_DIMENSIONS, PROCESS_TRANSACTIONS, RunArguments, encode_job_arguments
from schemas.sources import DEFAULT
from schemas.warehouse import ddl
from schemas.work_bucket import report_key

ONE_GIB = 2**30
ACCOUNT, REGION = "123456789012", "us-east-1"
DROP_BUCKET, WORK_BUCKET = "drop", "work"

_DATABASE_USER = "IAMR:developer"
_CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "laptop",
    "AWS_SECRET_ACCESS_KEY": "laptop",
    "AWS_DEFAULT_REGION": REGION,
}


@dataclass(frozen=True)
class _Cloud:
    """S3, the warehouse, and the command and environment of the job's process."""

    s3: Any
    warehouse: Warehouse
    copy_role_arn: str
    environment: dict[str, str]
    command: tuple[str, ...]
    """The interpreter and the entry script."""

    def run(self, job: str, key: str, path: Path) -> tuple[Report, Finished]:
        """Drop a file and run the job on it; raises DiedError when the process fails."""
        self.s3.upload_file(str(path), DROP_BUCKET, key)
        version_id = self.s3.head_object(Bucket=DROP_BUCKET, Key=key)["VersionId"]
        drop = Drop(DROP_BUCKET, key, version_id)
        fixed = encode_job_arguments(
            {
                "job": job,
                "work_bucket": WORK_BUCKET,
                "workgroup": "laptop",
                "host": self.warehouse.host,
                "port": str(self.warehouse.port),
                "database": self.warehouse.database,
                "account_id": ACCOUNT,
                "region": REGION,
                "copy_role_arn": self.copy_role_arn,
                "max_reject_ratio": "0.5",
                "amount_classes": amount_classes.DEFAULT,
                "source_settings": DEFAULT.to_argument(),
            }
        )
        words = [word for pair in {**fixed, **RunArguments(drop, 1).encode()}.items() for word in pair]
        finished = run_watched([*self.command, *words], limit_bytes=ONE_GIB, environment=self.environment)
        body = self.s3.get_object(Bucket=WORK_BUCKET, Key=report_key(drop.load_id, 1))["Body"].read()
        return Report.from_json(body.decode("utf-8")), finished

    def ask(self, statement: str) -> dict[str, Any]:
        """The only row of a query that the admin user runs."""
        with contextlib.closing(redshift_connector.connect(**self.warehouse.admin_connection())) as connection:
            cursor = connection.cursor()
            cursor.execute(statement)
            names, row = [column[0] for column in cursor.description], cursor.fetchone()
            return dict(zip(names, row or (), strict=True))


def run_in_one_gib(work: Work, console: Console, disk: Path | None = None) -> int:
    """Load both dimensions and the file, each within the limit; returns the exit status, 0 if the ledger balances.

    `disk` is a folder for the job's files, for a test on a disk that is smaller than the drop.
    """
    with (
        tempfile.TemporaryDirectory(prefix="one-gib-") as scratch,
        tempfile.TemporaryDirectory(prefix="job-", dir=disk) as job_disk,
        _cloud(Path(scratch), Path(job_disk)) as cloud,
    ):
        try:
            for name in (PRODUCTS, CUSTOMERS):
                report, finished = cloud.run(LOAD_DIMENSIONS, dimension_key(name), work.folder / f"{name}.csv")
                peak = f"{finished.peak_bytes / 2**20:,.0f} MiB"
                console.print(f"{name}: {report.rows_read:,} rows loaded within 1 GiB, a peak of {peak}")
            console.print(f"Loading {work.transactions.stat().st_size / 1e6:,.0f} MB of transactions within 1 GiB")
            report, finished = cloud.run(PROCESS_TRANSACTIONS, transactions_key(PARTITION_DAY), work.transactions)
        except DiedError as reason:
            console.print(f"[red]The job died: {reason}[/red]")
            return 1
        ledger = cloud.ask(f"SELECT {', '.join(COUNTS)} FROM load_ledger")
        fact = cloud.ask("SELECT count(*) AS rows, count(DISTINCT transaction_id) AS ids FROM fact_transactions")
    problems = list(_problems(report, ledger, fact))
    console.print(_table(report, finished, ledger))
    for problem in problems:
        console.print(f"[red]{problem}[/red]")
    if not problems:
        console.print(f"The ledger balances: {fact['rows']:,} rows in the fact, one for each transaction.")
    return 1 if problems else 0


def _problems(report: Report, ledger: dict[str, Any], fact: dict[str, Any]) -> Iterator[str]:
    counted = sum(ledger[name] for name in COUNTS[1:])
    if ledger["rows_read"] != counted:
        yield f"The ledger does not balance: {ledger['rows_read']:,} rows read, {counted:,} accounted for."
    if report.counts != ledger:
        yield f"The report has {report.counts}, the ledger {ledger}."
    if not ledger["inserted"] == fact["rows"] == fact["ids"]:
        yield f"{ledger['inserted']:,} rows were inserted; the fact has {fact['rows']:,} rows and {fact['ids']:,} ids."


def _table(report: Report, finished: Finished, ledger: dict[str, Any]) -> Table:
    table = Table("", "", title="The whole job within 1 GiB", title_justify="left", show_header=False)
    table.columns[1].justify = "right"
    for name, count in ledger.items():
        table.add_row(name, f"{count:,}")
    table.add_section()
    for step, seconds in report.step_seconds.items():
        table.add_row(step, f"{seconds:.1f} s")
    table.add_row("rows a second, all in all", f"{report.rows_per_second or 0:,.0f}")
    table.add_section()
    table.add_row("peak, without file pages", f"{finished.peak_bytes / 2**20:,.0f} MiB")
    if finished.charged_bytes is None:
        table.add_row("memory cgroup", "none can be made here; the process was sampled")
    else:
        table.add_row("peak, with file pages", f"{finished.charged_bytes / 2**20:,.0f} MiB")
    table.add_row("versions", json.dumps(report.versions))
    return table


@contextlib.contextmanager
def _cloud(scratch: Path, job_disk: Path) -> Iterator[_Cloud]:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        url = f"http://{host}:{port}"
        session = boto3.Session("laptop", "laptop", region_name=REGION)
        s3 = session.client("s3", endpoint_url=url)
        for bucket in (DROP_BUCKET, WORK_BUCKET):
            s3.create_bucket(Bucket=bucket)
        s3.put_bucket_versioning(Bucket=DROP_BUCKET, VersioningConfiguration={"Status": "Enabled"})
        trust = json.dumps({"Version": "2012-10-17", "Statement": []})
        role = session.client("iam", endpoint_url=url).create_role(RoleName="copy", AssumeRolePolicyDocument=trust)
        with Warehouse.start(s3_endpoint_url=url) as warehouse:
            # This process signs in, too, and its driver reads the trusted certificate from the environment only.
            os.environ.update(warehouse.client_environment())
            _prepare(warehouse)
            python, path = _job(scratch)
            environment = {
                "PATH": os.environ.get("PATH", ""),
                "PYTHONPATH": str(path),
                "TMPDIR": str(job_disk),
                # Settings from outside replace the job's own.
                **{name: os.environ[name] for name in BEFORE_POLARS if name in os.environ},
                "AWS_ENDPOINT_URL_S3": url,
                **_CREDENTIALS,
                **warehouse.client_environment(),
            }
            command = (str(python), str(ROOT / "jobs" / "glue_entry.py"))
            yield _Cloud(s3, warehouse, role["Role"]["Arn"], environment, command)
    finally:
        server.stop()


def _prepare(warehouse: Warehouse) -> None:
    with contextlib.closing(redshift_connector.connect(**warehouse.admin_connection())) as connection:
        connection.autocommit = True
        cursor = connection.cursor()
        cursor.execute(f'CREATE USER "{_DATABASE_USER}" PASSWORD DISABLE')
        for statement in ddl.create_tables():
            cursor.execute(statement)
        for statement in ddl.grants(process_transactions_user=_DATABASE_USER, load_dimensions_user=_DATABASE_USER):
            if statement.startswith("GRANT"):
                cursor.execute(statement)


def _job(scratch: Path) -> tuple[Path, Path]:
    """Glue's Python and the folder with the unpacked wheel."""
    python = find_glue_python()
    wheels = sorted((ROOT / "dist").glob("*.whl"))
    if python is None or not wheels:
        raise SystemExit("the job runs on Glue's CPython 3.9 from its wheel: install one, and run `make wheel`")
    folder = scratch / "wheel"
    with zipfile.ZipFile(wheels[-1]) as wheel:
        wheel.extractall(folder)
    return python, folder
