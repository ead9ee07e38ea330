"""Retractions: the check whether a load can be taken back, and the message that requests it."""

from __future__ import annotations

from cli.drops.status import Phase
from cli.loads.loads import Load, Loads
from schemas.drops import TRANSACTIONS, parse_key
from schemas.messages import retract_message
from schemas.reports import SUCCEEDED


def obstacle_to_retraction(load: Load) -> str | None:
    """The reason why this load cannot be taken back now; None when it can."""
    if parse_key(load.drop.key).kind != TRANSACTIONS:
        return "a dimension cannot be taken back; drop a corrected file, the later upload wins"
    if load.status.phase is Phase.QUEUED:
        return "it was not loaded yet; delete the file from the drop bucket instead"
    if load.status.phase is Phase.RUNNING:
        return f"attempt {load.status.attempt} is running; wait until it ends"
    if not any(attempt.report is not None and attempt.report.outcome == SUCCEEDED for attempt in load.attempts):
        return "nothing of it was ever loaded"
    return None


def send_retraction(loads: Loads, load: Load) -> None:
    """Request the retraction; a second message with the same request starts no second attempt."""
    message = retract_message(load.drop, request=f"retract:{load.load_id}:{load.status.attempt}")
    pipeline = loads.pipeline
    pipeline.client("sqs").send_message(QueueUrl=pipeline.output("queue_url"), MessageBody=message)
