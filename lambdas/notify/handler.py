"""notify: a run that is over in, one mail out, unless another attempt follows by itself."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache
from typing import Any

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from lambdas.attempts import Outcome, read_report
from lambdas.deadlines import invocation_deadline_seconds
from lambdas.leases import LeaseStore
from lambdas.no_retries import NO_RETRIES
from lambdas.notifier import Notifier
from lambdas.notify.earlier_attempts import earlier_attempts, note_deferred
from lambdas.notify.log_link import log_link
from lambdas.notify.outcome_mail import MailContext, describe_failure, outcome_mail
from lambdas.run_events import ended_run
from schemas.messages import is_last
from schemas.settings import NotifySettings, load_settings
from schemas.work_bucket import notified_stem

logger = Logger(service="notify")


@dataclass(frozen=True)
class Dependencies:
    settings: NotifySettings
    glue: Any
    leases: LeaseStore
    notifier: Notifier


@cache
def dependencies() -> Dependencies:
    """Everything that outlives one invocation."""
    settings = load_settings(NotifySettings, os.environ)
    leases = LeaseStore(boto3.client("s3"), settings.work_bucket)
    notifier = Notifier(leases, boto3.client("sns", config=NO_RETRIES), settings.topic_arn)
    return Dependencies(settings, boto3.client("glue"), leases, notifier)


@logger.inject_lambda_context(clear_state=True)
def handle(event: dict[str, Any], context: LambdaContext) -> dict[str, bool]:
    """Tell the outcome of the run, unless it was told."""
    deps = dependencies()
    settings = deps.settings
    run = ended_run(event, glue=deps.glue, drop_bucket=settings.drop_bucket)
    if run is None or run.drop is None or run.attempt is None:
        logger.info("the event is not about the end of a run that was started for a drop")
        return {"told": False}
    load_id, attempt = run.drop.load_id, run.attempt
    logger.append_keys(load_id=load_id, attempt=attempt, run_id=run.run_id)
    stem = notified_stem(load_id, attempt)
    if deps.notifier.was_sent(stem):
        logger.info("the outcome was told before")
        return {"told": False}
    report = read_report(deps.leases, load_id, attempt)
    if Outcome(report, run.state).is_retried(attempt) and not is_last(event):
        note_deferred(deps.leases, load_id, attempt, became=describe_failure(run, report))
        logger.info("the load is tried again by itself, so the mail comes with its last attempt")
        return {"told": False}
    told = MailContext(
        run=run,
        drop=run.drop,
        attempt=attempt,
        report=report,
        earlier=earlier_attempts(deps.leases, load_id, attempt),
        environment=settings.environment,
        work_bucket=settings.work_bucket,
        log_link=log_link(deps.glue.meta.region_name, settings.job_log_group, run.run_id),
    )
    mail = outcome_mail(told)
    # Between the note and the publish there is nothing that can fail: the mail is written by now.
    was_sent = deps.notifier.send_at_most_once(stem, mail, lifetime_seconds=invocation_deadline_seconds(context))
    logger.info(
        "the outcome is told" if was_sent else "the outcome is being told by another", extra={"subject": mail.subject}
    )
    return {"told": was_sent}
