"""Laptops for tests: an account, a drop bucket and a wheel of their own, and no time lost waiting."""

from __future__ import annotations

import sys
import uuid
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from local.local_cloud import LocalCloud
from schemas.drops import Drop

ROOT = Path(__file__).parents[2]
WHEEL = "transactions_pipeline-1.0.0-cp39-cp39-manylinux2014_x86_64.whl"
PACE = 100.0
HEADER = b"transaction_id,customer_id,product_id,quantity,transaction_date,status\n"


def build_wheel(folder: Path) -> Path:
    """A wheel of our own code alone; what it needs, this interpreter has."""
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(folder / WHEEL, "w") as wheel:
        for package in ("jobs", "schemas"):
            for path in sorted((ROOT / package).rglob("*")):
                if path.suffix in (".py", ".sql"):
                    wheel.write(path, path.relative_to(ROOT).as_posix())
    return folder


@contextmanager
def started(folder: Path, config: Mapping[str, str] | None = None, *, pace: float = PACE) -> Iterator[LocalCloud]:
    """A laptop of its own, even where another test's runs in this process."""
    account = f"{uuid.uuid4().int % 10**12:012}"
    values = {
        "dropBucketName": f"drop-{account}",
        "wheelDirectory": str(build_wheel(folder / "dist")),
        "sampleDimensions": "false",
        **(config or {}),
    }
    with LocalCloud.start(
        ROOT, folder=folder / "laptop", config=values, account=account, pace=pace, python=Path(sys.executable)
    ) as laptop:
        yield laptop


def put(laptop: LocalCloud, key: str, content: bytes) -> Drop:
    """Drop a file; everything else is up to the laptop."""
    bucket = laptop.outputs["drop_bucket"]
    version = laptop.client("s3").put_object(Bucket=bucket, Key=key, Body=content)["VersionId"]
    return Drop(bucket, key, version)


def transactions_key(day: int, name: str = "") -> str:
    return f"transactions/year=2023/month=03/day={day:02}/{name or f'transactions_2023-03-{day:02}.csv'}"


def transactions(*rows: str) -> bytes:
    """A file of transactions, each row as it stands there."""
    return HEADER + "".join(f"{row}\n" for row in rows).encode("utf-8")
