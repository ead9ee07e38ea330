"""`pipeline drop` and `pipeline replay` beside a running local pipeline."""

from __future__ import annotations

from pathlib import Path

import pytest

from schemas.drops import Drop
from tests.cli.terminals import Terminal
from tests.local.local_clouds import put, transactions, transactions_key

pytestmark = pytest.mark.flow

ROW = "T{number},C12345,P12345,3,2023-03-{day:02},Completed"


def attempts(shop: Terminal, drop: Drop) -> int:
    return sum(
        1 for load in shop.json("loads")["loads"] if load["load_id"] == drop.load_id for _ in range(load["attempt"])
    )


def test_files_are_dropped_and_waited_for(shop: Terminal, tmp_path: Path) -> None:
    good, bad = tmp_path / "till 2023-03-08.csv", tmp_path / "empty_2023-03-09.csv"
    good.write_bytes(transactions(ROW.format(number=1, day=8)))
    dropped = shop.json("drop", str(good), "--wait")
    (load,) = dropped["loads"]
    assert (load["file"], load["day"], load["stage"]) == (good.name, "2023-03-08", "archived")
    assert load["counts"]["inserted"] == 1

    bad.write_bytes(b"")
    failed = shop.run("drop", str(bad), "--wait")
    assert failed.exit_code == 1
    assert "failed    empty_2023-03-09.csv" in failed.stderr


def test_rejected_rows_have_an_exit_status_of_their_own(shop: Terminal, tmp_path: Path) -> None:
    path = tmp_path / "rows_2023-03-10.csv"
    path.write_bytes(transactions(ROW.format(number=2, day=10), "T3,C12345,P12345,none,2023-03-10,Completed"))
    assert shop.run("drop", str(path), "--wait").exit_code == 3


def test_a_failed_load_is_replayed_by_any_of_its_names(shop: Terminal) -> None:
    drop = put(shop.cloud, transactions_key(11, "failing.csv"), b"")
    shop.cloud.wait_until_idle()
    for attempt, name in enumerate([drop.load_id, "failing.csv", drop.uri, "2023-03-11", "2023-03-11..2023-03-12"], 2):
        planned = shop.json("replay", name, "--dry-run")
        assert [(load["load_id"], load["starts"]) for load in planned["loads"]] == [(drop.load_id, True)]
        replayed = shop.json("replay", name)
        assert replayed["loads"][0]["reason"] == f"attempt {attempt} starts from the drop bucket"
        shop.cloud.wait_until_idle()
        assert attempts(shop, drop) == attempt
    assert len([mail for mail in shop.cloud.mails() if drop.load_id in mail.body]) == 6


def test_a_dry_run_starts_nothing(shop: Terminal) -> None:
    drop = put(shop.cloud, transactions_key(12), b"")
    shop.cloud.wait_until_idle()
    assert shop.run("replay", drop.load_id, "--dry-run").exit_code == 0
    shop.cloud.wait_until_idle()
    assert attempts(shop, drop) == 1


def test_a_replay_that_is_asked_for_twice_is_one_attempt(shop: Terminal) -> None:
    drop = put(shop.cloud, transactions_key(13), b"")
    shop.cloud.wait_until_idle()
    shop.cloud.router.delivery_policy = lambda _: (0.5,)
    shop.run("replay", drop.load_id)
    shop.run("replay", drop.load_id)
    shop.cloud.router.delivery_policy = lambda _: (0.0,)
    shop.cloud.wait_until_idle()
    assert attempts(shop, drop) == 2


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("0123456789abcdef", "knows no load 0123456789abcdef"),
        ("2019-01-01", "no file of 2019-01-01 was dropped"),
        ("2019-02-31", "2019-02-31 is not in the calendar"),
        ("2019-01-02..2019-01-01", "ends before it begins"),
        ("nobody.csv", "no file called 'nobody.csv' was dropped"),
        ("s3://elsewhere/transactions/a.csv", "is not in the drop bucket of the local pipeline"),
    ],
)
def test_a_name_that_means_no_load_is_refused(shop: Terminal, name: str, sentence: str) -> None:
    refused = shop.run("replay", name)
    assert (refused.exit_code, sentence in refused.stderr, refused.stderr.count("\n")) == (2, True, 1), refused.stderr


def test_a_version_that_was_never_dropped_is_refused(shop: Terminal) -> None:
    drop = put(shop.cloud, transactions_key(14), b"")
    shop.cloud.wait_until_idle()
    refused = shop.run("replay", drop.uri, "--version-id", "other")
    assert (refused.exit_code, "has no version other" in refused.stderr) == (2, True)


def test_content_that_is_gone_is_not_replayed(shop: Terminal) -> None:
    drop = put(shop.cloud, transactions_key(15), b"")
    shop.cloud.wait_until_idle()
    shop.cloud.client("s3").delete_object(Bucket=drop.bucket, Key=drop.key, VersionId=drop.version_id)
    output = shop.run("replay", drop.load_id)
    assert output.exit_code == 1
    assert "not replayed: its content is neither in the drop bucket nor in the archive" in output.stdout


def test_a_load_that_waits_or_runs_is_left_alone(shop: Terminal) -> None:
    shop.cloud.router.delivery_policy = lambda _: (3600.0,)
    drop = put(shop.cloud, transactions_key(16), transactions(ROW.format(number=9, day=16)))
    output = shop.run("replay", drop.load_id)
    shop.cloud.router.delivery_policy = lambda _: (0.0,)
    assert (output.exit_code, "it is waiting in the queue" in output.stdout) == (1, True)
