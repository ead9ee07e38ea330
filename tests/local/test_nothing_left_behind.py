"""Operations after a load, each from a user's command or upload: replay, waiting rows, retraction, replacement,
withdrawal.

Files are uploaded to the drop bucket and commands typed. Events, the queue and the sweep do the rest.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from cli.drops.status import Phase
from local.local_cloud import LocalCloud
from local.runtime.event_router import Delivery
from schemas.counts import COUNTS
from schemas.drops import Drop
from schemas.messages import drop_message
from schemas.runs import decode_run
from schemas.warehouse.tables import FACT_TRANSACTIONS, LEDGER_AMOUNTS, LOAD_LEDGER
from schemas.work_bucket import OPEN
from tests.cli.terminals import Terminal, terminal
from tests.faults.model import found_fact, keys_in, rows_of
from tests.local.local_clouds import mails_about, phase_of, put, runs_of, started, transactions, transactions_key

pytestmark = pytest.mark.flow

SETTLED_WITHIN_SECONDS = 500.0
PRODUCTS = "product_id,product_name,category,price,supplier_id\n"
CUSTOMERS = "customer_id,first_name,last_name,email,membership_level\n"
SALE = "{id},{customer},{product},{quantity},2023-03-{day:02},{status}"


@pytest.fixture(scope="module")
def operator(cloud: LocalCloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terminal]:
    with terminal(cloud, tmp_path_factory.mktemp("operator") / "running.json") as opened:
        yield opened


Fates = Sequence[Sequence[float]]
ONCE: Fates = ((0.0,),)
NEVER: Fates = ((),)


@dataclass
class Deliveries:
    """A delivery policy. Each kind of event has a list of deliveries, used in turn: the seconds until each delivery."""

    object_event: Fates = ONCE
    run_event: Fates = ONCE
    invocation: Fates = ONCE
    # On a busy machine the scheduled sweep could run in the middle of a test, so tests call `tick` themselves.
    schedule: Fates = NEVER
    lost: int = 0
    doubled: int = 0
    _seen: Counter[str] = field(default_factory=Counter)

    def __call__(self, delivery: Delivery) -> Sequence[float]:
        fates: Fates = getattr(self, delivery.kind.replace(" ", "_"))
        fate = fates[self._seen[delivery.kind] % len(fates)]
        self._seen[delivery.kind] += 1
        self.lost += not fate and delivery.kind != "schedule"
        self.doubled += len(fate) > 1
        return fate


def settle(cloud: LocalCloud) -> None:
    cloud.wait_until_idle(SETTLED_WITHIN_SECONDS)


def wait_for_the_next_second() -> None:
    """S3's times have whole seconds, so two uploads within one second have no certain order."""
    second = int(datetime.now(UTC).timestamp())
    while int(datetime.now(UTC).timestamp()) == second:
        time.sleep(0.02)


def upload(cloud: LocalCloud, key: str, content: str) -> Drop:
    """Upload a file in a later second than every file before it."""
    wait_for_the_next_second()
    return put(cloud, key, content.encode("utf-8"))


def upload_products(cloud: LocalCloud, **prices: str) -> Drop:
    rows = [f"{name},Thing {name},Things,{price},S1\n" for name, price in prices.items()]
    return upload(cloud, "dimensions/dim_products.csv", PRODUCTS + "".join(rows))


def upload_customers(cloud: LocalCloud, *names: str) -> Drop:
    rows = [f"{name},Ada,Lovelace,{name}@example.com,Gold\n" for name in names]
    return upload(cloud, "dimensions/dim_customers.csv", CUSTOMERS + "".join(rows))


def sale(name: str, day: int, **other: object) -> str:
    """A row of a file: by default three of the sample product, bought by the sample customer."""
    values = {"quantity": 3, "status": "completed", "customer": "C12345", "product": "P12345", **other}
    return SALE.format(id=name, day=day, **values)


def upload_day(cloud: LocalCloud, day: int, *rows: str) -> Drop:
    return upload(cloud, transactions_key(day), transactions(*rows).decode("utf-8"))


def rows_about(cloud: LocalCloud, prefix: str) -> dict[str, dict[str, Any]]:
    """The fact's rows whose transaction_id begins with this text."""
    return {name: row for name, row in found_fact(cloud).items() if name.startswith(prefix)}


def amounts(cloud: LocalCloud, prefix: str) -> dict[str, str]:
    return {name: str(row["total_amount"]) for name, row in rows_about(cloud, prefix).items()}


