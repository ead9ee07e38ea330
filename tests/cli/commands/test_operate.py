"""An operator's view of loads, queues, logs and tables, beside a running local pipeline."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from schemas.drops import Drop
from schemas.reports import beside_name
from schemas.work_bucket import OPEN, SWEEP
from tests.cli.terminals import Terminal
from tests.local.local_clouds import put, transactions, transactions_key

pytestmark = pytest.mark.flow

GOOD = "T{number},C12345,P12345,3,2023-03-{day:02},Completed"
LOADED = [GOOD.format(number=number, day=15) for number in range(1, 4)]
REJECTED = ["T8,C12345,P12345,none,2023-03-15,Completed", "T9,NOBODY,P12345,2,2023-03-15,sold"]


@pytest.fixture(scope="module")
def loaded(shop: Terminal) -> Drop:
    """A load with three good rows and two rejected ones."""
    drop = put(shop.cloud, transactions_key(15), transactions(*LOADED, *REJECTED))
    shop.cloud.wait_until_idle()
    return drop


@pytest.fixture(scope="module")
def failed(shop: Terminal) -> Drop:
    drop = put(shop.cloud, transactions_key(16, "broken.csv"), b"")
    shop.cloud.wait_until_idle()
    return drop


def test_loads_are_listed_the_latest_first(shop: Terminal, loaded: Drop, failed: Drop) -> None:
    listed = shop.json("loads")["loads"]
    assert [load["changed_at"] for load in listed] == sorted((load["changed_at"] for load in listed), reverse=True)
    assert {load["load_id"]: load["stage"] for load in listed}[loaded.load_id] == "archived"
    assert [load["load_id"] for load in shop.json("loads", "--failed")["loads"]] == [failed.load_id]
    assert len(shop.json("loads", "--limit", "2")["loads"]) == 2
    assert shop.json("loads", "--since", "2999-01-01")["loads"] == []
    assert shop.run("loads", "--since", "yesterday").exit_code == 2


def test_one_load_is_shown_with_its_rows_and_attempts(shop: Terminal, loaded: Drop) -> None:
    shown = shop.json("show", loaded.load_id)
    assert shown["load"]["counts"] | {"rows_read": 5, "inserted": 3, "rejected": 2} == shown["load"]["counts"]
    assert shown["reject_reasons"] == {"unknown_customer": 1, "invalid_quantity": 1, "invalid_status": 1}
    (attempt,) = shown["attempts"]
    assert (attempt["number"], attempt["state"], attempt["outcome"]) == (1, "SUCCEEDED", "succeeded")
    text = shop.run("show", "transactions_2023-03-15.csv").stdout
    assert text.startswith("transactions_2023-03-15.csv is archived: 5 rows: ")
    assert f"pipeline rejected {loaded.load_id}" in text
    assert f"archive  s3://{shop.cloud.outputs['archive_bucket']}/{loaded.key}" in text
    ((amount,),) = shop.json(
        "sql", "SELECT SUM(total_amount) FROM fact_transactions WHERE source_uri LIKE '%2023-03-15.csv'"
    )["rows"]
    assert ["all", f"{float(amount):+,.2f}"] in [line.split() for line in text.splitlines()]


def test_loads_are_opened_as_pages(
    shop: Terminal, loaded: Drop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    page = Path(shop.json("open", loaded.load_id, "--out", str(tmp_path))["page"])
    assert "transactions_2023-03-15.csv" in page.read_text()
    assert opened == [page.as_uri()]
    index = Path(shop.json("open", "--out", str(tmp_path), "--no-browser")["page"])
    assert page.relative_to(index.parent).as_posix() in index.read_text()
    assert len(opened) == 1


def test_a_failed_load_says_why_and_how_to_replay_it(shop: Terminal, failed: Drop) -> None:
    shown = shop.json("show", "broken.csv")
    assert shown["load"]["error"] == shown["attempts"][-1]["error"]
    text = shop.run("show", "broken.csv").stdout
    assert f"pipeline replay {failed.load_id}" in text
    assert f"pipeline open {failed.load_id}" in text
    sentence = beside_name(shown["load"]["error"], "broken.csv")
    assert (text.splitlines()[0], text.count(sentence)) == (f"broken.csv is not loaded: {sentence}", 1)


def test_a_range_with_a_part_that_is_no_day_is_refused(shop: Terminal) -> None:
    for words in ("2023-03-15..soon", "2023-03-15.."):
        refused = shop.run("replay", words)
        assert (refused.exit_code, f"{words} is not a range of days" in refused.stderr) == (2, True)


def test_a_name_of_several_loads_is_refused_with_their_ids(shop: Terminal) -> None:
    drops = [put(shop.cloud, transactions_key(20), transactions(GOOD.format(number=n, day=20))) for n in (50, 51)]
    shop.cloud.wait_until_idle()
    refused = shop.run("show", "2023-03-20")
    assert refused.exit_code == 2
    assert "names 2 loads; name one of them by its id" in refused.stderr
    assert all(drop.load_id in refused.stderr for drop in drops)


def test_rejected_rows_are_shown_by_reason_and_saved(shop: Terminal, loaded: Drop, tmp_path: Path) -> None:
    shown = shop.json("rejected", loaded.load_id)
    assert [(row["line"], sorted(row["reasons"])) for row in shown["rows"]] == [
        (5, ["invalid_quantity"]),
        (6, ["invalid_status", "unknown_customer"]),
    ]
    (only,) = shop.json("rejected", loaded.load_id, "--reason", "invalid_quantity")["rows"]
    assert only["values"]["transaction_id"] == "T8"
    refused = shop.run("rejected", loaded.load_id, "--reason", "typo")
    assert (refused.exit_code, "the reasons are " in refused.stderr) == (2, True)

    saved = tmp_path / "saved.csv"
    shop.run("rejected", loaded.load_id, "--out", str(saved))
    with saved.open(newline="") as file:
        assert [row["transaction_id"] for row in csv.DictReader(file)] == ["T8", "T9"]
    again = shop.run("rejected", loaded.load_id, "--out", str(saved))
    assert (again.exit_code, "exists already" in again.stderr) == (2, True)


def test_a_load_without_rejected_rows_says_so(shop: Terminal) -> None:
    drop = put(shop.cloud, transactions_key(21), transactions(GOOD.format(number=60, day=21)))
    shop.cloud.wait_until_idle()
    assert "No row of transactions_2023-03-21.csv was rejected." in shop.run("rejected", drop.load_id).stdout


def test_the_status_names_what_needs_a_person(shop: Terminal, loaded: Drop, failed: Drop) -> None:
    result = shop.run("status")
    assert result.exit_code == 3
    shown = shop.json("status")
    assert failed.load_id in [load["load_id"] for load in shown["failed"]]
    assert (shown["running"], shown["queued"], shown["dead_letters"]) == ([], [], 0)
    assert "2023-03-15" in shown["latest_days"]
    assert f"broken.csv failed; see `pipeline show {failed.load_id}`" in shown["advice"]
    assert "To do: broken.csv failed" in result.stdout
    assert "  dead letters: 0; mails go to 1 address" in result.stdout.splitlines()
    assert "  2023-03-16  1 file               0 rows, 0 rejected, 1 file not loaded" in result.stdout.splitlines()


def objects(shop: Terminal) -> dict[str, list[tuple[str, str]]]:
    """Every object in every bucket of the pipeline, except the sweep's temporary notes."""
    s3 = shop.cloud.client("s3")
    listed = {}
    for output in ("drop_bucket", "work_bucket", "archive_bucket"):
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=shop.cloud.outputs[output])
        actual = [(entry["Key"], entry["ETag"]) for page in pages for entry in page.get("Contents", [])]
        listed[output] = sorted(entry for entry in actual if not entry[0].startswith((OPEN, SWEEP)))
    return listed


