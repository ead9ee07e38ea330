"""E-mail addresses are only in dim_customers and in the uploaded files. After `forget` they are nowhere."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl
import pytest

from cli.drops.status import Phase
from cli.forget.traces import DELETED, MOVED, REWRITTEN
from local.local_cloud import LocalCloud
from schemas.drops import Drop
from schemas.warehouse.tables import DIM_CUSTOMERS, WAREHOUSE_TABLES
from schemas.work_bucket import CODE, REJECTED, REPORTS, STAGING, page_key, report_key
from tests.cli.terminals import Terminal, terminal
from tests.faults.model import found_fact, keys_in, rows_of
from tests.local.local_clouds import phase_of, put, transactions_key

pytestmark = pytest.mark.flow

SETTLED_WITHIN_SECONDS = 500.0
CUSTOMERS = "customer_id,first_name,last_name,email,membership_level"
PRODUCTS = "product_id,product_name,category,price,supplier_id,last_buyer"
TRANSACTIONS = "transaction_id,customer_id,product_id,quantity,transaction_date,status,customer_email"
BUCKETS = ("drop_bucket", "work_bucket", "archive_bucket")
WRONG = {
    0: "P{0},{2},P12345,none,2023-03-01,completed,{1}",
    10: "P{0},{2},P12345,1,yesterday,completed,{1}",
    20: "P{0},{2},P12345,1,2023-03-01,wished for,{1}",
    30: "P{0},nobody{0},P12345,1,2023-03-01,completed,{1}",
    40: "P{0},{2},P12345,1,2023-03-01,completed,{1},{1}",
    50: 'P{0},{2},P12345,1,2023-03-01,completed,"{1}" "x',
}
"""Number modulo 60 -> a row that is rejected, each for another reason."""


@dataclass(frozen=True)
class Crowd:
    """A number of people. Their names and addresses contain a mark that JSON, HTML and logs leave unescaped."""

    people: int
    mark: str

    def token(self, number: int) -> str:
        return f"{self.mark}{number:05}x"

    def name(self, number: int) -> str:
        return f"{self.mark.upper()}{number:05}"

    def address(self, number: int) -> str:
        return f"{self.token(number)}@example.com"

    def customers(self, *more: str, header: str = CUSTOMERS) -> bytes:
        rows = [
            f"{self.name(number)},{self.token(number)},{self.token(number)},{self.address(number)},Gold"
            for number in range(self.people)
        ]
        return "\n".join([header, *rows, *more, ""]).encode("utf-8")

    def products(self) -> bytes:
        rows = [f"{self.name(number)},Tea,Things,1,S,{self.address(number)}" for number in range(0, self.people, 7)]
        return "\n".join([PRODUCTS, *rows, ""]).encode("utf-8")

    def day_of_sales(self) -> bytes:
        """A row for each person. One in ten is rejected."""
        good = "P{0},{2},P12345,1,2023-03-01,completed,{1}"
        rows = [
            WRONG.get(number % 60, good).format(self.token(number)[-6:], self.address(number), self.name(number))
            for number in range(self.people)
        ]
        return "\n".join([TRANSACTIONS, *rows, ""]).encode("utf-8")

    def bad_customers(self) -> dict[str, bytes]:
        mark, token, address, name = self.mark, self.token(1), self.address(1), self.name(1)
        return {
            "a row without an id": self.customers(f",{token},{token},{address},Gold"),
            "an id twice": self.customers(f"{name},{mark},{mark},{self.address(2)},Gold"),
            "a field too many": self.customers(f"N9001,{token},{token},{address},Gold,{address}"),
            "a lost quote": self.customers(f'N9002,"{token},{token},{address},Gold'),
            "a second header": self.customers(CUSTOMERS),
            "no header": b"\n".join(self.customers().splitlines()[1:]),
            "another delimiter": self.customers(header=CUSTOMERS.replace(",", ";")),
            "another heading": self.customers(header=CUSTOMERS.replace("membership_level", "level")),
            "an id that is too long": self.customers(f"{'C' * 65},{mark},{mark},{address},Gold"),
            "not UTF-8": self.customers().replace(b",Gold", b",G\xf6ld"),
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
    """Every line in CloudWatch and in the local cloud's own logs."""
    logs = cloud.client("logs")
    for page in logs.get_paginator("describe_log_groups").paginate():
        for group in page["logGroups"]:
            for events in logs.get_paginator("filter_log_events").paginate(logGroupName=group["logGroupName"]):
                for event in events["events"]:
                    yield group["logGroupName"], event["message"]
    for path in sorted((cloud.folder / "logs").iterdir()):
        yield path.name, path.read_text(encoding="utf-8", errors="replace")


@pytest.fixture(scope="module")
def operator(cloud: LocalCloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terminal]:
    with terminal(cloud, tmp_path_factory.mktemp("operator") / "running.json") as opened:
        yield opened


@dataclass(frozen=True)
class Seeded:
    crowd: Crowd
    day: Drop
    loaded: Drop
    """The file of customers that was loaded."""
    refused: dict[str, Drop]


