"""archive, as EventBridge and the sweep call it, under moto."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from lambdas.archive import archiver, handler
from lambdas.archive.archiver import LARGEST_SINGLE_COPY_BYTES, Archiver
from lambdas.archive.same_content import compare_checksums, is_same_content
from lambdas.errors import TerminalError
from lambdas.leases import LeaseStore
from schemas.drops import Drop
from tests.lambdas.archive.archiving import archive, archived_bodies, ended, loaded
from tests.lambdas.cloud import (
    ARCHIVE,
    DAY_KEY,
    DROPS,
    TRANSACTIONS_JOB,
    WORK,
    Cloud,
    Killed,
    recorded,
)
from tests.lambdas.reports import failed, succeeded

FIVE_MB = 5 * 1024**2


def test_a_loaded_drop_moves_to_the_same_key_with_its_metadata(cloud: Cloud) -> None:
    drop = cloud.drop(
        body=b"content",
        ContentType="text/csv",
        ContentEncoding="gzip",
        Metadata={"sent-by": "shop 7"},
        Tagging="owner=shop%207&note=a%3Db",
    )
    uploaded_at = cloud.s3.head_object(Bucket=DROPS, Key=DAY_KEY)["LastModified"]
    assert archive(loaded(cloud, drop)) is True
    assert (cloud.versions(DROPS), archived_bodies(cloud)) == ([], [b"content"])
    copy = cloud.s3.head_object(Bucket=ARCHIVE, Key=DAY_KEY)
    assert (copy["ContentType"], copy["ContentEncoding"]) == ("text/csv", "gzip")
    assert copy["Metadata"] == {
        "sent-by": "shop 7",
        "load-id": drop.load_id,
        "source-version-id": drop.version_id,
        "source-uploaded-at": uploaded_at.isoformat(),
        "source-etag": "9a0364b9e99bb480dd25e1f0284c8555",
    }
    tags = cloud.s3.get_object_tagging(Bucket=ARCHIVE, Key=DAY_KEY)["TagSet"]
    assert {tag["Key"]: tag["Value"] for tag in tags} == {"owner": "shop 7", "note": "a=b"}


def test_a_drop_encrypted_with_a_key_of_its_own_stays_so(cloud: Cloud) -> None:
    put = cloud.s3.put_object(
        Bucket=DROPS, Key=DAY_KEY, Body=b"x", ServerSideEncryption="aws:kms", SSEKMSKeyId="alias/shop"
    )
    archive(loaded(cloud, Drop(DROPS, DAY_KEY, put["VersionId"])))
    copy = cloud.s3.head_object(Bucket=ARCHIVE, Key=DAY_KEY)
    assert (copy["ServerSideEncryption"], copy["SSEKMSKeyId"]) == ("aws:kms", "alias/shop")


@pytest.mark.parametrize("key", [DAY_KEY + ".gz", "transactions/year=2023/month=03/day=15/café + % 'x'.csv"])
def test_keys_with_any_letters_are_archived_as_they_are(cloud: Cloud, key: str) -> None:
    cloud.s3.put_object(Bucket=ARCHIVE, Key=key + "2", Body=b"a neighbour")
    archive(loaded(cloud, cloud.drop(key)))
    assert cloud.keys(bucket=ARCHIVE) == [key, key + "2"]


def test_a_newer_upload_under_the_same_key_is_untouched(cloud: Cloud) -> None:
    older, newer = cloud.drop(body=b"older"), cloud.drop(body=b"newer")
    event = loaded(cloud, older)
    archive(event)
    assert (cloud.versions(DROPS), archived_bodies(cloud)) == ([newer.version_id], [b"older"])
    archive(loaded(cloud, newer))
    archive(event)
    assert (cloud.versions(DROPS), archived_bodies(cloud)) == ([], [b"older", b"newer"])


def test_an_older_upload_under_the_same_key_is_untouched(cloud: Cloud) -> None:
    older, newer = cloud.drop(body=b"older"), cloud.drop(body=b"newer")
    archive(loaded(cloud, newer))
    assert (cloud.versions(DROPS), archived_bodies(cloud)) == ([older.version_id], [b"newer"])


def test_archiving_twice_is_archiving_once(cloud: Cloud) -> None:
    event = loaded(cloud, cloud.drop())
    for _ in range(3):
        assert archive(event) is True
    assert len(archived_bodies(cloud)) == 1


def die(*_: Any, **__: Any) -> Any:
    raise Killed


def while_another_archives(monkeypatch: pytest.MonkeyPatch, step: str, *, then: Callable[[], None]) -> None:
    """When `archive` next calls this step, another action runs first."""
    s3 = handler.dependencies().archiver.s3
    do = getattr(s3, step)

    def done_late(*request: Any, **more: Any) -> Any:
        monkeypatch.setattr(s3, step, do)
        then()
        return do(*request, **more)

    monkeypatch.setattr(s3, step, done_late)


@pytest.mark.parametrize("step", ["head_object", "put_object", "get_object_tagging", "copy", "delete_object"])
def test_two_at_the_same_moment_leave_one_version(cloud: Cloud, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    archive(loaded(cloud, cloud.drop(body=b"same")))  # the same bytes under the same key, archived before
    drop = cloud.drop(body=b"same")
    event = loaded(cloud, drop)
    answers: list[bool] = []
    while_another_archives(monkeypatch, step, then=lambda: answers.append(archive(event)))
    answers.append(archive(event))
    assert any(answers)
    assert archive(event) is True
    assert (cloud.versions(DROPS), archived_bodies(cloud)) == ([], [b"same", b"same"])


def test_a_drop_archived_by_another_while_verified_is_archived(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    drop = cloud.drop()
    event = loaded(cloud, drop)
    same = archiver.is_same_content

    def verified_late(*objects: Any) -> bool:
        cloud.s3.delete_object(Bucket=DROPS, Key=DAY_KEY, VersionId=drop.version_id)
        return same(*objects)

    monkeypatch.setattr(archiver, "is_same_content", verified_late)
    assert archive(event) is True
    assert len(archived_bodies(cloud)) == 1


def test_a_worker_overtaken_before_its_claim_finds_the_copy(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    drop = cloud.drop()
    event = loaded(cloud, drop)
    claim = Archiver._claim

    def claim_late(*arguments: Any) -> Any:
        monkeypatch.setattr(Archiver, "_claim", claim)
        with monkeypatch.context() as patched:
            patched.setattr(handler.dependencies().archiver.s3, "delete_object", die)
            with pytest.raises(Killed):
                archive(event)
        cloud.outlive(f"archiving/{drop.load_id}.json")
        return claim(*arguments)

    monkeypatch.setattr(Archiver, "_claim", claim_late)
    assert archive(event) is True
    assert (cloud.versions(DROPS), len(archived_bodies(cloud))) == ([], 1)


def test_a_worker_that_waited_for_a_dead_run_archives_next_time(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    drop = cloud.drop()
    event = loaded(cloud, drop)
    with monkeypatch.context() as patched:
        patched.setattr(Archiver, "_copy", die)
        with pytest.raises(Killed):
            archive(event)
    assert (archive(event), cloud.keys(bucket=ARCHIVE)) == (False, [])
    assert 30 <= cloud.read(f"archiving/{drop.load_id}.json")["lease_seconds"] < 31
    cloud.outlive(f"archiving/{drop.load_id}.json")
    assert (archive(event), cloud.versions(DROPS)) == (True, [])


STEPS = ["head_object", "get_paginator", "put_object", "get_object_tagging", "copy", "delete_object"]


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("after", [False, True])
def test_killed_anywhere_it_is_finished_by_the_next_run(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, step: str, after: bool
) -> None:
    older, newer = cloud.drop(body=b"older"), cloud.drop(body=b"newer")
    event = loaded(cloud, older)
    s3 = handler.dependencies().archiver.s3
    do = getattr(s3, step)

    def die(*request: Any, **more: Any) -> Any:
        if request == ("list_objects_v2",):  # archive looks for the report before it does anything
            return do(*request)
        if after:
            do(*request, **more)
        raise Killed(step)

    with monkeypatch.context() as patched:
        patched.setattr(s3, step, die)
        with pytest.raises(Killed):
            archive(event)
    assert archived_bodies(cloud) == [b"older"] or older.version_id in cloud.versions(DROPS)
    archive(loaded(cloud, newer))  # another version of the key is archived in between
    for key in cloud.keys("archiving/"):
        cloud.outlive(key)
    assert archive(event) is True
    assert cloud.versions(DROPS) == []
    assert sorted(archived_bodies(cloud)) == [b"newer", b"older"]


def test_a_drop_of_more_than_five_gigabytes_is_copied_in_parts(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the limit lowered to five megabytes."""
    assert handler.dependencies().archiver.multipart_threshold == LARGEST_SINGLE_COPY_BYTES == 5_368_709_120
    body = bytes(range(256)) * (11 * 4096)
    older, drop = cloud.drop(body=b"older"), cloud.drop(body=body, Tagging="owner=shop", Metadata={"sent-by": "shop"})
    newer = cloud.drop(body=b"newer")
    parts = count_calls(monkeypatch, handler.dependencies().archiver.s3, "upload_part_copy")
    for limit in ("multipart_threshold", "part_bytes"):
        object.__setattr__(handler.dependencies().archiver, limit, FIVE_MB)
    event = loaded(cloud, drop)
    archive(event)
    assert len(parts) == 3
    assert archived_bodies(cloud) == [body]
    assert cloud.s3.head_object(Bucket=ARCHIVE, Key=DAY_KEY)["Metadata"]["load-id"] == drop.load_id
    assert cloud.s3.get_object_tagging(Bucket=ARCHIVE, Key=DAY_KEY)["TagSet"] == [{"Key": "owner", "Value": "shop"}]
    assert cloud.versions(DROPS) == [newer.version_id, older.version_id]


