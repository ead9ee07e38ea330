"""start_run: turns SQS messages into Glue runs; each message succeeds or fails alone."""

from __future__ import annotations

import os
import random
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

from lambdas.deadlines import invocation_deadline_seconds
from lambdas.glue_runner import GlueRunner
from lambdas.leases import LeaseStore
from lambdas.no_retries import NO_RETRIES
from lambdas.notifier import Notifier
from lambdas.printable import printable
from lambdas.start_run.backoff import backoff_seconds
from lambdas.start_run.dispatcher import Dispatcher, DispatchResult
from schemas.counted import counted
from schemas.messages import Request, read_message
from schemas.settings import StartRunSettings, load_settings

if TYPE_CHECKING:
    from types_boto3_sqs.client import SQSClient

logger = Logger(service="start_run")


@dataclass(frozen=True)
class Dependencies:
    settings: StartRunSettings
    dispatcher: Dispatcher
    sqs: SQSClient
    chance: random.Random


@cache
def dependencies() -> Dependencies:
    """The clients and settings that outlive one invocation."""
    settings = load_settings(StartRunSettings, os.environ)
    s3 = boto3.client("s3")
    leases = LeaseStore(s3, settings.work_bucket)
    dispatcher = Dispatcher(
        settings=settings,
        s3=s3,
        runner=GlueRunner.connect(),
        leases=leases,
        notifier=Notifier(leases, boto3.client("sns", config=NO_RETRIES), settings.topic_arn),
    )
    return Dependencies(settings, dispatcher, boto3.client("sqs"), random.Random())


@logger.inject_lambda_context(clear_state=True)
def handle(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Handle each message: done, or to be delivered again (and in the end to the dead-letter queue)."""
    # A batch in which every message failed is reported like any other: an exception would hide the single messages.
    processor = BatchProcessor(EventType.SQS, raise_on_entire_batch_failure=False)
    response = process_partial_response(
        event=event,
        record_handler=lambda record: handle_message(record, context),
        processor=processor,
        context=context,
    )
    return dict(response)


def handle_message(record: SQSRecord, context: LambdaContext) -> None:
    """Dispatch every request in the message, even if others in it fail."""
    failures: list[Exception] = []
    try:
        for request in read_message(record.body, message_id=record.message_id):
            try:
                handle_request(request, waits=waits_of(record), context=context)
            except Exception as error:
                failures.append(error)
        if failures:
            raise ExceptionGroup(f"{counted(len(failures), 'request')} in message {record.message_id} failed", failures)
    except Exception:
        # Logged here, since Powertools does not log the exception.
        logger.exception("the message is not done and will be delivered again", extra={"message_id": record.message_id})
        raise


def handle_request(request: Request, *, waits: int, context: LambdaContext) -> None:
    """Dispatch one request; if it must wait it goes back into the queue."""
    result = dependencies().dispatcher.dispatch(request, lease_seconds=invocation_deadline_seconds(context))
    details = {"result": result.name, "key": printable(request.key, 1024), "version_id": request.version_id}
    logger.info(result.value, extra=details)
    if result is DispatchResult.WAITS:
        send_back(request, waits=waits)


def send_back(request: Request, *, waits: int) -> None:
    """Put the request back into the queue as a new message.

    The old message would count each wait as a failed delivery and end in the dead-letter
    queue. If the worker dies before the old message is deleted, two messages remain, and one of them finds nothing to
    do.
    """
    deps = dependencies()
    deps.sqs.send_message(
        QueueUrl=deps.settings.queue_url,
        MessageBody=request.as_message(),
        DelaySeconds=backoff_seconds(waits, deps.chance),
        MessageAttributes={"waits": {"DataType": "Number", "StringValue": str(waits + 1)}},
    )


def waits_of(record: SQSRecord) -> int:
    """How often this request has waited already."""
    attribute = record.message_attributes["waits"]
    text = attribute.string_value if attribute else None
    return int(text) if text and text.isdecimal() else 0
