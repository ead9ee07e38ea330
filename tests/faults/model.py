"""The final state of the local cloud, and the state that the oracle expects from the contract alone."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from local.local_cloud import LocalCloud
from schemas.drops import Drop
from schemas.statuses import STATUSES
from schemas.warehouse.tables import FACT_TRANSACTIONS, Table
from tests import oracle
from tests.local.local_clouds import put

_SAMPLES = oracle.Drop(bucket="", key="dimensions/", version_id="", uploaded_at=datetime(2023, 1, 1))
_TIMES = ("loaded_at", "updated_at")
_EPOCH = datetime(1970, 1, 1)


def rows_of_day(chance: random.Random, day: date, number: int) -> list[str]:
    """Rows of the day with this number. Orders change over several days, so files of several days share ids."""
    orders = [chance.randint(max(0, number - 5), number) for _ in range(chance.randint(3, 5))]
    return [
        # An order's quantity never changes, so two rows of one event are the same sale.
        f"B{order:04},C12345,P12345,{1 + order % 90},"
        f"{day - timedelta(days=chance.randint(0, 2))},{chance.choice(STATUSES)}"
        for order in orders
    ]


@dataclass(frozen=True)
class Dropped:
    """A dropped file, and its time of upload in S3."""

    drop: Drop
    content: bytes
    uploaded_at: datetime
    """UTC, without a time zone."""


def dropped(cloud: LocalCloud, key: str, content: bytes) -> Dropped:
    """Drop a file."""
    return seen(cloud, put(cloud, key, content), content)


def seen(cloud: LocalCloud, drop: Drop, content: bytes) -> Dropped:
    """A dropped file."""
    head = cloud.client("s3").head_object(Bucket=drop.bucket, Key=drop.key, VersionId=drop.version_id)
    return Dropped(drop, content, head["LastModified"].astimezone(UTC).replace(tzinfo=None))


def warehouse_after(files: Iterable[Dropped]) -> oracle.Warehouse:
    """The oracle's warehouse with the sample dimensions, after these drops in this order."""
    model = oracle.Warehouse()
    model.load_products(_SAMPLES, [oracle.Product("P12345", "Widget A", "Gadgets", Decimal("29.99"), "S123")])
    model.load_customers(_SAMPLES, [oracle.Customer("C12345", "John", "Doe", "john.doe@example.com", "Gold")])
    for file in files:
        drop = file.drop
        model.load(oracle.Drop(drop.bucket, drop.key, drop.version_id, file.uploaded_at, file.content))
    return model


def expected_fact(model: oracle.Warehouse) -> dict[str, dict[str, Any]]:
    """By transaction_id: every column except the times of loading."""
    return {
        transaction_id: {
            **row.columns(),
            "event_precedence": (row.precedence[0] - _EPOCH) // timedelta(microseconds=1) * 16 + row.precedence[1],
            "drop_precedence": f"{row.precedence[2]} {row.precedence[3]:%Y-%m-%dT%H:%M:%SZ} {row.load_id}",
        }
        for transaction_id, row in sorted(model.fact.items())
    }


def found_fact(cloud: LocalCloud) -> dict[str, dict[str, Any]]:
    """The fact table in the same form. An id that occurs twice is an error."""
    rows = rows_of(cloud, FACT_TRANSACTIONS)
    actual = {
        row["transaction_id"]: {name: value for name, value in row.items() if name not in _TIMES}
        for row in sorted(rows, key=lambda row: str(row["transaction_id"]))
    }
    assert len(actual) == len(rows), f"{len(rows) - len(actual)} transactions are in the fact more than once"
    return actual


def rows_of(cloud: LocalCloud, table: Table) -> list[dict[str, Any]]:
    """A whole table as the admin reads it."""
    connection = cloud.connect()
    try:
        cursor = connection.cursor()
        cursor.execute(f"SELECT {', '.join(table.names)} FROM {table.name}")
        return [dict(zip(table.names, row, strict=True)) for row in cursor.fetchall()]
    finally:
        connection.close()


def keys_in(cloud: LocalCloud, output: str, prefix: str = "") -> list[str]:
    """The keys of the current objects in the bucket that a stack output names."""
    pages = cloud.client("s3").get_paginator("list_objects_v2")
    return [
        entry["Key"]
        for page in pages.paginate(Bucket=cloud.outputs[output], Prefix=prefix)
        for entry in page.get("Contents", [])
    ]


def in_bucket(cloud: LocalCloud, output: str, prefix: str = "") -> list[tuple[str, str]]:
    """Key and version of every object and delete marker in the bucket that a stack output names."""
    pages = cloud.client("s3").get_paginator("list_object_versions")
    return [
        (entry["Key"], entry["VersionId"])
        for page in pages.paginate(Bucket=cloud.outputs[output], Prefix=prefix)
        for entry in page.get("Versions", []) + page.get("DeleteMarkers", [])
    ]


def dead_letters(cloud: LocalCloud) -> dict[str, int]:
    """The number of messages in each queue except the queue of drops. Empty queues are left out."""
    sqs, drops = cloud.client("sqs"), cloud.outputs["queue_url"]
    urls = [url for url in sqs.list_queues()["QueueUrls"] if url.rpartition("/")[2] != drops.rpartition("/")[2]]
    names = [f"ApproximateNumberOfMessages{which}" for which in ("", "Delayed", "NotVisible")]
    counted = {
        url: sum(map(int, sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"].values()))
        for url in urls
    }
    return {url.rpartition("/")[2]: number for url, number in counted.items() if number}
