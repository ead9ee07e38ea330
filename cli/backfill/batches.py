"""Many days of files: dropped in batches, reported in one mail, and resumed after a stop.

A file counts as dropped when its content is in the drop bucket or the archive under its key. A
backfill that was killed is resumed by starting it again, and no file is dropped twice.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from cli.backfill.digest import digest_mail, stopped_mail
from cli.drops.keys import FileToDrop
from cli.drops.uploads import upload, wait_until_settled
from cli.loads.loads import Load, Loads
from cli.pipelines.local import LOCAL_STACK
from cli.pipelines.pipeline import Pipeline
from cli.refusals import Failed, Refused
from lambdas.archived_copies import SOURCE_VERSION_ID
from lambdas.notifier import Mail
from schemas.backfills import QUIET_SECONDS, Backfill
from schemas.drops import Drop
from schemas.work_bucket import BACKFILL_KEY, NOTIFIED, digest_key, parse_attempt_key

_MIB = 1024 * 1024
_OF_PARTS = re.compile(r"[0-9a-f]{32}-([1-9][0-9]*)")
Content = tuple[str, str]
"""A key and the MD5 of the file for it; S3 uses the MD5 as ETag for an upload in one piece."""


@dataclass
class BackfillRun:
    """One run of the command over some files."""

    pipeline: Pipeline
    files: Sequence[FileToDrop]
    """Dimensions first."""
    say: Callable[[str], None]
    timeout_seconds: float
    """The limit for each batch."""
    dropped: dict[Content, Drop] = field(default_factory=dict)
    """The files that are dropped already, each with its drop."""

    def __post_init__(self) -> None:
        """Look for files that are dropped already."""
        self.contents = {file.key: (file.key, _md5(file.path)) for file in self.files}
        self.name = _name(self.contents.values())
        self.dropped = dict(_known_drops(self.pipeline, self.files, self.contents))

    @property
    def left(self) -> list[FileToDrop]:
        """The files that are not dropped yet."""
        return [file for file in self.files if self.contents[file.key] not in self.dropped]

    def run(self, batch: int) -> list[Load]:
        """Drop the files that are left, `batch` at a time, and send the digest; returns the loads in file order.

        Raises Failed, and drops no transactions, when a dimension is not loaded.
        """
        self._begin()
        dimensions = [file for file in self.files if file.is_dimension]
        transactions = [file for file in self.files if not file.is_dimension]
        if dimensions:
            self._stop_unless_loaded(self._drop(dimensions), len(transactions))
        for start in range(0, len(transactions), batch):
            self._drop(transactions[start : start + batch])
        drops = [self.dropped[self.contents[file.key]] for file in self.files]
        loads = [Loads(self.pipeline).of(drop) for drop in drops]
        self._end(loads, self.name, digest_mail(loads, name=self.name, stack=self._stack))
        return loads

    def _stop_unless_loaded(self, dimensions: Sequence[Load], transactions: int) -> None:
        failed = [load for load in dimensions if load.is_failed]
        if not failed or not transactions:
            return
        # Corrected files are another backfill. So this one ends here, with a mail of its own.
        name = _name(self.contents[file.key] for file in self.files if file.is_dimension)
        self._end(dimensions, name, stopped_mail(failed, transactions, name=self.name, stack=self._stack))
        status = failed[0].status
        raise Failed(
            f"{status.file_name} was not loaded, so no file of transactions was dropped: {status.summary}; "
            "correct the file, or replay its load, and run the backfill again"
        )

    def _begin(self) -> None:
        """Write the note that suppresses single mails; raises Refused while another backfill runs."""
        s3 = self.pipeline.client("s3")
        try:
            note = s3.get_object(Bucket=self._work_bucket, Key=BACKFILL_KEY)
        except ClientError as error:
            if error.response["Error"]["Code"] != "NoSuchKey":
                raise
        else:
            other = Backfill.from_payload(json.loads(note["Body"].read()))
            ends = note["LastModified"] + timedelta(seconds=QUIET_SECONDS)
            if other.name != self.name and datetime.now(UTC) < ends:
                raise Refused(
                    f"another backfill, of {len(other.keys):,} files, runs or was stopped; run it again to its end, "
                    f"or wait until {ends:%Y-%m-%d %H:%M} UTC"
                )
        self._keep_quiet()

    def _keep_quiet(self) -> None:
        note = Backfill(self.name, list(self.contents)).to_payload()
        self.pipeline.client("s3").put_object(
            Bucket=self._work_bucket, Key=BACKFILL_KEY, Body=json.dumps(note).encode(), ContentType="application/json"
        )

    def _drop(self, files: Sequence[FileToDrop]) -> list[Load]:
        """Drop the files of a batch that are left; returns the loads of the batch, once all of them are settled."""
        self._keep_quiet()
        for file in files:
            content = self.contents[file.key]
            if content not in self.dropped:
                self.dropped[content] = upload(self.pipeline, file.path, file.key)
        drops = [self.dropped[self.contents[file.key]] for file in files]
        loads = wait_until_settled(self.pipeline, drops, timeout_seconds=self.timeout_seconds)
        place = self.files.index(files[-1]) + 1
        self.say(
            f"{place:,} of {len(self.files):,} files are done, the last of them {files[-1].key.rpartition('/')[2]}."
        )
        return loads

    def _end(self, loads: Sequence[Load], name: str, mail: Mail) -> None:
        """Send the only mail about these loads, and from now on let outcomes be mailed one by one."""
        self._wait_until_notified(loads)
        self._send_once(name, mail)
        self.pipeline.client("s3").delete_object(Bucket=self._work_bucket, Key=BACKFILL_KEY)

    def _wait_until_notified(self, loads: Sequence[Load]) -> None:
        """Wait until `notify` has handled the last outcome of each load; it mails outcomes once the note is gone."""
        until = time.monotonic() + self.timeout_seconds
        outcomes = {(load.load_id, load.status.attempt) for load in loads if load.attempts}
        while missing := outcomes - set(self._notified()):
            if time.monotonic() > until:
                load_id, attempt = min(missing)
                raise Failed(
                    f"the outcome of load {load_id}, attempt {attempt}, has not been noted after "
                    f"{self.timeout_seconds / 60:g} minutes; look at the log of notify, then run the backfill again"
                )
            time.sleep(self.pipeline.look_seconds)

    def _notified(self) -> Iterator[tuple[str, int]]:
        pages = self.pipeline.client("s3").get_paginator("list_objects_v2")
        for page in pages.paginate(Bucket=self._work_bucket, Prefix=NOTIFIED):
            yield from filter(None, (parse_attempt_key(entry["Key"]) for entry in page.get("Contents", [])))

    def _send_once(self, name: str, mail: Mail) -> None:
        """Publish the mail. Its note comes first, because a second mail would look like a second backfill."""
        s3 = self.pipeline.client("s3")
        note = json.dumps({"subject": mail.subject}).encode()
        try:
            s3.put_object(Bucket=self._work_bucket, Key=digest_key(name), Body=note, IfNoneMatch="*")
        except ClientError as error:
            if error.response["Error"]["Code"] != "PreconditionFailed":
                raise
            self.say("The mail about these files was sent before.")
            return
        topic = self.pipeline.output("topic_arn")
        self.pipeline.client("sns").publish(TopicArn=topic, Subject=mail.subject, Message=mail.body)

    @property
    def _work_bucket(self) -> str:
        return self.pipeline.output("work_bucket")

    @property
    def _stack(self) -> str:
        return self.pipeline.stack or LOCAL_STACK


def _name(contents: Iterable[Content]) -> str:
    """The id of a backfill: the same for the same files."""
    return hashlib.sha256(json.dumps(sorted(contents)).encode()).hexdigest()[:16]


def _md5(path: Path) -> str:
    with path.open("rb") as content:
        return hashlib.file_digest(content, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _known_drops(
    pipeline: Pipeline, files: Sequence[FileToDrop], contents: Mapping[str, Content]
) -> Iterator[tuple[Content, Drop]]:
    """The contents that are already in the drop bucket or the archive, each with its drop."""
    drop_bucket, archive = pipeline.output("drop_bucket"), pipeline.output("archive_bucket")
    paths = {file.key: file.path for file in files}
    s3 = pipeline.client("s3")
    # A file that is archived meanwhile is in the archive before it leaves the drop bucket: so it is in one listing.
    for bucket in (drop_bucket, archive):
        for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
            for version in page.get("Versions", []):
                key, version_id = version["Key"], version["VersionId"]
                if key not in paths or not has_etag(paths[key], contents[key][1], version):
                    continue
                if bucket == archive:
                    version_id = _source_version(s3, archive, version)
                if version_id:
                    yield contents[key], Drop(drop_bucket, key, version_id)


def has_etag(path: Path, md5: str, version: Mapping[str, Any]) -> bool:
    """True when an object has the file's size and ETag, also after an upload in several parts.

    The ETag of such an upload is the MD5 of the parts' MD5s and the number of parts
    (https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity-upload.html). S3 does not record
    the size of the parts, so every size in whole MiB is tried, as tools use these.
    """
    etag, size = version["ETag"].strip('"'), path.stat().st_size
    parts = _OF_PARTS.fullmatch(etag)
    if parts is None or size != version["Size"]:
        return bool(etag == md5)
    number = int(parts[1])
    least, most = -(-size // number), size if number == 1 else (size - 1) // (number - 1)
    whole = range(-(-least // _MIB), -(-most // _MIB) + 1)
    return any(-(-size // (mib * _MIB)) == number and _etag_of_parts(path, mib * _MIB) == etag for mib in whole)


def _etag_of_parts(path: Path, part_bytes: int) -> str:
    digests = []
    with path.open("rb") as content:
        while part := content.read(part_bytes):
            digests.append(hashlib.md5(part, usedforsecurity=False).digest())
    return f"{hashlib.md5(b''.join(digests), usedforsecurity=False).hexdigest()}-{len(digests)}"


def _source_version(s3: Any, archive: str, version: dict[str, Any]) -> str:
    """The version id of the drop that was copied into the archive; empty for an object that is no copy of ours."""
    head = s3.head_object(Bucket=archive, Key=version["Key"], VersionId=version["VersionId"])
    return str(head["Metadata"].get(SOURCE_VERSION_ID, ""))