def seed(cloud: LocalCloud, crowd: Crowd, day: int) -> Seeded:
    """Files of people, loaded or refused."""
    loaded = put(cloud, "dimensions/dim_customers.csv", crowd.customers())
    put(cloud, "dimensions/dim_products.csv", crowd.products())
    cloud.wait_until_idle(SETTLED_WITHIN_SECONDS)
    sales = put(cloud, transactions_key(day), crowd.day_of_sales())
    refused = {
        name: put(cloud, "dimensions/dim_customers.csv", content) for name, content in crowd.bad_customers().items()
    }
    cloud.wait_until_idle(SETTLED_WITHIN_SECONDS)
    assert phase_of(cloud, sales) is Phase.ARCHIVED
    phases = {name: phase_of(cloud, drop) for name, drop in refused.items()}
    assert phases == dict.fromkeys(refused, Phase.FAILED)
    return Seeded(crowd, sales, loaded, refused)


def check_the_person_is_nowhere_else(cloud: LocalCloud, seeded: Seeded) -> None:
    """The people are in dim_customers, in the files that brought them and in the rejected file, and nowhere else."""
    mark, people = seeded.crowd.mark, seeded.crowd.people
    # The mark is found where it belongs, so the searches below can find it too.
    assert sum(mark in str(row["email"]) for row in rows_of(cloud, DIM_CUSTOMERS)) == people
    held = list(objects(cloud, "work_bucket"))
    rejected = [content for key, content in held if key.startswith(REJECTED) and mark.encode() in content]
    assert [content.count(mark.encode()) >= people // 12 for content in rejected] == [True]
    assert {report_key(seeded.day.load_id, 1), page_key(seeded.day.load_id, 1)} <= {key for key, _ in held}

    mails = [f"{mail.subject}\n{mail.body}" for mail in cloud.mails() if mark in mail.subject + mail.body]
    assert mails == []
    # An attempt's staged rows are deleted when it ends, and S3 forgets their old versions after a day.
    elsewhere = [(key, content) for key, content in held if not key.startswith((REJECTED, STAGING, CODE))]
    assert any(key.startswith(REPORTS) for key, _ in elsewhere)
    assert [key for key, content in elsewhere if mark.encode() in content] == []
    assert keys_in(cloud, "work_bucket", STAGING) == []
    assert [f"{name}: {line[:500]}" for name, line in logged(cloud) if mark in line] == []
    tables = [table for table in WAREHOUSE_TABLES if table is not DIM_CUSTOMERS]
    assert [table.name for table in tables if mark in repr(rows_of(cloud, table))] == []


def places_of(cloud: LocalCloud, token: str) -> list[str]:
    """The places that contain a text: any version of any object of any bucket, tables, mails and logs."""
    places = [
        f"{bucket} {key}" for bucket in BUCKETS for key, content in objects(cloud, bucket) if token.encode() in content
    ]
    places += [table.name for table in WAREHOUSE_TABLES if token in repr(rows_of(cloud, table))]
    places += [mail.subject for mail in cloud.mails() if token in mail.subject + mail.body]
    return places + [name for name, line in logged(cloud) if token in line]


@pytest.mark.parametrize(
    ("people", "day"), [pytest.param(60, 1, id="few"), pytest.param(10_000, 2, id="many", marks=pytest.mark.slow)]
)
def test_people_are_nowhere_else_and_once_forgotten_nowhere(
    undisturbed: LocalCloud, operator: Terminal, people: int, day: int
) -> None:
    seeded = seed(undisturbed, Crowd(people, f"seeded{day}person"), day)
    check_the_person_is_nowhere_else(undisturbed, seeded)
    crowd, fact = seeded.crowd, found_fact(undisturbed)

    forgotten = (0, 1, 30, 40, 50)
    for number in forgotten:
        assert places_of(undisturbed, crowd.token(number))
        forgotten_now = operator.json("forget", crowd.name(number), "--yes")
        assert forgotten_now["in_warehouse"] is True
        if number == forgotten[0]:
            assert {touched["action"] for touched in forgotten_now["touched"]} == {REWRITTEN, MOVED, DELETED}
    for number in forgotten:
        assert places_of(undisturbed, crowd.token(number)) == []
    names = {row["customer_id"]: row["first_name"] for row in rows_of(undisturbed, DIM_CUSTOMERS)}
    expected = {crowd.name(n): None if n in forgotten else crowd.token(n) for n in range(people)}
    assert {name: value for name, value in names.items() if name in expected} == expected

    refused = seeded.refused["an id that is too long"]
    for drop, place in ((seeded.loaded, Phase.ARCHIVED), (refused, Phase.FAILED), (seeded.day, Phase.ARCHIVED)):
        (load,) = operator.json("replay", drop.load_id)["loads"]
        assert load["reason"] == "attempt 2 starts from the archive"
        undisturbed.wait_until_idle(SETTLED_WITHIN_SECONDS)
        assert phase_of(undisturbed, drop) is place
    for number in forgotten:
        assert places_of(undisturbed, crowd.token(number)) == [], "a replay restores no personal data"
    assert found_fact(undisturbed) == fact
    assert operator.json("forget", crowd.name(0), "--yes")["touched"] == []
