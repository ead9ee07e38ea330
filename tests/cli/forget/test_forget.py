"""Forgetting a customer in buckets with many versions: what is removed, what stays, and kills at any point."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import polars as pl
import pytest

import cli.forget.forgetting
from cli.forget.forgetting import Forgotten, forget_customer
from cli.forget.traces import DELETED, MOVED, REWRITTEN
from cli.pipelines.pipeline import Pipeline
from cli.pipelines.statements import Result
from cli.refusals import Refused
from lambdas.archived_copies import find_copy
from lambdas.leases import LeaseStore
from schemas.drops import Drop
from schemas.runs import JobArguments, encode_job_arguments
from schemas.sources import DEFAULT
from schemas.warehouse.person import count_others_with_address, forget_person, select_person
from schemas.work_bucket import (
    claim_key,
    open_key,
    rejected_folder,
    rejected_key,
    rejected_part,
    report_key,
    staging_prefix,
)
from tests.lambdas.archive.archiving import archive, loaded
from tests.lambdas.cloud import ARCHIVE, DAY_KEY, DROPS, SESSION, WORK, Cloud, Killed, running_cloud
from tests.lambdas.reports import failed

pytestmark = pytest.mark.flow

CUSTOMERS_KEY = "dimensions/dim_customers.csv"
HEADER = "customer_id,first_name,last_name,email,membership_level\n"
SALES = "transaction_id,customer_id,product_id,quantity,transaction_date,status,mail"
ADDRESS, OLD_ADDRESS = "ada@example.com", "ada@old.example"
_DAY = date(2023, 3, 15), "transactions_2023-03-15.csv"


@dataclass
class Shop:
    """A small AWS, and the Data API's responses about dim_customers."""

    cloud: Cloud
    pipeline: Pipeline
    customers: dict[str, list[str | None]] = field(default_factory=dict)

    def run_statement(self, _: Pipeline, statement: str, *, limit: int, customer_id: str, address: str = "") -> Result:
        assert limit == 1
        if statement == select_person():
            return Result([], [self.customers[customer_id]] if customer_id in self.customers else [], None, False)
        if statement == forget_person():
            self.customers[customer_id] = [None] * 3
            return Result([], [], 1, False)
        assert statement == count_others_with_address()
        others = [row[2] for name, row in self.customers.items() if name != customer_id]
        return Result([], [[sum((email or "").lower() == address.lower() for email in others)]], None, False)

    def forget(self, customer_id: str = "C1", *, is_dry_run: bool = False) -> Forgotten:
        return forget_customer(self.pipeline, customer_id, is_dry_run=is_dry_run)

    def archived(self, key: str, *rows: str, header: str = HEADER) -> Drop:
        drop = self.cloud.drop(key, (header + "".join(f"{row}\n" for row in rows)).encode(), ContentType="text/csv")
        assert archive(loaded(self.cloud, drop))
        for run in self.cloud.runs():
            run.status = "SUCCEEDED"
        return drop

    def text_of(self, drop: Drop) -> str:
        """The content that a replay of an archived drop reads."""
        copy = find_copy(self.cloud.s3, LeaseStore(self.cloud.s3, WORK), ARCHIVE, drop)
        assert copy is not None
        named = {"Bucket": copy.bucket, "Key": copy.key, "VersionId": copy.version_id}
        return str(self.cloud.s3.get_object(**named)["Body"].read().decode())

    def everything(self) -> dict[tuple[str, str, str], str]:
        """Every version of every object."""
        result = {}
        for bucket in (DROPS, WORK, ARCHIVE):
            for version in self.cloud.s3.list_object_versions(Bucket=bucket).get("Versions", []):
                named = {"Bucket": bucket, "Key": version["Key"], "VersionId": version["VersionId"]}
                result[bucket, version["Key"], version["VersionId"]] = (
                    self.cloud.s3.get_object(**named)["Body"].read().decode()
                )
        return result

    def claim(self, drop: Drop, run_id: str | None) -> None:
        """An attempt that has begun and that `sweep` has recorded."""
        payload = {"bucket": drop.bucket, "key": drop.key, "version_id": drop.version_id, "attempt": 1, "tries": 1}
        body = json.dumps({**payload, "job_name": "sales", "run_id": run_id, "load_id": drop.load_id}).encode()
        self.cloud.s3.put_object(Bucket=WORK, Key=claim_key(drop.load_id, 1), Body=body)
        self.cloud.s3.put_object(Bucket=WORK, Key=open_key(drop.load_id, 1, "ab"), Body=b"{}")


