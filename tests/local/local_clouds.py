"""Local clouds for tests, each with its own account, drop bucket and wheel, and with short waits."""

from __future__ import annotations

import sys
import uuid
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import botocore

from cli.drops.progress import Progress
from cli.drops.status import Phase
from local.local_cloud import LocalCloud
from local.moto_hooks import EmulatedRun
from schemas.drops import Drop
from schemas.runs import decode_run

ROOT = Path(__file__).parents[2]
WHEEL = "transactions_pipeline-1.0.0-cp39-cp39-manylinux2014_x86_64.whl"
PACE = 100.0
GOOD = "T{number},C12345,P12345,3,2023-03-{day:02},Completed"
HEADER = b"transaction_id,customer_id,product_id,quantity,transaction_date,status\n"


# Glue has an old boto3, so the wheel brings its own. Here that one forwards to the interpreter's boto3.
FORWARD = """
__file__ = {file!r}
__path__ = [{folder!r}]
with open(__file__, encoding="utf-8") as source:
    exec(compile(source.read(), __file__, "exec"))
"""


def build_wheel(folder: Path) -> Path:
    """A wheel of our own code and boto3. This interpreter has all other dependencies."""
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(folder / WHEEL, "w") as wheel:
        for package in ("jobs", "schemas"):
            for path in sorted((ROOT / package).rglob("*")):
                if path.suffix in (".py", ".sql", ".html"):
                    wheel.write(path, path.relative_to(ROOT).as_posix())
        for module in (boto3, botocore):
            file = Path(str(module.__file__))
            wheel.writestr(f"{module.__name__}/__init__.py", FORWARD.format(file=str(file), folder=str(file.parent)))
    return folder


@contextmanager
def started(
    folder: Path, config: Mapping[str, str] | None = None, *, pace: float = PACE, **how: Any
) -> Iterator[LocalCloud]:
    """Start a separate local cloud, even where another test's runs in this process."""
    account = f"{uuid.uuid4().int % 10**12:012}"
    values = {
        "dropBucketName": f"drop-{account}",
        "wheelDirectory": str(build_wheel(folder / "dist")),
        "sampleDimensions": "false",
        **(config or {}),
    }
    with LocalCloud.start(
        ROOT, folder=folder / "laptop", config=values, account=account, pace=pace, python=Path(sys.executable), **how
    ) as cloud:
        yield cloud


def put(cloud: LocalCloud, key: str, content: bytes) -> Drop:
    """Drop a file. The local cloud does the rest."""
    bucket = cloud.outputs["drop_bucket"]
    version = cloud.client("s3").put_object(Bucket=bucket, Key=key, Body=content)["VersionId"]
    return Drop(bucket, key, version)


def transactions_key(day: int, name: str = "") -> str:
    return f"transactions/year=2023/month=03/day={day:02}/{name or f'transactions_2023-03-{day:02}.csv'}"


def transactions(*rows: str) -> bytes:
    """A file of transactions with exactly these rows."""
    return HEADER + "".join(f"{row}\n" for row in rows).encode("utf-8")


def phase_of(cloud: LocalCloud, drop: Drop) -> Phase:
    return Progress(cloud).look([drop])[0].phase


def runs_of(cloud: LocalCloud, drop: Drop) -> list[EmulatedRun]:
    """The runs that were started for a drop, the oldest first."""
    runs = [(run, decode_run(run.arguments)) for run in cloud.runs()]
    return [run for run, arguments in runs if arguments is not None and arguments.drop == drop]


def mails_about(cloud: LocalCloud, drop: Drop) -> list[str]:
    """The subjects of the mails about one drop."""
    return [mail.subject for mail in cloud.mails() if drop.load_id in mail.body]


def fact(cloud: LocalCloud, transaction_id: str) -> list[Any]:
    connection = cloud.connect()
    try:
        cursor = connection.cursor()
        statement = "SELECT status, total_amount FROM fact_transactions WHERE transaction_id = %s"
        cursor.execute(statement, (transaction_id,))
        return list(cursor.fetchall())
    finally:
        connection.close()