def check_ledger(cloud: LocalCloud) -> None:
    """The ledger's sums of rows and money equal the fact's, and each entry adds up."""
    ledger, changes, fact = (rows_of(cloud, table) for table in (LOAD_LEDGER, LEDGER_AMOUNTS, FACT_TRANSACTIONS))
    for entry in ledger:
        assert entry["rows_read"] == sum(entry[name] for name in COUNTS if name != "rows_read"), entry
    assert sum(entry["inserted"] - entry["removed"] for entry in ledger) == len(fact)
    assert sum(change["row_count"] for change in changes) == len(fact)
    for column in ("status", "amount_class"):
        booked: dict[str, Decimal] = {}
        held: dict[str, Decimal] = {}
        for change in changes:
            booked[change[column]] = booked.get(change[column], Decimal(0)) + change["amount"]
        for row in fact:
            held[row[column]] = held.get(row[column], Decimal(0)) + row["total_amount"]
        assert {name: amount for name, amount in booked.items() if amount} == held


def nothing_moves(cloud: LocalCloud) -> None:
    """Two ticks of the sweep start no run and send no mail."""
    before = len(cloud.runs()), len(cloud.mails())
    for _ in range(2):
        cloud.router.tick(grace_seconds=0)
        settle(cloud)
    assert (len(cloud.runs()), len(cloud.mails())) == before


def test_replay_prices_an_archived_load_again(undisturbed: LocalCloud, operator: Terminal) -> None:
    upload_products(undisturbed, PA1="10.00", PA2="20.00")
    settle(undisturbed)
    drop = upload_day(undisturbed, 1, sale("A1", 1, product="PA1"), sale("A2", 1, product="PA2"))
    settle(undisturbed)
    assert phase_of(undisturbed, drop) is Phase.ARCHIVED
    upload_products(undisturbed, PA1="12.50")
    settle(undisturbed)
    assert amounts(undisturbed, "A") == {"A1": "30.00", "A2": "60.00"}, "a correction alone changes no price"

    result = operator.json("replay", drop.load_id)
    assert [(load["starts"], load["reason"]) for load in result["loads"]] == [
        (True, "attempt 2 starts from the archive")
    ]
    settle(undisturbed)
    assert amounts(undisturbed, "A") == {"A1": "37.50", "A2": "60.00"}
    _, second = (decode_run(run.arguments) for run in runs_of(undisturbed, drop))
    assert second is not None
    assert second.archived is not None
    assert second.archived.bucket == undisturbed.outputs["archive_bucket"]
    _, mail = mails_about(undisturbed, drop)
    assert "1 Mar loaded again: +7.50" in mail
    check_ledger(undisturbed)
    nothing_moves(undisturbed)


def test_a_row_flows_in_when_its_customer_comes(undisturbed: LocalCloud) -> None:
    first = upload_day(undisturbed, 2, sale("B1", 2), sale("B2", 2, customer="CB1"), sale("B3", 2))
    second = upload_day(
        undisturbed, 3, sale("B4", 3), sale("B5", 3, customer="CB1", product="PB1"), sale("B6", 3), sale("B1", 3)
    )
    settle(undisturbed)
    assert sorted(amounts(undisturbed, "B")) == ["B1", "B3", "B4", "B6"]
    upload_customers(undisturbed, "CB9")
    settle(undisturbed)
    nothing_moves(undisturbed)
    assert [len(runs_of(undisturbed, drop)) for drop in (first, second)] == [1, 1], "their customers have not arrived"

    upload_customers(undisturbed, "CB1")
    settle(undisturbed)
    assert sorted(amounts(undisturbed, "B")) == ["B1", "B2", "B3", "B4", "B6"]
    assert mails_about(undisturbed, first)[1:] == ["[dev] 2 Mar: 1 waiting row loaded, +89.97"]
    assert len(mails_about(undisturbed, second)) == 1, "its row still waits for a product"
    nothing_moves(undisturbed)

    upload_products(undisturbed, PB1="5.00")
    settle(undisturbed)
    assert amounts(undisturbed, "B")["B5"] == "15.00"
    assert mails_about(undisturbed, second)[1:] == ["[dev] 3 Mar: 1 waiting row loaded, +15.00"]
    check_ledger(undisturbed)
    nothing_moves(undisturbed)
    assert [len(runs_of(undisturbed, drop)) for drop in (first, second)] == [2, 2]


