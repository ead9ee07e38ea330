"""The state of a pipeline at one moment, read from S3, SQS and SNS, so that the warehouse stays asleep."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cli.drops.status import Phase
from cli.loads.as_json import load_json
from cli.loads.loads import Load, Loads
from cli.pipelines.pipeline import Pipeline
from schemas.counted import agreeing, counted
from schemas.drops import TRANSACTIONS, parse_key

_RECENT = 60
_DAYS_SHOWN = 7


@dataclass(frozen=True)
class QueueDepth:
    """Messages in the queue of drops."""

    waiting: int
    delayed: int
    in_flight: int


@dataclass(frozen=True)
class Subscriptions:
    """Addresses that get the mails."""

    confirmed: int
    pending: int


@dataclass(frozen=True)
class PipelineStatus:
    pipeline: str
    stack_option: str
    """The option that makes a command work on this pipeline (`cli.pipelines.pipeline`)."""
    queued: list[Load]
    running: list[Load]
    failed: list[Load]
    queue: QueueDepth
    dead_letters: int
    subscriptions: Subscriptions
    latest_days: dict[str, list[Load]]
    """Day of the key -> its loads, the latest day first."""

    @property
    def advice(self) -> list[str]:
        """The actions that a person must take, a sentence each."""
        option = self.stack_option
        sentences = [
            f"{load.status.file_name} failed; see `pipeline show {load.load_id}{option}`" for load in self.failed[:3]
        ]
        if len(self.failed) > 3:
            sentences.append(
                f"{counted(len(self.failed) - 3, 'more load')} failed; see `pipeline loads --failed{option}`"
            )
        if self.dead_letters:
            sentences.append(
                f"{counted(self.dead_letters, 'message')} could not be handled; see `pipeline dead list{option}`"
            )
        if self.subscriptions.pending:
            pending = self.subscriptions.pending
            get = agreeing(
                pending, "address gets no mail until it confirms", "addresses get no mail until they confirm"
            )
            sentences.append(f"{pending:,} {get} the subscription")
        elif not self.subscriptions.confirmed:
            sentences.append("no address gets the mails; add one to `emails` and run `pulumi up`")
        return sentences

    @property
    def needs_a_look(self) -> bool:
        return bool(self.advice)

    def as_json(self) -> dict[str, Any]:
        """The shape `status` of docs/commands.schema.json."""
        return {
            "pipeline": self.pipeline,
            "queued": [load_json(load) for load in self.queued],
            "running": [load_json(load) for load in self.running],
            "failed": [load_json(load) for load in self.failed],
            "queue": vars(self.queue),
            "dead_letters": self.dead_letters,
            "subscriptions": vars(self.subscriptions),
            "latest_days": {day: [load_json(load) for load in loads] for day, loads in self.latest_days.items()},
            "advice": self.advice,
        }


def look(pipeline: Pipeline) -> PipelineStatus:
    """The state of the pipeline now."""
    loads = Loads(pipeline)
    recent = loads.recent(limit=_RECENT)
    known = {load.load_id for load in recent}
    # A drop that failed long ago is not recent, but is still in the drop bucket.
    others = [loads.of(drop) for drop in loads.in_drop_bucket if drop.load_id not in known]
    seen = [*recent, *others]

    def at(phase: Phase) -> list[Load]:
        return [load for load in seen if load.status.phase is phase]

    return PipelineStatus(
        pipeline=pipeline.name,
        stack_option=pipeline.stack_option,
        queued=at(Phase.QUEUED),
        running=at(Phase.RUNNING),
        failed=[load for load in at(Phase.FAILED) if not load.status.is_retried],
        queue=queue_depth(pipeline, "queue_url"),
        dead_letters=queue_depth(pipeline, "dead_letter_queue_url").waiting,
        subscriptions=subscriptions(pipeline),
        latest_days=_latest_days(recent),
    )


def queue_depth(pipeline: Pipeline, output: str) -> QueueDepth:
    """The message counts of the queue behind a stack output."""
    names = [f"ApproximateNumberOfMessages{which}" for which in ("", "Delayed", "NotVisible")]
    described = pipeline.client("sqs").get_queue_attributes(QueueUrl=pipeline.output(output), AttributeNames=names)
    return QueueDepth(*(int(described["Attributes"][name]) for name in names))


def subscriptions(pipeline: Pipeline) -> Subscriptions:
    """The numbers of confirmed and unconfirmed addresses for mails about loads."""
    pages = pipeline.client("sns").get_paginator("list_subscriptions_by_topic")
    arns = [
        subscription["SubscriptionArn"]
        for page in pages.paginate(TopicArn=pipeline.output("topic_arn"))
        for subscription in page["Subscriptions"]
    ]
    pending = sum(not arn.startswith("arn:") for arn in arns)
    return Subscriptions(confirmed=len(arns) - pending, pending=pending)


def status_text(status: PipelineStatus) -> str:
    """A screen of text."""
    lines = [f"{status.pipeline[0].upper()}{status.pipeline[1:]}"]
    lines += [f"  running {len(status.running)}, queued {len(status.queued)}, failed {len(status.failed)}"]
    lines += [
        f"  {load.status.phase.value:<8} {load.status.file_name}" for load in [*status.running, *status.queued][:8]
    ]
    queue = status.queue
    lines.append(f"  queue: {queue.waiting} waiting, {queue.delayed} delayed, {queue.in_flight} being handled")
    mails = status.subscriptions
    lines.append(f"  dead letters: {status.dead_letters}; {_addresses(mails)}")
    if status.latest_days:
        lines += ["", "Latest days"]
        for day, loads in status.latest_days.items():
            rows = sum((load.report.counts or {}).get("rows_read", 0) for load in loads if load.report)
            rejected = sum(load.status.rejected for load in loads)
            read = f"{rows:>12,} {agreeing(rows, 'row', 'rows')}"
            failed = sum(load.is_failed for load in loads)
            not_loaded = f", {counted(failed, 'file')} not loaded" if failed else ""
            lines.append(f"  {day}  {counted(len(loads), 'file'):<9} {read}, {rejected:,} rejected{not_loaded}")
    lines += ["", *(f"To do: {sentence}" for sentence in status.advice)] if status.advice else ["", "Nothing to do."]
    return "\n".join(lines)


def _addresses(mails: Subscriptions) -> str:
    confirmed = f"mails go to {mails.confirmed:,} {agreeing(mails.confirmed, 'address', 'addresses')}"
    return (
        f"{confirmed}, {mails.pending:,} more {agreeing(mails.pending, 'is', 'are')} unconfirmed"
        if mails.pending
        else confirmed
    )


def _latest_days(recent: list[Load]) -> dict[str, list[Load]]:
    days: dict[str, list[Load]] = {}
    for load in recent:
        key = parse_key(load.drop.key)
        if key.kind == TRANSACTIONS and key.partition_day is not None:
            days.setdefault(key.partition_day.isoformat(), []).append(load)
    return {day: days[day] for day in sorted(days, reverse=True)[:_DAYS_SHOWN]}