def contents_kept(shop: Terminal, word: bytes) -> list[str]:
    """Keys of the work bucket that contain the word in any version, current or old."""
    s3, bucket = shop.cloud.client("s3"), shop.cloud.outputs["work_bucket"]
    versions = [
        entry
        for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix="staging/")
        for entry in page.get("Versions", [])
    ]
    return [
        version["Key"]
        for version in versions
        if word in s3.get_object(Bucket=bucket, Key=version["Key"], VersionId=version["VersionId"])["Body"].read()
    ]


def test_a_plan_says_what_the_load_then_does_and_touches_nothing(shop: Terminal, tmp_path: Path) -> None:
    lines = [
        "T69,C12345,P12345,9,2023-03-16,Shipped",
        "T70,C12345,P12345,1,2023-03-16,Shipped",
        "T71,NOBODY,P12345,1,2023-03-16,Shipped",
    ]
    file, unread = tmp_path / "till_2023-03-16.csv", tmp_path / "unread_2023-03-16.csv"
    file.write_bytes(transactions(*lines))
    unread.write_bytes(b"")
    put(shop.cloud, transactions_key(27), transactions("T69,C12345,P12345,3,2023-03-15,Pending"))
    shop.cloud.wait_until_idle()
    before, mails = objects(shop), len(shop.cloud.mails())
    (planned,) = shop.json("plan", str(file))["plans"]
    shop.cloud.wait_until_idle()
    assert (objects(shop), len(shop.cloud.mails())) == (before, mails)
    assert contents_kept(shop, b"NOBODY,P12345,1,2023-03-16") == []
    assert planned["counts"] | {"rows_read": 3, "inserted": 1, "updated": 1, "rejected": 1} == planned["counts"]
    assert [change["transaction_id"] for change in planned["largest_changes"]] == ["T69", "T70"]
    assert list(planned["reject_reasons"]) == ["unknown_customer"]

    (dropped,) = shop.json("drop", str(file), "--wait")["loads"]
    assert dropped["counts"] == planned["counts"]
    again = shop.run("plan", str(file))
    assert (again.exit_code, "2  say what is known already" in again.stdout) == (3, True)
    refused = shop.run("plan", str(unread))
    assert (refused.exit_code, "would not be loaded: " in refused.stdout) == (1, True)
    assert (refused.stdout.count("unread_2023-03-16.csv as "), refused.stdout.count("0 rows")) == (1, 0)


