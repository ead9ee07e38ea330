"""Properties of a world in which all work is done."""

from __future__ import annotations

import json
from collections import Counter
from datetime import datetime
from typing import TYPE_CHECKING

from schemas.drops import Drop
from schemas.runs import RETRACT, decode_run
from schemas.work_bucket import REPORTS, claims_prefix, deferred_key, notified_stem, refused_stem, sent_key
from tests.model.memory_aws import ARCHIVE, DROPS, WORK
from tests.model.workers import Broken

if TYPE_CHECKING:
    from tests.model.world import World


def check(world: World) -> None:
    """Check the properties of a world in which all work is done."""
    for drop in world.uploads:
        attempts = [
            arguments.attempt
            for run in world.glue.runs
            if (arguments := decode_run(run.arguments)) is not None and arguments.drop == drop
        ]
        if not attempts and drop.load_id not in world.withdrawn:
            raise Broken(f"{drop.load_id} was never started")
        if attempts != list(range(1, len(attempts) + 1)):
            raise Broken(f"attempts at {drop.load_id} are {attempts}")
        if attempts and _missed_the_copy(world, drop):
            raise Broken(f"the last attempt at {drop.load_id} found no drop, though its copy is in the archive")
        for attempt in attempts:
            if not _was_mailed(world, drop.load_id, attempt) and not (
                _was_deferred(world, drop.load_id, attempt) and attempt < attempts[-1]
            ):
                raise Broken(f"no mail reported attempt {attempt} at {drop.load_id}")
    for request, drop, asked_at in world.requests:
        if not _was_met(world, request, drop, asked_at) and not world.dead_letters:
            raise Broken(f"{request} about {drop.load_id} was neither met nor refused")
    _check_archive(world)


def _was_met(world: World, request: str, drop: Drop, asked_at: datetime) -> bool:
    """True when the request had an attempt, or a mail says why it had none.

    No person asked for rows to flow in: a run that began later has them, and a withdrawn file whose load left no
    report stays withdrawn.
    """
    if request.startswith("flow_in:"):
        is_withdrawn = drop.load_id in world.withdrawn and drop.load_id not in world.reported
        if is_withdrawn or _was_loaded_since(world, drop, asked_at):
            return True
    if world.s3.current(WORK, sent_key(refused_stem(drop.load_id, request))) is not None:
        return True
    claims = (world.s3.current(WORK, key) for key in world.s3.keys(WORK, claims_prefix(drop.load_id)))
    return any(json.loads(claim.body)["requested_by"] == request for claim in claims if claim is not None)


def _was_loaded_since(world: World, drop: Drop, moment: datetime) -> bool:
    return any(
        arguments.operation != RETRACT and run.started_on >= moment
        for run in world.glue.runs
        if (arguments := decode_run(run.arguments)) is not None and arguments.drop == drop
    )


def _missed_the_copy(world: World, drop: Drop) -> bool:
    """True when the last run of a drop looked in the drop bucket although the drop was archived."""
    last = [
        run for run in world.glue.runs if (actual := decode_run(run.arguments)) is not None and actual.drop == drop
    ][-1]
    versions = world.s3.buckets.get(ARCHIVE, {}).get(drop.key, [])
    is_archived = any(version.metadata["load-id"] == drop.load_id for version in versions)
    return last.fate == "finds no drop" and is_archived


def _was_mailed(world: World, load_id: str, attempt: int) -> bool:
    # If a sender died while sending, a note takes the place of a second mail.
    note = world.s3.current(WORK, sent_key(notified_stem(load_id, attempt)))
    is_undecided = note is not None and b"undecided" in note.body
    return (load_id, attempt) in world.mails or is_undecided


def _was_deferred(world: World, load_id: str, attempt: int) -> bool:
    return world.s3.current(WORK, deferred_key(load_id, attempt)) is not None


def _check_archive(world: World) -> None:
    held = world.s3.buckets.get(ARCHIVE, {})
    archived = Counter(version.metadata["load-id"] for versions in held.values() for version in versions)
    reported = {drop.load_id for drop in world.uploads if _is_reported(world, drop)}
    for load_id in reported | set(archived):
        if archived[load_id] != 1:
            raise Broken(f"the archive has {archived[load_id]} copies of {load_id}")
    for drop in world.uploads:
        if drop.load_id in reported and world.s3.version(DROPS, drop.key, drop.version_id) is not None:
            raise Broken(f"{drop.load_id} is loaded and still in the drop bucket")
    for key, versions in held.items():
        newest = [drop.load_id for drop in world.uploads if drop.key == key and drop.load_id in archived][-1]
        if versions[-1].metadata["load-id"] != newest:
            raise Broken(f"the newest upload of {key} is not the archive's current object")


def _is_reported(world: World, drop: Drop) -> bool:
    return any(
        b'"outcome": "succeeded"' in versions[-1].body
        for key, versions in world.s3.buckets.get(WORK, {}).items()
        if key.startswith(f"{REPORTS}{drop.load_id}/")
    )
