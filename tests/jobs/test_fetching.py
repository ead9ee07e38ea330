"""One pinned version of an object on local disk, unpacked, or one sentence why not. Nothing is left behind."""

from __future__ import annotations

import errno
import gzip
from unittest import mock

import pytest
from botocore.exceptions import ClientError

from jobs.attempt import describe
from jobs.errors import DropGone, FileRefused
from schemas.drops import Drop
from tests.hostile_content import HEADER, SOUND_LINE
from tests.jobs.dry_run import S3InMemory, command_line, dry_run

CONTENT = f"{HEADER}\n{SOUND_LINE}\n".encode()
PACKED = gzip.compress(CONTENT, mtime=0)


def test_a_packed_drop_is_unpacked_and_counted_as_it_was_dropped() -> None:
    plain, packed = dry_run(CONTENT), dry_run(PACKED, gz=True)
    assert packed.error is None
    assert [row["transaction_id"] for row in packed.staged] == ["T1"]
    assert (plain.report.bytes, packed.report.bytes) == (len(CONTENT), len(PACKED))
    assert packed.report.etag == "etag"


def test_a_file_named_as_packed_that_is_not_is_read() -> None:
    """A tool that unpacks on its way leaves the name."""
    assert len(dry_run(CONTENT, gz=True).staged) == len(dry_run(CONTENT).staged) == 1


def test_several_packed_members_are_one_file() -> None:
    content = gzip.compress(f"{HEADER}\n".encode()) + gzip.compress(SOUND_LINE.encode())
    assert len(dry_run(content, gz=True).staged) == 1


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (PACKED[:-9], "Compressed file ended before the end-of-stream marker was reached"),
        (PACKED[:-8] + b"\0\0\0\0" + PACKED[-4:], "CRC check failed"),
        (PACKED[:15] + b"\xff\xff\xff" + PACKED[18:], "Error -3 while decompressing data"),
        (PACKED + b"rubbish", "Not a gzipped file"),
    ],
    ids=["truncated", "wrong checksum", "garbled", "rubbish behind it"],
)
def test_a_broken_gzip_is_refused(content: bytes, reason: str) -> None:
    run = dry_run(content, gz=True)
    assert isinstance(run.error, FileRefused)
    assert str(run.error).startswith(f"day.csv.gz is not a whole gzip file ({reason}")
    assert str(run.error).endswith("); pack it anew and upload it again")
    assert run.staged == []


def test_a_gzip_bomb_is_refused_before_the_disk_is_full() -> None:
    bomb = gzip.compress(b"\0" * 50_000_000)
    with mock.patch("jobs.csv.file_format.MAX_FILE_BYTES", 10_000_000):
        run = dry_run(bomb, gz=True)
    assert str(run.error) == (
        "day.csv.gz unpacks to more than 10,000,000 bytes; split it and upload the parts of the day one by one"
    )


def test_a_file_beyond_the_limit_is_refused_before_it_is_fetched() -> None:
    with mock.patch("jobs.room.MAX_FILE_BYTES", 10), mock.patch.object(S3InMemory, "download_file") as download:
        run = dry_run(CONTENT)
    assert str(run.error) == (
        f"day.csv has {len(CONTENT):,} bytes, more than 10; split the file and upload the parts of the day one by one"
    )
    assert download.call_count == 0


def test_a_file_that_does_not_fit_on_the_disk_is_refused_with_both_sizes() -> None:
    with mock.patch("shutil.disk_usage", return_value=mock.Mock(free=7)):
        run = dry_run(CONTENT)
    assert str(run.error) == (
        f"day.csv has {len(CONTENT):,} bytes, but the job's disk has room for 7; "
        "split the file and upload the parts of the day one by one"
    )


@pytest.mark.parametrize("step", ["jobs.attempt.fetch", "jobs.load.staging.StagedParts.write"])
def test_a_disk_that_is_full_is_told_with_sizes_and_advice(step: str) -> None:
    with mock.patch(step, side_effect=OSError(errno.ENOSPC, "No space left on device")):
        run = dry_run(CONTENT)
    assert isinstance(run.error, FileRefused)
    assert str(run.error).startswith("the job's disk is full: day.csv and what was made of it take ")
    assert str(run.error).endswith(" are free; split the file and upload the parts of the day one by one")


@pytest.mark.parametrize(("over", "refused"), [(0, False), (1, True)])
def test_the_limit_of_what_is_unpacked_is_exact(over: int, refused: bool) -> None:
    with mock.patch("jobs.csv.file_format.MAX_FILE_BYTES", len(CONTENT) - over):
        assert (dry_run(PACKED, gz=True).error is not None) is refused


def test_a_drop_that_is_not_there_any_more_is_gone() -> None:
    drop = Drop("drop-bucket", "transactions/year=2023/month=03/day=15/day.csv", "v1")
    assert "v1" in command_line(drop)
    with mock.patch.object(S3InMemory, "_get", side_effect=_gone):
        run = dry_run(CONTENT)
    assert isinstance(run.error, DropGone)
    error = describe(run.error)
    assert error.is_transient, "the drop may have been archived meanwhile"
    assert error.not_before is not None, "and then the attempt counts as no try"
    assert str(run.error) == (
        "s3://drop-bucket/transactions/year=2023/month=03/day=15/day.csv (version v1) does not exist any more, "
        "so nothing was loaded; upload the file again if it should be loaded"
    )


def _gone(*_: str) -> bytes:
    raise ClientError({"Error": {"Code": "NoSuchVersion"}}, "HeadObject")
