"""Replays: the decision which loads can be replayed, made before any message is sent, and the messages."""

from __future__ import annotations

from dataclasses import dataclass

from cli.drops.status import Phase
from cli.loads.loads import Load, Loads
from lambdas.archived_copies import SOURCE_VERSION_ID
from schemas.messages import replay_message


@dataclass(frozen=True)
class PlannedReplay:
    """One load, and the decision about its replay."""

    load: Load
    starts: bool
    reason: str
    """The attempt that starts, or the reason why none does."""

    def as_json(self) -> dict[str, object]:
        drop = self.load.drop
        return {
            "load_id": drop.load_id,
            "uri": drop.uri,
            "version_id": drop.version_id,
            "starts": self.starts,
            "reason": self.reason,
        }


def plan_replay(loads: Loads, load: Load) -> PlannedReplay:
    """Decide whether this load can be replayed now."""
    status = load.status
    if status.phase is Phase.QUEUED:
        return PlannedReplay(load, False, "its first attempt has not started; it is waiting in the queue")
    if status.phase is Phase.RUNNING:
        return PlannedReplay(load, False, f"attempt {status.attempt} is running; wait until it ends")
    place = find_content(loads, load)
    if place is None:
        return PlannedReplay(load, False, "its content is neither in the drop bucket nor in the archive")
    return PlannedReplay(load, True, f"attempt {status.attempt + 1} starts from the {place}")


def find_content(loads: Loads, load: Load) -> str | None:
    """The place of the drop's content: `drop bucket`, `archive`, or None when it is in neither."""
    if load.drop in loads.in_drop_bucket:
        return "drop bucket"
    pipeline = loads.pipeline
    s3, bucket = pipeline.client("s3"), pipeline.output("archive_bucket")
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=load.drop.key):
        for version in page.get("Versions", []):
            if version["Key"] != load.drop.key:
                continue
            head = s3.head_object(Bucket=bucket, Key=version["Key"], VersionId=version["VersionId"])
            if head["Metadata"].get(SOURCE_VERSION_ID) == load.drop.version_id:
                return "archive"
    return None


def send_replay(loads: Loads, planned: PlannedReplay) -> None:
    """Request the planned attempt; a second message with the same request starts no second attempt."""
    drop, pipeline = planned.load.drop, loads.pipeline
    # Not `after_attempt`: that retries a failure, and a load that succeeded is replayed too.
    message = replay_message(drop, request=f"replay:{drop.load_id}:{planned.load.status.attempt}")
    pipeline.client("sqs").send_message(QueueUrl=pipeline.output("queue_url"), MessageBody=message)