def test_a_refused_day_is_loaded_when_its_customers_come(undisturbed: LocalCloud) -> None:
    rows = [sale(f"E{number}", 4, customer="CE1") for number in range(5)]
    day = upload_day(undisturbed, 4, *rows, sale("E9", 4))
    settle(undisturbed)
    [refused] = mails_about(undisturbed, day)
    assert refused.startswith("[dev] 4 Mar NOT loaded")
    nothing_moves(undisturbed)
    assert amounts(undisturbed, "E") == {}

    upload_customers(undisturbed, "CE1")
    settle(undisturbed)
    assert sorted(amounts(undisturbed, "E")) == ["E0", "E1", "E2", "E3", "E4", "E9"]
    assert phase_of(undisturbed, day) is Phase.ARCHIVED
    assert mails_about(undisturbed, day)[1:] == ["[dev] 4 Mar loaded: +539.82, 6 rows"]
    upload_customers(undisturbed, "CE1")
    settle(undisturbed)
    nothing_moves(undisturbed)
    assert len(runs_of(undisturbed, day)) == 2
    check_ledger(undisturbed)


def test_a_retracted_file_leaves_no_trace_in_the_table(undisturbed: LocalCloud, operator: Terminal) -> None:
    upload_day(undisturbed, 5, sale("R1", 5, status="pending"), sale("R2", 5))
    settle(undisturbed)
    without = found_fact(undisturbed)
    drop = upload_day(undisturbed, 6, sale("R1", 6), sale("R3", 6), sale("R4", 6, customer="CR1"))
    settle(undisturbed)
    loaded = found_fact(undisturbed)
    assert loaded != without

    assert operator.json("retract", drop.load_id, "--yes")["starts"] is True
    operator.json("retract", drop.load_id, "--yes")
    settle(undisturbed)
    assert found_fact(undisturbed) == without
    assert mails_about(undisturbed, drop)[1:] == ["[dev] 6 Mar taken back: -89.97, 1 transaction removed"]
    check_ledger(undisturbed)
    upload_customers(undisturbed, "CR1")
    settle(undisturbed)
    assert found_fact(undisturbed) == without, "a row of a retracted file no longer waits"
    nothing_moves(undisturbed)

    operator.json("replay", drop.load_id)
    settle(undisturbed)
    again = found_fact(undisturbed)
    assert again.pop("R4")["customer_id"] == "CR1"
    assert again == loaded
    check_ledger(undisturbed)


@pytest.mark.parametrize("wrong", ["a date", "a status", "a day"])
def test_a_correction_of_too_late_a_date_counts_in_the_end(
    undisturbed: LocalCloud, operator: Terminal, wrong: str
) -> None:
    """The operator types only the commands in the mails."""
    name = f"L{wrong[2:]}"
    right = sale(name, 7, quantity=5)
    mistyped = {
        "a date": (7, sale(name, 7).replace("2023-03-07", "2023-03-07T23:59:59Z")),
        "a status": (7, sale(name, 7, status="refunded")),
        "a day": (8, sale(name, 7)),
    }
    first = upload_day(undisturbed, *mistyped[wrong])
    settle(undisturbed)
    correction = upload_day(undisturbed, 7, right)
    settle(undisturbed)
    assert amounts(undisturbed, name) == {name: "89.97"}
    [body] = [mail.body for mail in undisturbed.mails() if correction.load_id in mail.body]
    assert "1  older than the row in the warehouse, so not used; `pipeline explain ID` says why" in body

    winner, *_ = operator.json("explain", name)["rows"]
    assert winner["load_id"] == first.load_id
    operator.json("retract", winner["load_id"], "--yes")
    settle(undisturbed)
    assert amounts(undisturbed, name) == {name: "149.95"}
    check_ledger(undisturbed)
    nothing_moves(undisturbed)


