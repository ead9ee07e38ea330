"""Backfills beside a running local pipeline: killed, stopped by a dimension, and read from a bucket."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

import cli.pipelines.local
from tests.cli.terminals import ROOT, Terminal
from tests.local.local_clouds import put, transactions

pytestmark = pytest.mark.flow

_KILLED = """
import sys
from pathlib import Path
import cli.pipelines.local
from cli.main import app
cli.pipelines.local.STATE_FILE = Path(sys.argv[1])
app(["backfill", sys.argv[2], "--batch", "1"])
"""


def test_a_backfill_that_is_killed_goes_on_and_sends_one_digest(shop: Terminal, tmp_path: Path) -> None:
    days, month = 4, 4
    for day in range(1, days + 1):
        row = f"B{month}-{day},C12345,P12345,{day},2023-{month:02}-{day:02},Completed"
        (tmp_path / f"till_2023-{month:02}-{day:02}.csv").write_bytes(transactions(row))
    mails = len(shop.cloud.mails())
    assert len(shop.json("backfill", str(tmp_path), "--dry-run")["dropped"]) == days

    def of_the_month() -> list[dict[str, object]]:
        return [load for load in shop.json("loads")["loads"] if str(load["day"]).startswith(f"2023-{month:02}-")]

    state = str(cli.pipelines.local.STATE_FILE)
    process = subprocess.Popen([sys.executable, "-c", _KILLED, state, str(tmp_path)], cwd=ROOT)
    while len(of_the_month()) < days // 2:
        assert process.poll() is None
        time.sleep(0.2)
    process.kill()
    process.wait()

    left = shop.json("backfill", str(tmp_path), "--dry-run")["dropped"]
    assert 0 < len(left) < days
    resumed = shop.json("backfill", str(tmp_path), "--batch", "3")
    assert resumed["dropped"] == left
    shop.cloud.wait_until_idle()
    assert sorted(str(load["file"]) for load in of_the_month()) == sorted(path.name for path in tmp_path.iterdir())
    assert {load["stage"] for load in of_the_month()} == {"archived"}
    query = f"SELECT transaction_id, quantity FROM fact_transactions WHERE transaction_id LIKE 'B{month}-%'"
    assert sorted(shop.json("sql", query)["rows"]) == sorted([f"B{month}-{day}", day] for day in range(1, days + 1))
    assert [mail.subject for mail in shop.cloud.mails()[mails:]] == [
        f"[local] Backfill of {days} files: +{planned_money(shop, month)}, {days} rows"
    ]

    again = shop.json("backfill", str(tmp_path))
    assert (again["dropped"], len(shop.cloud.mails())) == ([], mails + 1)
    single = put(shop.cloud, f"transactions/year=2023/month={month:02}/day=28/x.csv", transactions("B,C,P,1,2,3"))
    shop.cloud.wait_until_idle()
    assert [single.load_id in mail.body for mail in shop.cloud.mails()[mails + 1 :]] == [True]


def test_a_backfill_stops_at_a_refused_dimension_and_goes_on(shop: Terminal, tmp_path: Path) -> None:
    heading = "product_id,product_name,category,price,supplier_id\n"
    products = tmp_path / "dim_products.csv"
    products.write_text(f"{heading}N1,New,Toys,cheap,S1\n")
    for day in (1, 2):
        row = transactions(f"N{day},C12345,N1,{day},2023-07-0{day},Completed")
        (tmp_path / f"till_2023-07-0{day}.csv").write_bytes(row)
    mails = len(shop.cloud.mails())
    for _ in range(2):
        stopped = shop.run("backfill", str(tmp_path), "-q")
        sentence = "dim_products.csv was not loaded, so no file of transactions was dropped: line 2: price 'cheap'"
        assert (stopped.exit_code, sentence in stopped.stderr, stopped.stderr.count("\n")) == (1, True, 1)
    shop.cloud.wait_until_idle()
    subject = "[local] Backfill stopped: dim_products.csv NOT loaded, 2 files not uploaded"
    assert [mail.subject for mail in shop.cloud.mails()[mails:]] == [subject]

    products.write_text(f"{heading}N1,New,Toys,5.00,S1\n")
    resumed = shop.json("backfill", str(tmp_path))
    assert [load["stage"] for load in resumed["loads"]] == ["archived"] * 3
    assert [mail.subject for mail in shop.cloud.mails()[mails + 1 :]] == ["[local] Backfill of 3 files: +15.00, 2 rows"]


def test_a_backfill_reads_a_bucket_whose_names_hold_the_day(shop: Terminal) -> None:
    s3, bucket = shop.cloud.client("s3"), f"old-{shop.cloud.outputs['drop_bucket']}"
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": shop.cloud.aws.region})
    for day in (1, 2, 3):
        row = transactions(f"S{day},C12345,P12345,{day},2023-06-0{day},Completed")
        s3.put_object(Bucket=bucket, Key=f"tills/till_0{day}062023.csv", Body=row)
    words = ("backfill", f"s3://{bucket}/tills/", "--name", "till_%d%m%Y.csv", "--to", "2023-06-02")
    keys = [f"transactions/year=2023/month=06/day=0{day}/till_0{day}062023.csv" for day in (1, 2)]
    assert shop.json(*words, "--dry-run")["dropped"] == keys
    assert shop.json(*words)["dropped"] == keys
    assert shop.json(*words)["dropped"] == []
    assert shop.json("sql", "SELECT transaction_id FROM fact_transactions WHERE transaction_id LIKE 'S%' ORDER BY 1")[
        "rows"
    ] == [["S1"], ["S2"]]


def planned_money(shop: Terminal, month: int) -> str:
    query = f"SELECT SUM(total_amount) FROM fact_transactions WHERE transaction_id LIKE 'B{month}-%'"
    ((amount,),) = shop.json("sql", query)["rows"]
    return f"{float(amount):,.2f}"