def opened(cloud: Cloud, patch: pytest.MonkeyPatch) -> Shop:
    texts = dict.fromkeys(JobArguments.__dataclass_fields__, "1")
    arguments = encode_job_arguments({**texts, "source_settings": DEFAULT.to_argument()})
    command = {"Name": "pythonshell", "ScriptLocation": "s3://shop-work/code/glue_entry.py"}
    cloud.glue.create_job(Name="sales", Role="job", Command=command, NonOverridableArguments=arguments)
    names: Mapping[str, Any] = {
        "drop_bucket": DROPS,
        "work_bucket": WORK,
        "archive_bucket": ARCHIVE,
        "transactions_job": "sales",
    }
    shop = Shop(cloud, Pipeline("the shop", names, SESSION))
    patch.setattr(cli.forget.forgetting, "run_statement", shop.run_statement)
    shop.customers = {"C1": ["Ada", "King", ADDRESS], "C2": ["Bob", "Byron", "bob@example.com"]}
    return shop


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    with running_cloud() as cloud:
        yield opened(cloud, monkeypatch)


def dying_at(client: Any, number: int, moment: str) -> Callable[[], None]:
    """The process dies before or after its nth write. Returns a function that removes the trap."""
    seen = 0

    def die(**_: Any) -> None:
        nonlocal seen
        seen += 1
        if seen == number:
            raise Killed(number)

    events = [f"{moment}-call.s3.{operation}" for operation in ("PutObject", "DeleteObject")]
    for event in events:
        client.meta.events.register(event, die)
    return lambda: [client.meta.events.unregister(event, die) for event in events] and None


@dataclass(frozen=True)
class Uploads:
    """Files in every place that can contain a person."""

    first: Drop
    other: Drop
    last: Drop
    sales: Drop
    refused: Drop
    rejected: str


def fill(shop: Shop) -> Uploads:
    cloud = shop.cloud
    uploads = Uploads(
        first=shop.archived(CUSTOMERS_KEY, f"C1,Ada,Byron,{OLD_ADDRESS},Gold", "C2,Bob,Byron,bob@example.com,Gold"),
        other=shop.archived("dimensions/dim_customers_new.csv", "C3,Eve,Moore,eve@example.com,Gold"),
        last=shop.archived(CUSTOMERS_KEY, "C2,Bob,Byron,bob@example.com,Gold"),
        sales=shop.archived(
            DAY_KEY,
            f"T1,C1,P1,1,2023-03-15,completed,{OLD_ADDRESS}",
            f"T2,C2,P1,1,2023-03-15,completed,for {OLD_ADDRESS}",
            header=f"{SALES}\n",
        ),
        refused=cloud.drop(CUSTOMERS_KEY, (HEADER + f"C1,Ada,King,{ADDRESS},Gold\n,x,y,z,Gold\n").encode()),
        rejected=rejected_key(*_DAY, "0" * 16),
    )
    cloud.put_report(failed(uploads.refused))
    shop.claim(uploads.refused, "run")
    rows = f'{SALES},source_line,reject_reasons,source_text\n,,,,,,,2,malformed_row,"T1,C1,{ADDRESS}"\n'
    for body in (rows, rows + ",,,,,,,3,malformed_row,x\n"):
        cloud.s3.put_object(Bucket=WORK, Key=uploads.rejected, Body=body.encode(), ContentType="text/csv")
    return uploads