def count_calls(monkeypatch: pytest.MonkeyPatch, client: Any, name: str) -> list[Any]:
    call, calls = getattr(client, name), []

    def counted(**request: Any) -> Any:
        calls.append(request)
        return call(**request)

    monkeypatch.setattr(client, name, counted)
    return calls


def test_a_copy_that_is_not_equal_lets_nothing_be_deleted(cloud: Cloud) -> None:
    drop = cloud.drop(body=b"content")
    origin = {"load-id": drop.load_id, "source-version-id": drop.version_id}
    for wrong in (b"contens", b"conten"):
        cloud.s3.put_object(Bucket=ARCHIVE, Key=DAY_KEY, Body=wrong, Metadata=origin)
        with pytest.raises(TerminalError, match="is not equal to it; nothing was deleted"):
            archive(loaded(cloud, drop))
        assert cloud.versions(DROPS) == [drop.version_id]


def test_a_copy_that_cannot_be_made_raises_and_deletes_nothing(cloud: Cloud) -> None:
    drop = cloud.drop()
    event = loaded(cloud, drop)
    cloud.s3.delete_bucket(Bucket=ARCHIVE)
    with pytest.raises(ClientError):
        archive(event)
    assert cloud.versions(DROPS) == [drop.version_id]


def test_a_copy_that_failed_is_tried_again_at_once(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    drop = cloud.drop()
    event = loaded(cloud, drop)

    def refuse(*_: Any) -> Any:
        answer: Any = {"Error": {"Code": "SlowDown"}, "ResponseMetadata": {"HTTPStatusCode": 503}}
        raise ClientError(answer, "CopyObject")

    with monkeypatch.context() as patched:
        patched.setattr(Archiver, "_copy", refuse)
        with pytest.raises(ClientError):
            archive(event)
    assert (archive(event), cloud.versions(DROPS)) == (True, [])


def test_a_loaded_drop_that_is_nowhere_is_an_error(cloud: Cloud) -> None:
    drop = cloud.drop()
    event = loaded(cloud, drop)
    cloud.s3.delete_object(Bucket=DROPS, Key=DAY_KEY, VersionId=drop.version_id)
    with pytest.raises(TerminalError, match="neither in the drop bucket nor in the archive"):
        archive(event)


def test_bytes_that_are_not_those_that_were_loaded_are_not_archived(cloud: Cloud) -> None:
    drop = cloud.drop()
    event = loaded(cloud, drop)
    cloud.put_report(succeeded(drop, etag="00000000000000000000000000000000"))
    with pytest.raises(TerminalError, match="bytes were replaced"):
        archive(event)
    assert (cloud.versions(DROPS), cloud.keys(bucket=ARCHIVE)) == ([drop.version_id], [])


def test_a_drop_that_was_not_loaded_stays_where_it_is(cloud: Cloud) -> None:
    drop = cloud.drop()
    for attempt, (name, report) in enumerate(
        [("glue_failed", failed(drop)), ("glue_succeeded", failed(drop, attempt=2)), ("glue_timeout", None)], start=1
    ):
        if report is not None:
            cloud.put_report(report)
        assert archive(ended(cloud, drop, name, attempt=attempt)) is False
    assert archive(recorded("glue_run_status")) is False
    assert (cloud.versions(DROPS), cloud.keys(bucket=ARCHIVE)) == ([drop.version_id], [])


def test_a_committed_load_is_archived_in_any_state_of_its_run(cloud: Cloud) -> None:
    drop = cloud.drop()
    loaded(cloud, drop)
    run = cloud.runs()[0]
    run.status = "FAILED"
    assert archive({"job_name": TRANSACTIONS_JOB, "run_id": run.job_run_id}) is True
    assert cloud.versions(DROPS) == []


def test_a_run_that_succeeded_without_a_report_is_an_error(cloud: Cloud) -> None:
    drop = cloud.drop()
    with pytest.raises(TerminalError, match="without a report that can be read"):
        archive(ended(cloud, drop, "glue_succeeded"))
    assert cloud.versions(DROPS) == [drop.version_id]


DIGEST, OTHER_DIGEST, OF_PARTS = '"4af981f98d22a0b9979da24b259e5e42"', '"00f981f98d22a0b9979da24b259e5e42"', '"4af9-3"'


@pytest.mark.parametrize(
    ("source", "copied", "decided"),
    [
        ({"ETag": DIGEST}, {"ETag": DIGEST}, True),
        ({"ETag": DIGEST}, {"ETag": OTHER_DIGEST}, None),  # under KMS the ETag is no digest
        ({"ETag": OF_PARTS}, {"ETag": OF_PARTS}, None),
        ({"ETag": OF_PARTS, "ChecksumCRC64NVME": "a="}, {"ETag": DIGEST, "ChecksumCRC64NVME": "a="}, True),
        ({"ETag": DIGEST, "ChecksumCRC64NVME": "a="}, {"ETag": DIGEST, "ChecksumCRC64NVME": "b="}, False),
        ({"ETag": OF_PARTS, "ChecksumCRC32": "a=-3"}, {"ETag": DIGEST, "ChecksumCRC32": "b="}, None),
        (
            {"ETag": OF_PARTS, "ChecksumCRC32": "a=", "ChecksumType": "COMPOSITE"},
            {"ETag": DIGEST, "ChecksumCRC32": "b=", "ChecksumType": "FULL_OBJECT"},
            None,
        ),
        ({"ETag": OF_PARTS, "ChecksumSHA256": "a="}, {"ETag": DIGEST, "ChecksumCRC32": "a="}, None),
    ],
)
def test_only_whole_object_checksums_of_one_kind_decide(
    source: dict[str, str], copied: dict[str, str], decided: bool | None
) -> None:
    assert compare_checksums(source, copied) is decided
    assert compare_checksums(copied, source) is decided


def test_where_no_checksum_decides_the_bytes_are_read(cloud: Cloud) -> None:
    def in_parts(key: str, body: bytes) -> dict[str, str]:
        upload = cloud.s3.create_multipart_upload(Bucket=DROPS, Key=key)["UploadId"]
        part = cloud.s3.upload_part(Bucket=DROPS, Key=key, UploadId=upload, PartNumber=1, Body=body)
        made = cloud.s3.complete_multipart_upload(
            Bucket=DROPS, Key=key, UploadId=upload, MultipartUpload={"Parts": [{"ETag": part["ETag"], "PartNumber": 1}]}
        )
        return {"Bucket": DROPS, "Key": key, "VersionId": made["VersionId"]}

    item, same, other, shorter = (
        in_parts("1", b"abc"),
        in_parts("2", b"abc"),
        in_parts("3", b"abd"),
        in_parts("4", b"ab"),
    )
    assert [is_same_content(cloud.s3, item, it) for it in (same, other, shorter)] == [True, False, False]


def test_the_archive_never_reads_or_deletes_what_is_not_pinned(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    s3 = handler.dependencies().archiver.s3
    calls = {name: count_calls(monkeypatch, s3, name) for name in ("delete_object", "get_object_tagging")}
    drop = cloud.drop()
    archive(loaded(cloud, drop))
    pinned = {"Bucket": DROPS, "Key": DAY_KEY, "VersionId": drop.version_id}
    assert calls == {"delete_object": [pinned], "get_object_tagging": [pinned]}


def test_an_archiver_takes_its_limit_from_s3() -> None:
    assert Archiver(None, ARCHIVE, LeaseStore(None, WORK)).multipart_threshold == LARGEST_SINGLE_COPY_BYTES