def test_dead_letters_are_listed_redriven_and_discarded(shop: Terminal) -> None:
    sqs, url = shop.cloud.client("sqs"), shop.cloud.outputs["dead_letter_queue_url"]
    drop = put(shop.cloud, transactions_key(23), b"")
    shop.cloud.wait_until_idle()
    replay = {"bucket": drop.bucket, "key": drop.key, "version_id": drop.version_id}
    ids = [
        sqs.send_message(QueueUrl=url, MessageBody=body)["MessageId"] for body in (json.dumps({"replay": replay}), "?")
    ]
    listed = shop.json("dead", "list")["messages"]
    assert {letter["message_id"]: letter["about"] for letter in listed}[ids[0]] == drop.uri
    assert "is not a JSON object" in {letter["message_id"]: letter["about"] for letter in listed}[ids[1]]
    assert "\n?" in shop.run("dead", "show", ids[1]).stdout

    unnamed = shop.run("dead", "discard")
    assert (unnamed.exit_code, "say which message to discard" in unnamed.stderr) == (2, True)
    assert shop.json("dead", "discard", ids[1])["messages"][0]["message_id"] == ids[1]
    assert shop.run("dead", "redrive", ids[1]).exit_code == 2
    assert [letter["message_id"] for letter in shop.json("dead", "redrive", "all")["messages"]] == [ids[0]]
    assert shop.json("dead", "list")["messages"] == []
    shop.cloud.wait_until_idle()
    assert shop.json("show", drop.load_id)["load"]["attempt"] == 2, "the redriven replay was handled"


def test_the_log_of_a_run_is_printed(shop: Terminal, loaded: Drop) -> None:
    shown = shop.json("logs", loaded.load_id)
    assert shown["lines"] == shop.cloud.router.glue.processes.log(shown["run_id"]).splitlines()
    assert shown["lines"]
    refused = shop.run("logs", loaded.load_id, "--attempt", "7")
    assert (refused.exit_code, "has no attempt 7; give --attempt one of these: 1" in refused.stderr) == (2, True)


def test_the_log_of_a_refused_file_ends_with_the_sentence(shop: Terminal, failed: Drop) -> None:
    sentence = shop.json("show", failed.load_id)["load"]["error"]
    printed = shop.run("logs", failed.load_id).stdout
    assert (printed.splitlines()[-1], "Traceback" in printed) == (f"jobs.errors.FileRefused: {sentence}", False)


def test_statements_run_in_the_real_warehouse(shop: Terminal, loaded: Drop) -> None:
    query = "SELECT transaction_id, quantity, total_amount FROM fact_transactions WHERE transaction_id = 'T1'"
    result = shop.json("sql", query)
    assert (result["columns"], result["affected"]) == (["transaction_id", "quantity", "total_amount"], None)
    ((transaction_id, quantity, _),) = result["rows"]
    assert (transaction_id, quantity) == ("T1", 3)
    cut = shop.json("sql", "SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3", "--limit", "2")
    assert (len(cut["rows"]), cut["is_cut"]) == (2, True)
    assert shop.run("sql", "CREATE TEMP TABLE mine (x INT)").stdout == "done\n"
    empty = shop.run("sql", " ")
    assert (empty.exit_code, "the statement is empty" in empty.stderr) == (2, True)
    refused = shop.run("sql", "SELECT * FROM no_such_table")
    assert (refused.exit_code, "no_such_table" in refused.stderr, refused.stderr.count("\n")) == (1, True, 1)


def test_the_doctor_finds_a_missing_table_and_a_missing_column(shop: Terminal) -> None:
    def finding() -> Any:
        return next(each for each in shop.json("doctor")["findings"] if each["what"] == "warehouse")

    assert finding()["is_good"] is True
    for change in ("waiting_rows RENAME TO hidden", "load_ledger RENAME COLUMN event TO hidden"):
        shop.json("sql", f"ALTER TABLE {change}")
    advice = finding()["advice"]
    for repair in ("hidden RENAME TO waiting_rows", "load_ledger RENAME COLUMN hidden TO event"):
        shop.json("sql", f"ALTER TABLE {repair}")
    assert advice.startswith("it lacks the column load_ledger.event, the table waiting_rows; stop `pipeline up` and")