def test_the_newest_upload_of_a_day_replaces_the_others(tmp_path: Path) -> None:
    with started(tmp_path, {"sampleDimensions": "true", "sameKey": "replace"}) as cloud:
        deliveries = Deliveries()
        cloud.router.delivery_policy = deliveries
        settle(cloud)
        upload_day(cloud, 1, sale("D1", 1), sale("D2", 1))
        settle(cloud)
        upload_day(cloud, 1, sale("D1", 1))
        settle(cloud)
        assert sorted(amounts(cloud, "D")) == ["D1"], "the row that the correction left out is gone"
        check_ledger(cloud)

        upload_day(cloud, 2, sale("D3", 2), sale("D4", 2))
        settle(cloud)
        deliveries.object_event = NEVER
        late = upload_day(cloud, 2, sale("D3", 2), sale("D5", 2))
        deliveries.object_event = ONCE
        newest = upload_day(cloud, 2, sale("D3", 2, quantity=1))
        settle(cloud)
        before = rows_about(cloud, "D")
        assert sorted(before) == ["D1", "D3"]
        cloud.router.tick(grace_seconds=0)
        settle(cloud)
        assert rows_about(cloud, "D") == before, "an older upload that arrives late changes nothing"
        assert [len(mails_about(cloud, drop)) for drop in (late, newest)] == [1, 1]
        archived = cloud.client("s3").get_object(Bucket=cloud.outputs["archive_bucket"], Key=newest.key)
        assert archived["Metadata"]["source-version-id"] == newest.version_id
        check_ledger(cloud)
        nothing_moves(cloud)


def test_a_withdrawn_file_is_not_loaded_and_its_correction_is(undisturbed: LocalCloud) -> None:
    undisturbed.router.delivery_policy = Deliveries(object_event=NEVER)
    drop = upload_day(undisturbed, 8, sale("W1", 8), sale("W2", 8))
    wait_for_the_next_second()
    undisturbed.client("s3").delete_object(Bucket=drop.bucket, Key=drop.key)
    undisturbed.client("sqs").send_message(QueueUrl=undisturbed.outputs["queue_url"], MessageBody=drop_message(drop))
    settle(undisturbed)
    nothing_moves(undisturbed)
    assert runs_of(undisturbed, drop) == []

    undisturbed.router.delivery_policy = Deliveries()
    corrected = upload_day(undisturbed, 8, sale("W1", 8, quantity=1))
    settle(undisturbed)
    assert amounts(undisturbed, "W") == {"W1": "29.99"}
    assert mails_about(undisturbed, corrected) == ["[dev] 8 Mar loaded: +29.99, 1 row"]
    assert (runs_of(undisturbed, drop), mails_about(undisturbed, drop)) == ([], [])
    check_ledger(undisturbed)
    nothing_moves(undisturbed)


def finish(cloud: LocalCloud) -> None:
    """Tick the sweep until nothing is left to do."""
    for _ in range(12):
        settle(cloud)
        before = len(cloud.runs()), len(cloud.mails())
        cloud.router.tick(grace_seconds=0)
        settle(cloud)
        is_quiet = before == (len(cloud.runs()), len(cloud.mails()))
        # A withdrawn version stays in the drop bucket, below its delete marker.
        left = keys_in(cloud, "drop_bucket") + keys_in(cloud, "work_bucket", OPEN)
        if is_quiet and not left:
            return
    pytest.fail(f"still open: {left}")


@pytest.mark.slow
def test_events_that_are_lost_or_doubled_change_none_of_it(undisturbed: LocalCloud, operator: Terminal) -> None:
    chaos = Deliveries(object_event=((), (0.0, 0.0)), run_event=((0.0, 0.3), (), ()), invocation=((0.0, 0.2),))
    finish(undisturbed)
    undisturbed.router.delivery_policy = chaos
    upload_products(undisturbed, PX1="10.00")
    finish(undisturbed)
    kept = upload_day(undisturbed, 11, sale("X1", 11, product="PX1"), sale("X2", 11, customer="CX1"), sale("X3", 11))
    finish(undisturbed)
    retracted = upload_day(undisturbed, 12, sale("X3", 12), sale("X4", 12, customer="CX1"), sale("X5", 12))
    finish(undisturbed)
    upload_products(undisturbed, PX1="12.50")
    upload_customers(undisturbed, "CX1")
    finish(undisturbed)
    for _ in range(2):
        operator.json("replay", kept.load_id)
    finish(undisturbed)
    for _ in range(2):
        operator.json("retract", retracted.load_id, "--yes")
    finish(undisturbed)
    assert amounts(undisturbed, "X") == {"X1": "37.50", "X2": "89.97", "X3": "89.97"}
    assert {row["load_id"] for row in rows_about(undisturbed, "X").values()} == {kept.load_id}
    # Loaded, waiting rows loaded, replayed or taken back.
    assert [len(mails_about(undisturbed, drop)) for drop in (kept, retracted)] == [3, 3]
    assert [len(runs_of(undisturbed, drop)) for drop in (kept, retracted)] == [3, 3]
    assert chaos.lost > 3
    assert chaos.doubled > 3
    check_ledger(undisturbed)
    assert undisturbed.queue("dead_letter_queue_url").all == 0
