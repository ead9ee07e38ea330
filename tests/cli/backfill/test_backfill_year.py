"""A year of daily files: the backfill is killed half-way and run again."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

import cli.pipelines.local
from lambdas.archived_copies import SOURCE_VERSION_ID
from schemas.drops import SOURCE_UPLOADED_AT, Drop, transactions_key
from schemas.warehouse.tables import LOAD_LEDGER
from tests.cli.terminals import ROOT, terminal
from tests.faults.model import (
    Dropped,
    expected_fact,
    found_fact,
    in_bucket,
    keys_in,
    rows_of,
    rows_of_day,
    warehouse_after,
)
from tests.local.forked_runs import fork_runs
from tests.local.local_clouds import LocalCloud, started, transactions

FIRST_DAY = date(2022, 1, 1)
SAMPLE_FILES = 2
DAYS = 365
MOST_SECONDS = 7200
COMMAND = """
import sys
from pathlib import Path
import cli.pipelines.local
from cli.main import app
cli.pipelines.local.STATE_FILE = Path(sys.argv[1])
app(["backfill", sys.argv[2]])
"""


def write_files(folder: Path) -> None:
    """A file for each day."""
    chance = random.Random(DAYS)
    for number in range(DAYS):
        day = FIRST_DAY + timedelta(days=number)
        (folder / f"till_{day}.csv").write_bytes(transactions(*rows_of_day(chance, day, number)))


def archived(cloud: LocalCloud, folder: Path) -> list[Dropped]:
    """The drops of the files, as their archived copies name them."""
    s3, bucket, files = cloud.client("s3"), cloud.outputs["archive_bucket"], []
    for key, version_id in in_bucket(cloud, "archive_bucket", "transactions/"):
        metadata = s3.head_object(Bucket=bucket, Key=key, VersionId=version_id)["Metadata"]
        uploaded_at = datetime.fromisoformat(metadata[SOURCE_UPLOADED_AT]).astimezone(UTC).replace(tzinfo=None)
        drop = Drop(cloud.outputs["drop_bucket"], key, metadata[SOURCE_VERSION_ID])
        files.append(Dropped(drop, (folder / key.rpartition("/")[2]).read_bytes(), uploaded_at))
    return files


@pytest.mark.slow
def test_a_killed_year_goes_on_to_the_same_table_and_one_digest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fork_runs(monkeypatch)
    folder = tmp_path / "year"
    folder.mkdir()
    write_files(folder)
    with started(tmp_path, {"sampleDimensions": "true"}) as cloud, terminal(cloud, tmp_path / "state.json") as shop:
        cloud.wait_until_idle()
        mails = len(cloud.mails())
        words = [sys.executable, "-c", COMMAND, str(cli.pipelines.local.STATE_FILE), str(folder)]
        process = subprocess.Popen(words, cwd=ROOT, env={**os.environ, "PIPELINE_STACK": ""})
        until = time.monotonic() + MOST_SECONDS
        while len(keys_in(cloud, "archive_bucket", "transactions/")) < DAYS // 2:
            assert (process.poll(), time.monotonic() < until) == (None, True)
            time.sleep(1)
        process.kill()
        process.wait()
        left = shop.json("backfill", str(folder), "--dry-run")["dropped"]
        assert DAYS // 4 < len(left) <= DAYS // 2

        resumed = shop.json("backfill", str(folder))
        cloud.wait_until_idle()
        assert resumed["dropped"] == left
        files = archived(cloud, folder)
        assert sorted(file.drop.key for file in files) == [
            transactions_key(FIRST_DAY + timedelta(days=number)).replace("transactions_", "till_")
            for number in range(DAYS)
        ]
        assert in_bucket(cloud, "drop_bucket") == []
        assert len(cloud.runs()) == SAMPLE_FILES + DAYS
        assert {row["load_id"] for row in rows_of(cloud, LOAD_LEDGER)} == {file.drop.load_id for file in files}
        assert found_fact(cloud) == expected_fact(warehouse_after(files))
        assert [mail.subject.partition(":")[0] for mail in cloud.mails()[mails:]] == [
            f"[local] Backfill of {DAYS} files"
        ]
        assert cloud.queue("dead_letter_queue_url").all == 0
