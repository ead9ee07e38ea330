"""Mails are published at most once, and only when a subscription can receive them.

SNS has no idempotency on a topic with e-mail subscriptions, so the note comes first:
`<stem>.sending.json` is created (only one worker can), the mail is published, and
`<stem>.json` says that it was. Both stay. When SNS refuses, the lease is released and the
next try may send. If a worker dies or gets no response between the two notes, it is unknown whether the mail was sent.
Then it is not sent again: a second mail would look like
a second outcome. The report has the outcome, and the error that is raised once in that case sets off the alarm for
failed functions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError, ConnectTimeoutError, EndpointConnectionError

from lambdas.errors import TerminalError, TransientError
from lambdas.leases import Lease, LeaseStore, leased, released
from schemas.work_bucket import sending_key, sent_key

if TYPE_CHECKING:
    from types_boto3_sns.client import SNSClient

MAX_SUBJECT_CHARACTERS = 99
MAX_BODY_BYTES = 240_000
"""SNS accepts 262,144 bytes with attributes and subject."""


@dataclass(frozen=True)
class Mail:
    subject: str
    body: str

    def __post_init__(self) -> None:
        """Cut the mail to SNS's limit: a mail that is too long must still be sent."""
        subject = self.subject.encode("ascii", "replace").decode("ascii")
        subject = "".join(character if character.isprintable() else "?" for character in subject)
        object.__setattr__(self, "subject", subject[:MAX_SUBJECT_CHARACTERS])
        body = self.body.encode("utf-8", "backslashreplace")
        if len(body) > MAX_BODY_BYTES:
            kept = body[:MAX_BODY_BYTES].decode("utf-8", "ignore")
            object.__setattr__(self, "body", f"{kept}\n\nThe rest of this mail was too long to send.\n")
        else:
            object.__setattr__(self, "body", body.decode("utf-8"))


@dataclass(frozen=True)
class Notifier:
    """Publishes mails to one topic, each of them at most once."""

    leases: LeaseStore
    sns: SNSClient
    """A client that sends each request once: a repeated publish is a second mail."""
    topic_arn: str

    def was_sent(self, stem: str) -> bool:
        """True when the mail was sent, or its sender died while sending it."""
        return sent_key(stem) in self.leases.names(f"{stem}.")

    def has_reader(self) -> bool:
        """False while subscriptions exist but none is confirmed: SNS would accept the mail and deliver it to no one.
        True for a topic without subscriptions: there is no confirmation to wait for.
        """
        attributes = self.sns.get_topic_attributes(TopicArn=self.topic_arn)["Attributes"]
        confirmed, pending = (
            int(attributes.get(name, 0)) for name in ("SubscriptionsConfirmed", "SubscriptionsPending")
        )
        return confirmed > 0 or pending == 0

    def note_in_digest(self, stem: str) -> None:
        """Note that a digest reports the outcome, so that no other mail is sent, not even by the sweep."""
        self.leases.create(sent_key(stem), {"reported_by": "digest"})

    def send_at_most_once(self, stem: str, mail: Mail, *, lease_seconds: float) -> bool:
        """Publish the mail unless it was, or is being, published; True when it was published now.

        Raises TransientError while no subscription could receive it.
        """
        if self.was_sent(stem):
            return False
        if not self.has_reader():
            raise TransientError(
                f"no subscription to {self.topic_arn} is confirmed, so the mail is not sent yet; click the link "
                "in the confirmation mail that AWS sent to each address"
            )
        sending = self._take(stem, lease_seconds)
        if sending is None:
            return False
        try:
            published = self.sns.publish(TopicArn=self.topic_arn, Subject=mail.subject, Message=mail.body)
        except (ClientError, ConnectTimeoutError, EndpointConnectionError) as error:
            if _was_surely_not_sent(error):
                self.leases.replace(sending, released())
            raise
        self.leases.create(sent_key(stem), {"subject": mail.subject, "message_id": published["MessageId"]})
        return True

    def _take(self, stem: str, lease_seconds: float) -> Lease | None:
        key = sending_key(stem)
        payload = leased(lease_seconds)
        sending = self.leases.find(key)
        if sending is None:
            return self.leases.create(key, payload)
        if sending.was_released:
            return self.leases.replace(sending, payload)
        if sending.is_expired and self.leases.create(sent_key(stem), {"undecided": True}):
            raise TerminalError(
                f"a mail may or may not have been sent: its sender died while sending, so {sent_key(stem)} notes it as "
                "undecided and it is not sent again; read the report of that attempt to know its outcome"
            )
        return None


def _was_surely_not_sent(error: Exception) -> bool:
    if isinstance(error, ClientError):
        return error.response["ResponseMetadata"]["HTTPStatusCode"] < 500
    return True
