"""A pinned version is fetched to disk and unpacked, or one sentence says why not. No file is left behind."""

from __future__ import annotations

import errno
import gzip
from contextlib import AbstractContextManager
from unittest import mock

import polars as pl
import pytest
from botocore.exceptions import ClientError, ReadTimeoutError, ResponseStreamingError

from jobs.attempt import describe
from jobs.errors import DropGone, FileRefused
from jobs.load.staging import StagedParts, Stager
from schemas.drops import Drop
from tests.jobs.dry_run import S3InMemory, command_line, dry_run
from tests.strategies.hostile_content import HEADER, SOUND_LINE

CONTENT = f"{HEADER}\n{SOUND_LINE}\n".encode()
PACKED = gzip.compress(CONTENT, mtime=0)


def test_a_packed_drop_is_unpacked_and_counted_as_it_was_dropped() -> None:
    plain, packed = dry_run(CONTENT), dry_run(PACKED, gz=True)
    assert packed.error is None
    assert [row["transaction_id"] for row in packed.staged] == ["T1"]
    assert (plain.report.bytes, packed.report.bytes) == (len(CONTENT), len(PACKED))
    assert packed.report.etag == "etag"


def test_a_file_named_as_packed_that_is_not_is_read() -> None:
    """A tool that unpacks a file during transfer keeps its name."""
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
    assert str(run.error).endswith("); compress it again and upload it")
    assert run.staged == []


def test_a_gzip_bomb_is_refused_at_its_first_megabyte() -> None:
    bomb = gzip.compress(b"\0" * 50_000_000)
    with mock.patch("gzip.GzipFile.read", autospec=True, side_effect=gzip.GzipFile.read) as read:
        run = dry_run(bomb, gz=True)
    assert str(run.error).startswith("day.csv.gz, line 1: the line is longer than 1,048,576 bytes")
    assert read.call_count < 20


def test_what_a_file_unpacks_to_is_never_on_the_disk() -> None:
    lines = "".join(SOUND_LINE.replace("T1", f"T{at}") + "\n" for at in range(5000))
    content = gzip.compress(f"{HEADER}\n{lines}".encode())
    taken: list[int] = []
    write = StagedParts.write

    def noted(self: StagedParts, rows: pl.DataFrame, name: str) -> None:
        taken.extend(path.stat().st_size for path in self._folder.rglob("*") if path.is_file())
        write(self, rows, name)

    with mock.patch.object(StagedParts, "write", noted):
        run = dry_run(content, gz=True)
    assert run.error is None
    assert len(run.staged) == 5000
    assert len(content) in taken
    assert max(taken) < len(lines) // 10


def test_a_file_that_would_fill_the_disk_is_read_from_s3() -> None:
    fetched: list[str] = []
    download = S3InMemory.download_file

    def noted(self: S3InMemory, bucket: str, key: str, path: str, **options: object) -> None:
        fetched.append(bucket)
        download(self, bucket, key, path, **options)

    with disk(free=4 * len(CONTENT) - 1), mock.patch.object(S3InMemory, "download_file", noted):
        run = dry_run(CONTENT)
    assert run.error is None
    assert [row["transaction_id"] for row in run.staged] == ["T1"]
    assert set(fetched) == {"work-bucket"}, "only the dimensions are left"


def test_a_file_with_room_to_spare_is_fetched_once() -> None:
    with disk(free=4 * len(CONTENT)), mock.patch.object(S3InMemory, "get_object") as read:
        run = dry_run(CONTENT)
    assert run.error is None
    assert read.call_count == 0


def test_a_range_that_breaks_off_is_asked_for_again() -> None:
    breaks = iter([ReadTimeoutError(endpoint_url="s3"), ResponseStreamingError(error="reset")])

    def break_off(error: Exception) -> dict[str, object]:
        return {"Body": mock.Mock(read=mock.Mock(side_effect=error))}

    whole = S3InMemory.get_object

    def get(self: S3InMemory, **asked: str) -> dict[str, object]:
        broken = next(breaks, None)
        return break_off(broken) if broken else whole(self, **asked)

    with disk(free=0), mock.patch.object(S3InMemory, "get_object", get), mock.patch("time.sleep"):
        run = dry_run(CONTENT)
    assert run.error is None
    assert len(run.staged) == 1


def test_a_drop_that_goes_while_it_is_read_is_gone() -> None:
    gone = ClientError({"Error": {"Code": "NoSuchVersion"}}, "GetObject")
    with disk(free=0), mock.patch.object(S3InMemory, "get_object", side_effect=gone):
        run = dry_run(CONTENT)
    assert isinstance(run.error, DropGone)


def test_a_full_disk_is_reported_before_repeated_rows_are_read() -> None:
    content = f"{HEADER}\n{SOUND_LINE}\n{SOUND_LINE}\n".encode()
    with disk(free=10), mock.patch.object(Stager, "stage") as stage:
        run = dry_run(content)
    assert str(run.error) == (
        f"2 rows of day.csv share their transaction_id with another; settling them takes about {len(content):,} "
        "bytes, but the job's disk has room for 10; split the file and upload the parts of the day one by one"
    )
    assert stage.call_count == 0


def disk(*, free: int) -> AbstractContextManager[object]:
    """A disk with this much free space."""
    return mock.patch("shutil.disk_usage", return_value=mock.Mock(free=free))


@pytest.mark.parametrize("step", ["jobs.attempt.fetch", "jobs.load.staging.StagedParts.write"])
def test_a_full_disk_is_reported_with_sizes_and_advice(step: str) -> None:
    with mock.patch(step, side_effect=OSError(errno.ENOSPC, "No space left on device")):
        run = dry_run(CONTENT)
    assert isinstance(run.error, FileRefused)
    assert str(run.error).startswith("the job's disk is full: day.csv and the files made from it take ")
    assert str(run.error).endswith(" are free; split the file and upload the parts of the day one by one")


def test_a_drop_that_is_not_there_any_more_is_gone() -> None:
    drop = Drop("drop-bucket", "transactions/year=2023/month=03/day=15/day.csv", "v1")
    assert "v1" in command_line(drop)
    with mock.patch.object(S3InMemory, "_get", side_effect=_gone):
        run = dry_run(CONTENT)
    assert isinstance(run.error, DropGone)
    error = describe(run.error)
    assert error.is_transient, "the drop may have been archived meanwhile"
    assert error.not_before is not None, "the attempt does not count as a try"
    assert str(run.error) == (
        "s3://drop-bucket/transactions/year=2023/month=03/day=15/day.csv (version v1) does not exist any more, "
        "so nothing was loaded; upload the file again if it should be loaded"
    )


def _gone(*_: str) -> bytes:
    raise ClientError({"Error": {"Code": "NoSuchVersion"}}, "HeadObject")