def check(shop: Shop, uploads: Uploads) -> None:
    left = [place for place, text in shop.everything().items() if "Ada" in text or "ada@" in text.lower()]
    assert left == []
    assert shop.customers["C1"] == [None] * 3
    assert shop.text_of(uploads.first) == HEADER + "C1,,,,Gold\nC2,Bob,Byron,bob@example.com,Gold\n"
    assert shop.text_of(uploads.last) == HEADER + "C2,Bob,Byron,bob@example.com,Gold\n"
    assert shop.text_of(uploads.refused) == HEADER + "C1,,,,Gold\n,x,y,z,Gold\n"
    assert shop.text_of(uploads.sales).splitlines()[1:] == [
        "T1,C1,P1,1,2023-03-15,completed,",
        "T2,C2,P1,1,2023-03-15,completed,",
    ]
    s3 = shop.cloud.s3
    assert shop.cloud.versions(DROPS) == []
    heads = [
        s3.head_object(Bucket=ARCHIVE, Key=CUSTOMERS_KEY, VersionId=version)
        for version in shop.cloud.versions(ARCHIVE, CUSTOMERS_KEY)
    ]
    by_load = [head["Metadata"]["load-id"] for head in heads]
    assert by_load[0] == uploads.refused.load_id, "the newest upload is the current object"
    assert sorted(by_load) == sorted(drop.load_id for drop in (uploads.first, uploads.last, uploads.refused))
    assert {head["ContentType"] for head in heads[1:]} == {"text/csv"}
    rejected = s3.get_object(Bucket=WORK, Key=uploads.rejected)
    assert rejected["Body"].read().decode().splitlines()[1:] == [",,,,,,,2,malformed_row,", ",,,,,,,3,malformed_row,x"]
    assert rejected["ContentType"] == "text/csv"
    assert len(shop.cloud.versions(WORK, uploads.rejected)) == 1


def is_killed_at(patch: pytest.MonkeyPatch, number: int, moment: str) -> bool:
    """Kill one run at its nth write, and start another. False if the run has fewer writes."""
    with running_cloud() as cloud:
        shop = opened(cloud, patch)
        uploads = fill(shop)
        release = dying_at(shop.pipeline.client("s3"), number, moment)
        try:
            shop.forget()
            is_killed = False
        except Killed:
            is_killed = True
            release()
            shop.forget()
        check(shop, uploads)
    return is_killed


@pytest.mark.parametrize(("number", "moment"), [(1, "before"), (7, "after"), (10, "after")])
def test_killed_at_a_write_and_started_again_it_ends_the_same(
    monkeypatch: pytest.MonkeyPatch, number: int, moment: str
) -> None:
    assert is_killed_at(monkeypatch, number, moment)


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["before", "after"])
def test_killed_at_any_write_and_started_again_it_ends_the_same(monkeypatch: pytest.MonkeyPatch, moment: str) -> None:
    number = 1
    while is_killed_at(monkeypatch, number, moment):
        number += 1
    assert number > 12


def test_the_note_says_what_was_touched_and_nobodys_name(shop: Shop) -> None:
    uploads = fill(shop)
    result = shop.forget()
    assert [(trace.version.key, trace.action) for trace in result.traces] == [
        (uploads.rejected, REWRITTEN),
        (uploads.rejected, DELETED),
        (DAY_KEY, REWRITTEN),
        (CUSTOMERS_KEY, REWRITTEN),
        (CUSTOMERS_KEY, MOVED),
    ]
    assert result.note_uri is not None
    note = shop.cloud.read(result.note_uri.removeprefix(f"s3://{WORK}/"))
    assert note == result.as_json()
    assert not {"Ada", "King", ADDRESS} & set(json.dumps(note).split('"'))
    assert shop.forget().traces == []


def test_a_dry_run_lists_the_same_and_changes_nothing(shop: Shop) -> None:
    fill(shop)
    before = shop.everything()
    listed = shop.forget(is_dry_run=True)
    assert (shop.everything(), shop.customers["C1"][0]) == (before, "Ada")
    assert [trace.version for trace in listed.traces] == [trace.version for trace in shop.forget().traces]


def test_an_unknown_customer_is_one_sentence(shop: Shop) -> None:
    fill(shop)
    with pytest.raises(Refused, match="no customer 'C9' is known: neither dim_customers nor any file has one"):
        shop.forget("C9")


def test_a_customer_of_files_alone_is_forgotten(shop: Shop) -> None:
    drop = shop.archived(CUSTOMERS_KEY, "C7,Ida,Rhodes,ida@example.com,Gold")
    assert not shop.forget("C7").was_in_warehouse
    assert shop.text_of(drop) == HEADER + "C7,,,,Gold\n"


def test_a_file_on_its_way_has_to_arrive_first(shop: Shop) -> None:
    drop = shop.cloud.drop(CUSTOMERS_KEY, (HEADER + f"C1,Ada,King,{ADDRESS},Gold\n").encode())
    before = shop.everything()
    with pytest.raises(Refused, match="names C1 and is queued; wait until it is archived or has failed"):
        shop.forget()
    shop.claim(drop, shop.cloud.glue.start_job_run(JobName="sales")["JobRunId"])
    with pytest.raises(Refused, match=r"dim_customers\.csv \(load [0-9a-f]{16}\) is running; wait until it is over"):
        shop.forget()
    assert {place: text for place, text in shop.everything().items() if place[0] == DROPS} == before


