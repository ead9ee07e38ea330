"""The dead-letter queue: messages that start_run could not handle after several tries."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from cli.pipelines.pipeline import Pipeline
from cli.refusals import Refused
from schemas.messages import UnreadableMessage, read_message

_BATCH = 10
_HIDDEN_SECONDS = 60
"""The time for which SQS hides a received message from other readers."""
_MOST = 1000


@dataclass(frozen=True)
class DeadLetter:
    """A message as it was received."""

    message_id: str
    body: str
    sent_at: datetime
    receipt: str
    attributes: dict[str, Any]

    @property
    def about(self) -> str:
        """The files that it is about, or the reason why it cannot be read."""
        try:
            requests = read_message(self.body, message_id=self.message_id)
        except UnreadableMessage as error:
            return str(error)
        return ", ".join(f"s3://{request.bucket}/{request.key}" for request in requests) or "asks for nothing"

    @property
    def line(self) -> str:
        return f"{self.message_id}  {self.sent_at:%Y-%m-%d %H:%M}  {self.about}"

    def as_json(self) -> dict[str, str]:
        return {
            "message_id": self.message_id,
            "sent_at": self.sent_at.isoformat(),
            "about": self.about,
            "body": self.body,
        }


@dataclass(frozen=True)
class DeadLetters:
    """The dead letters of a pipeline."""

    pipeline: Pipeline

    def read(self) -> list[DeadLetter]:
        """Every dead letter, the oldest first; they stay in the queue."""
        letters = self._receive()
        self.release(letters)
        return letters

    def choose(self, which: str) -> list[DeadLetter]:
        """The message with that id, or all, hidden from other readers; raises Refused when there is no such message."""
        letters = self._receive()
        chosen = [letter for letter in letters if which in ("all", letter.message_id)]
        self.release([letter for letter in letters if letter not in chosen])
        if not chosen and which != "all":
            raise Refused(f"there is no dead letter {which}; `pipeline dead list` shows those there are")
        return chosen

    def redrive(self, letters: list[DeadLetter]) -> None:
        """Send them back to the queue of drops. Each is sent before it is deleted, so that none can be lost."""
        for letter in letters:
            self._sqs.send_message(
                QueueUrl=self.pipeline.output("queue_url"),
                MessageBody=letter.body,
                MessageAttributes=letter.attributes,
            )
            self._delete(letter)

    def discard(self, letters: list[DeadLetter]) -> None:
        """Delete them for good. A drop itself stays in the drop bucket."""
        for letter in letters:
            self._delete(letter)

    def _receive(self) -> list[DeadLetter]:
        letters: dict[str, DeadLetter] = {}
        while len(letters) < _MOST:
            received = self._sqs.receive_message(
                QueueUrl=self._url,
                MaxNumberOfMessages=_BATCH,
                VisibilityTimeout=_HIDDEN_SECONDS,
                AttributeNames=["SentTimestamp"],
                MessageAttributeNames=["All"],
            ).get("Messages", [])
            if not received:
                break
            letters.update((message["MessageId"], _letter(message)) for message in received)
        return sorted(letters.values(), key=lambda letter: letter.sent_at)

    def release(self, letters: list[DeadLetter]) -> None:
        """Let others receive them again."""
        for letter in letters:
            self._sqs.change_message_visibility(QueueUrl=self._url, ReceiptHandle=letter.receipt, VisibilityTimeout=0)

    def _delete(self, letter: DeadLetter) -> None:
        self._sqs.delete_message(QueueUrl=self._url, ReceiptHandle=letter.receipt)

    @property
    def _sqs(self) -> Any:
        return self.pipeline.client("sqs")

    @property
    def _url(self) -> str:
        return self.pipeline.output("dead_letter_queue_url")


def _letter(message: dict[str, Any]) -> DeadLetter:
    attributes = {
        name: {part: value for part, value in attribute.items() if part in ("DataType", "StringValue", "BinaryValue")}
        for name, attribute in message.get("MessageAttributes", {}).items()
    }
    sent_at = datetime.fromtimestamp(int(message["Attributes"]["SentTimestamp"]) / 1000, UTC)
    return DeadLetter(message["MessageId"], message["Body"], sent_at, message["ReceiptHandle"], attributes)