def test_a_transaction_is_explained_by_all_that_files_said_of_it(shop: Terminal) -> None:
    row = "E1,C12345,P12345,{quantity},2023-03-{day:02},{status}"
    for day, quantity, status in ((24, 1, "Pending"), (24, 2, "Shipped"), (23, 9, "Refunded")):
        put(shop.cloud, transactions_key(25), transactions(row.format(quantity=quantity, day=day, status=status)))
        shop.cloud.wait_until_idle()
    explained = shop.json("explain", "E1")["rows"]
    assert [(row["status"], row["quantity"], row["reason"]) for row in explained] == [
        ("shipped", 2, "wins"),
        ("pending", 1, "lost: the winner's status is higher"),
        ("refunded", 9, "lost: the winner's transaction_date is later"),
    ]
    assert "E1: 3 loaded rows, the winner first" in shop.run("explain", "E1").stdout
    unknown = shop.run("explain", "e1")
    assert (unknown.exit_code, "ids are case-sensitive" in unknown.stderr) == (2, True)


def test_a_deep_explanation_has_the_rows_that_were_not_loaded(shop: Terminal) -> None:
    rows = (
        "F1,C12345,P12345,1,2023-03-24,Pending",
        "F1,C12345,P12345,none,2023-03-24,Pending",
        "F1,C12345,P12345,2,2023-03-24,Shipped",
        "F11,C12345,P12345,2,2023-03-24,Shipped",
        "F2,C12345,P12345,2,2023-03-24,wished for",
    )
    loaded = put(shop.cloud, transactions_key(25), transactions(*rows))
    taken = put(shop.cloud, transactions_key(26), transactions("F1,C12345,P12345,3,2023-03-26,Shipped"))
    shop.cloud.wait_until_idle()
    shop.json("retract", taken.load_id, "--yes")
    shop.cloud.wait_until_idle()
    explained = shop.json("explain", "F1", "--deep")
    assert [(row["source_line"], row["load_id"], row["reason"]) for row in explained["rows"]] == [
        (4, loaded.load_id, "wins")
    ]
    assert {(row["source_line"], row["load_id"]): row["reason"] for row in explained["unloaded"]} == {
        (2, loaded.load_id): "lost: another row of its file won",
        (3, loaded.load_id): "rejected: invalid_quantity",
        (2, taken.load_id): "does not count: its load was taken back",
    }
    assert shop.json("explain", "F1")["unloaded"] is None
    (only,) = shop.json("explain", "F2", "--deep")["unloaded"]
    assert (only["values"]["status"], only["reason"]) == ("wished for", "rejected: invalid_status")
    assert "no loaded row" in shop.run("explain", "F2", "--deep").stdout
    assert shop.run("explain", "f2", "--deep").exit_code == 2


def test_other_tools_reach_the_local_pipeline(shop: Terminal, loaded: Drop) -> None:
    exported = shop.run("env").stdout
    program = (
        'import boto3, os; print(boto3.client("s3").head_bucket(Bucket=os.environ["DROP_BUCKET"])["BucketRegion"])'
    )
    command = f"{exported}\n\"{sys.executable}\" -c '{program}'"
    clean = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")}
    ended = subprocess.run(["sh", "-c", command], capture_output=True, text=True, env=clean, check=False)
    assert (ended.returncode, ended.stdout.strip()) == (0, shop.json("env")["AWS_REGION"]), ended.stderr
    query = "psql --no-psqlrc -Atc \"SELECT count(*) FROM fact_transactions WHERE transaction_id = 'T1'\""
    asked = subprocess.run(["sh", "-c", f"{exported}\n{query}"], capture_output=True, text=True, env=clean, check=False)
    assert (asked.returncode, asked.stdout.strip()) == (0, "1"), asked.stderr


@pytest.mark.parametrize("stack", [["--stack", "local"], []], ids=["named", "by default"])
def test_the_local_pipeline_is_a_stack_called_local(shop: Terminal, stack: list[str]) -> None:
    assert shop.json("env", *stack)["AWS_ENDPOINT_URL"] == shop.cloud.aws.url


def test_a_drop_that_waits_is_queued(shop: Terminal) -> None:
    # This test must be the last: its event takes an hour to arrive.
    shop.cloud.router.delivery_policy = lambda _: (3600.0,)
    drop = put(shop.cloud, transactions_key(22), transactions(GOOD.format(number=61, day=22)))
    queued = shop.json("status")["queued"]
    shop.cloud.router.delivery_policy = lambda _: (0.0,)
    assert [load["load_id"] for load in queued] == [drop.load_id]
    assert queued[0]["changed_at"] is None