def test_a_withdrawn_file_is_deleted(shop: Shop) -> None:
    shop.cloud.drop(CUSTOMERS_KEY, (HEADER + f"C1,Ada,King,{ADDRESS},Gold\n").encode())
    shop.cloud.s3.delete_object(Bucket=DROPS, Key=CUSTOMERS_KEY)
    assert [trace.action for trace in shop.forget().traces] == [DELETED]
    assert shop.cloud.versions(DROPS) == []


def test_an_address_that_another_customer_has_too_stays_there(shop: Shop) -> None:
    shop.customers["C2"][2] = ADDRESS.upper()
    drop = shop.archived(CUSTOMERS_KEY, f"C1,Ada,King,{ADDRESS},Gold", f"C2,Bob,Byron,{ADDRESS},Gold")
    assert shop.forget().shared_addresses == 1
    assert shop.text_of(drop) == HEADER + f"C1,,,,Gold\nC2,Bob,Byron,{ADDRESS},Gold\n"


def test_a_report_loses_the_address(shop: Shop) -> None:
    shop.archived(CUSTOMERS_KEY, f"C1,Ada,King,{ADDRESS},Gold")
    drop = shop.archived(DAY_KEY, "T1", header="transaction_id\n")
    key = report_key(drop.load_id, 2)
    shop.cloud.s3.put_object(Bucket=WORK, Key=key, Body=f'{{"sentence": "no status: {ADDRESS}"}}\n'.encode())
    shop.forget()
    assert shop.cloud.read(key) == {"sentence": "no status: forgotten"}


def test_every_part_of_a_folder_of_rejected_rows_loses_the_person(shop: Shop) -> None:
    shop.archived(CUSTOMERS_KEY, f"C1,Ada,King,{ADDRESS},Gold")
    header = f"{SALES},source_line,reject_reasons,source_text\n"
    rows = (
        f"T7,C1,P1,none,2023-03-15,completed,{ADDRESS},7,invalid_quantity,\n",
        f',,,,,,,8,malformed_row,"T8,{ADDRESS}"\n',
    )
    keys = [rejected_folder(*_DAY, "0" * 16) + rejected_part(_DAY[0], "0" * 16, number) for number in (1, 2)]
    for key, row in zip(keys, rows, strict=True):
        for body in (header + row, header + row + "T9,C2,P1,none,2023-03-15,completed,,9,invalid_quantity,\n"):
            shop.cloud.s3.put_object(Bucket=WORK, Key=key, Body=body.encode())
    shop.forget()
    left = {key: text.splitlines()[1:] for (bucket, key, _), text in shop.everything().items() if key in keys}
    assert left == {
        keys[0]: [
            "T7,C1,P1,none,2023-03-15,completed,,7,invalid_quantity,",
            "T9,C2,P1,none,2023-03-15,completed,,9,invalid_quantity,",
        ],
        keys[1]: [",,,,,,,8,malformed_row,", "T9,C2,P1,none,2023-03-15,completed,,9,invalid_quantity,"],
    }
    assert not [place for place, text in shop.everything().items() if "ada@" in text.lower()]
    assert [len(shop.cloud.versions(WORK, key)) for key in keys] == [1, 1]


def test_staged_rows_that_were_deleted_are_deleted_for_good(shop: Shop) -> None:
    shop.archived(CUSTOMERS_KEY, f"C1,Ada,King,{ADDRESS},Gold")
    named, blank = io.BytesIO(), io.BytesIO()
    frame = pl.DataFrame({"customer_id": ["C1"], "first_name": ["Ada"], "last_name": ["King"], "email": [ADDRESS]})
    frame.write_parquet(named)
    # Replaying a rewritten file stages the customer without a name.
    frame.with_columns(pl.lit(None).alias(name) for name in frame.columns[1:]).write_parquet(blank)
    for number, body in enumerate((named, blank)):
        key = f"{staging_prefix('0' * 16, number)}part-00000.parquet"
        shop.cloud.s3.put_object(Bucket=WORK, Key=key, Body=body.getvalue())
        shop.cloud.s3.delete_object(Bucket=WORK, Key=key)
    shop.forget()
    assert len(shop.cloud.versions(WORK, "staging/")) == 1
