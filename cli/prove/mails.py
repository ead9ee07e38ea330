"""A queue that subscribes to the topic of outcomes and so receives every mail."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cli.pipelines.pipeline import Pipeline
from cli.prove.throwaway_stack import PROJECT
from cli.refusals import Failed
from schemas.drops import Drop

_MOST_MESSAGES = 10
_LONG_POLL_SECONDS = 2


@dataclass
class ProofMails:
    """The mails that were sent since the queue subscribed."""

    sqs: Any
    queue_url: str
    bodies: list[str] = field(default_factory=list)

    @classmethod
    def subscribe(cls, pipeline: Pipeline, stack: str) -> ProofMails:
        """Create the queue and subscribe it; a queue of the same account needs no confirmation."""
        sqs, topic = pipeline.client("sqs"), pipeline.output("topic_arn")
        url = sqs.create_queue(QueueName=_queue_name(stack), tags={"project": PROJECT, "environment": stack})[
            "QueueUrl"
        ]
        arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        statement = {
            "Effect": "Allow",
            "Principal": {"Service": "sns.amazonaws.com"},
            "Action": "sqs:SendMessage",
            "Resource": arn,
            "Condition": {"ArnEquals": {"aws:SourceArn": topic}},
        }
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]}, separators=(",", ":"))
        sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
        pipeline.client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
        return cls(sqs, url)

    def compare(self, expected: Mapping[Drop, int], *, timeout_seconds: float) -> str:
        """Wait for the expected number of mails about each drop; raises Failed when there are fewer or more."""
        until = time.monotonic() + timeout_seconds
        while True:
            self._receive()
            mails_about = {drop: self._about(drop) for drop in expected}
            if all(mails_about[drop] >= wanted for drop, wanted in expected.items()) or time.monotonic() > until:
                break
        wrong = [drop for drop, wanted in expected.items() if mails_about[drop] != wanted]
        if wrong:
            first = wrong[0]
            raise Failed(
                f"{mails_about[first]} mails are about {first.uri}, not {expected[first]}; {len(wrong)} loads are wrong"
            )
        return f"{sum(mails_about.values())} mails about {len(mails_about)} loads, one for each outcome"

    @staticmethod
    def delete(sqs: Any, stack: str) -> None:
        """Delete the queue, if it was created; the subscription goes with the topic."""
        for url in sqs.list_queues(QueueNamePrefix=_queue_name(stack)).get("QueueUrls", []):
            sqs.delete_queue(QueueUrl=url)

    def _about(self, drop: Drop) -> int:
        return sum(drop.load_id in body for body in self.bodies)

    def _receive(self) -> None:
        while messages := self.sqs.receive_message(
            QueueUrl=self.queue_url, MaxNumberOfMessages=_MOST_MESSAGES, WaitTimeSeconds=_LONG_POLL_SECONDS
        ).get("Messages"):
            for message in messages:
                self.bodies.append(json.loads(message["Body"])["Message"])
                self.sqs.delete_message(QueueUrl=self.queue_url, ReceiptHandle=message["ReceiptHandle"])


def _queue_name(stack: str) -> str:
    return f"{PROJECT}-{stack}-proof-mails"
