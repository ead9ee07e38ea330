"""Addresses of people are only in the customers, in the files that brought them and in a rejected file's rows."""

from __future__ import annotations

import io
from collections.abc import Iterator

import polars as pl

from cli.drops.status import Stage
from local.local_cloud import LocalCloud
from schemas.warehouse.tables import DIM_CUSTOMERS, WAREHOUSE_TABLES
from schemas.work_bucket import CODE, REJECTED, REPORTS, STAGING, page_key, report_key
from tests.faults.model import keys_in, rows_of
from tests.local.local_clouds import put, stage_of, transactions_key

SETTLED_WITHIN_SECONDS = 500.0
PEOPLE = 1_000
# No part of it is escaped in JSON, HTML or a log.
MARK = "seededperson"
CUSTOMERS = "customer_id,first_name,last_name,email,membership_level"
TRANSACTIONS = "transaction_id,customer_id,product_id,quantity,transaction_date,status,customer_email"


def address(number: int) -> str:
    return f"{MARK}{number:04}@example.com"


def customers(*more: str, header: str = CUSTOMERS) -> bytes:
    rows = [f"CP{number:04},{MARK}{number},{MARK}{number},{address(number)},Gold" for number in range(PEOPLE)]
    return "\n".join([header, *rows, *more, ""]).encode("utf-8")


def day_of_sales() -> bytes:
    """A row for each person; one of ten is rejected, each for another of five reasons, and one is malformed."""
    wrong = {
        0: "P{0},CP{0:04},P12345,none,2023-03-01,completed,{1}",
        10: "P{0},CP{0:04},P12345,1,yesterday,completed,{1}",
        20: "P{0},CP{0:04},P12345,1,2023-03-01,wished for,{1}",
        30: "P{0},nobody{0},P12345,1,2023-03-01,completed,{1}",
        40: "P{0},CP{0:04},P12345,1,2023-03-01,completed,{1},{1}",
        50: 'P{0},CP{0:04},P12345,1,2023-03-01,completed,"{1}" "x',
    }
    good = "P{0},CP{0:04},P12345,1,2023-03-01,completed,{1}"
    rows = [wrong.get(number % 60, good).format(number, address(number)) for number in range(PEOPLE)]
    return "\n".join([TRANSACTIONS, *rows, ""]).encode("utf-8")


BAD_DIMENSIONS = {
    "a row without an id": customers(f",{MARK},{MARK},{address(1)},Gold"),
    "an id twice": customers(f"CP0001,{MARK},{MARK},{address(2)},Gold"),
    "a field too many": customers(f"CP9001,{MARK},{MARK},{address(1)},Gold,{address(1)}"),
    "a lost quote": customers(f'CP9002,"{MARK},{MARK},{address(1)},Gold'),
    "a second header": customers(CUSTOMERS),
    "no header": b"\n".join(customers().splitlines()[1:]),
    "another delimiter": customers(header=CUSTOMERS.replace(",", ";")),
    "another heading": customers(header=CUSTOMERS.replace("membership_level", "level")),
    "an id that is too long": customers(f"{'C' * 65},{MARK},{MARK},{address(1)},Gold"),
    "not UTF-8": customers().replace(b",Gold", b",G\xf6ld"),
}


def objects(cloud: LocalCloud, output: str) -> Iterator[tuple[str, bytes]]:
    """Key and content of every version in the bucket behind a stack output; Parquet as its values."""
    s3, bucket = cloud.client("s3"), cloud.outputs[output]
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
        for version in page.get("Versions", []):
            named = {"Bucket": bucket, "Key": version["Key"], "VersionId": version["VersionId"]}
            response = s3.get_object(**named)
            content = response["Body"].read()
            if version["Key"].endswith(".parquet"):
                content = pl.read_parquet(io.BytesIO(content)).write_csv().encode("utf-8")
            yield version["Key"], content + repr((response["Metadata"], version["Key"])).encode("utf-8")


def logged(cloud: LocalCloud) -> Iterator[tuple[str, str]]:
    """Every line that CloudWatch holds, and every log of the laptop's own."""
    logs = cloud.client("logs")
    for page in logs.get_paginator("describe_log_groups").paginate():
        for group in page["logGroups"]:
            for events in logs.get_paginator("filter_log_events").paginate(logGroupName=group["logGroupName"]):
                for event in events["events"]:
                    yield group["logGroupName"], event["message"]
    for path in sorted((cloud.folder / "logs").iterdir()):
        yield path.name, path.read_text(encoding="utf-8", errors="replace")


def test_seeded_addresses_are_found_nowhere_else(undisturbed: LocalCloud) -> None:
    put(undisturbed, "dimensions/dim_customers.csv", customers())
    undisturbed.wait_until_idle(SETTLED_WITHIN_SECONDS)
    day = put(undisturbed, transactions_key(1), day_of_sales())
    refused = {
        name: put(undisturbed, "dimensions/dim_customers.csv", content) for name, content in BAD_DIMENSIONS.items()
    }
    undisturbed.wait_until_idle(SETTLED_WITHIN_SECONDS)
    assert stage_of(undisturbed, day) is Stage.ARCHIVED
    stages = {name: stage_of(undisturbed, drop) for name, drop in refused.items()}
    assert stages == dict.fromkeys(BAD_DIMENSIONS, Stage.FAILED)

    # They are where they must be: what follows looks in the right places.
    assert sum(MARK in str(row["email"]) for row in rows_of(undisturbed, DIM_CUSTOMERS)) == PEOPLE
    held = list(objects(undisturbed, "work_bucket"))
    (rejected,) = (content for key, content in held if key.startswith(REJECTED))
    assert rejected.count(MARK.encode()) >= PEOPLE // 12
    keys = {key for key, _ in held}
    assert {report_key(day.load_id, 1), page_key(day.load_id, 1)} <= keys

    mails = [f"{mail.subject}\n{mail.body}" for mail in undisturbed.mails() if MARK in mail.subject + mail.body]
    assert mails == []
    # An attempt's staged rows are deleted when it ends, and S3 forgets their old versions after a day.
    elsewhere = [(key, content) for key, content in held if not key.startswith((REJECTED, STAGING, CODE))]
    assert any(key.startswith(REPORTS) for key, _ in elsewhere)
    assert [key for key, content in elsewhere if MARK.encode() in content] == []
    assert keys_in(undisturbed, "work_bucket", STAGING) == []
    assert [f"{name}: {line[:500]}" for name, line in logged(undisturbed) if MARK in line] == []
    tables = [table for table in WAREHOUSE_TABLES if table is not DIM_CUSTOMERS]
    assert [table.name for table in tables if MARK in repr(rows_of(undisturbed, table))] == []
