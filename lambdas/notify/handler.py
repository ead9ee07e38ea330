"""notify: handles a run that has ended and sends one mail, unless a retry follows."""

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
from lambdas.glue_runner import GlueRunner
from lambdas.leases import LeaseStore
from lambdas.no_retries import NO_RETRIES
from lambdas.notifier import Notifier
from lambdas.notify.digests import is_in_digest, stopped_mail
from lambdas.notify.earlier_attempts import earlier_attempts, note_deferred
from lambdas.notify.failures import describe_failure
from lambdas.notify.lineage import AttemptLineage
from lambdas.notify.mail_context import MailContext
from lambdas.notify.outcome_mail import outcome_mail
from lambdas.published_metrics import put_metric
from lambdas.run_events import ended_run
from lambdas.runs import Run, Runner
from schemas.backfills import Backfill
from schemas.drops import Drop
from schemas.messages import BACKFILL_STOPPED, is_last
from schemas.metrics import REJECTED_SHARE, ROWS, UNUSUAL_LOADS
from schemas.reports import Report
from schemas.retries import tries_of
from schemas.runs import LOAD, SPARK_OUTPUT_LOG_GROUP, runs_on_spark
from schemas.settings import NotifySettings, load_settings
from schemas.work_bucket import BACKFILL_KEY, claim_key, digest_key, notified_stem, stopped_stem

logger = Logger(service="notify")


@dataclass(frozen=True)
class Dependencies:
    settings: NotifySettings
    runner: Runner
    leases: LeaseStore
    notifier: Notifier


@cache
def dependencies() -> Dependencies:
    """The clients and settings that outlive one invocation."""
    settings = load_settings(NotifySettings, os.environ)
    leases = LeaseStore(boto3.client("s3"), settings.work_bucket)
    notifier = Notifier(leases, boto3.client("sns", config=NO_RETRIES), settings.topic_arn)
    return Dependencies(settings, GlueRunner.connect(), leases, notifier)


@logger.inject_lambda_context(clear_state=True)
def handle(event: dict[str, Any], context: LambdaContext) -> dict[str, bool]:
    """Mail the outcome of the run, unless it was mailed, and send its lineage events."""
    deps = dependencies()
    if event == BACKFILL_STOPPED:
        return {"sent": _mail_stopped_backfill(context)}
    run = ended_run(event, runner=deps.runner, drop_bucket=deps.settings.drop_bucket)
    if run is None or run.drop is None or run.attempt is None:
        logger.info("the event is not about the end of a run that was started for a drop")
        return {"sent": False}
    load_id, attempt = run.drop.load_id, run.attempt
    logger.append_keys(load_id=load_id, attempt=attempt, run_id=run.run_id)
    if deps.notifier.was_sent(notified_stem(load_id, attempt)):
        logger.info("the outcome was mailed before")
        return {"sent": False}
    report = read_report(deps.leases, load_id, attempt)
    was_sent = _mail(event, context, run, run.drop, attempt, report)
    if deps.settings.open_lineage_url:
        _send_lineage(AttemptLineage(deps.settings, run, run.drop, attempt, report))
    return {"sent": was_sent}


def _mail(
    event: dict[str, Any], context: LambdaContext, run: Run, drop: Drop, attempt: int, report: Report | None
) -> bool:
    """Send the mail; False if none is due, or another invocation sends it."""
    deps, load_id = dependencies(), drop.load_id
    settings, stem = deps.settings, notified_stem(load_id, attempt)
    claim = deps.leases.find(claim_key(load_id, attempt))
    tries = tries_of(claim.payload) if claim is not None else attempt
    if Outcome(report, run.state).is_retried(tries) and not is_last(event):
        note_deferred(deps.leases, load_id, attempt, failure=describe_failure(run, report))
        logger.info("the load is retried automatically, so the mail comes with its last attempt")
        return False
    if is_in_digest(deps.leases, drop):
        deps.notifier.note_in_digest(stem)
        return False
    mail = outcome_mail(
        MailContext(
            run=run,
            drop=drop,
            attempt=attempt,
            report=report,
            earlier=earlier_attempts(deps.leases, load_id, attempt),
            stack=settings.environment,
            region=deps.runner.region,
            work_bucket=settings.work_bucket,
            job_log_group=SPARK_OUTPUT_LOG_GROUP if runs_on_spark(run.job_name) else settings.job_log_group,
        )
    )
    if not deps.notifier.has_reader():
        # Not an error: the sweep calls again until a subscription is confirmed or all have expired.
        logger.warning("no subscription is confirmed yet, so the mail waits", extra={"subject": mail.subject})
        return False
    # Before the mail: a figure that is published twice does less harm than a missing alarm.
    publish_metrics(settings.environment, report)
    # The mail is complete here, so nothing can fail between the note and the publish.
    was_sent = deps.notifier.send_at_most_once(stem, mail, lease_seconds=invocation_deadline_seconds(context))
    logger.info(
        "the outcome is mailed" if was_sent else "the outcome is being mailed by another",
        extra={"subject": mail.subject},
    )
    return was_sent


def _mail_stopped_backfill(context: LambdaContext) -> bool:
    """Mail that no digest reported a backfill, and end its note; False where there is nothing to say."""
    deps = dependencies()
    note = deps.leases.find(BACKFILL_KEY)
    if note is None or not note.is_expired:
        return False
    backfill, was_sent = Backfill.from_payload(note.payload), False
    if not deps.leases.names(digest_key(backfill.name)):
        if not deps.notifier.has_reader():
            logger.warning("no subscription is confirmed yet, so the mail about a stopped backfill waits")
            return False
        mail = stopped_mail(backfill, note.written_at, deps.settings.environment)
        stem = stopped_stem(backfill.name, note.written_at)
        was_sent = deps.notifier.send_at_most_once(stem, mail, lease_seconds=invocation_deadline_seconds(context))
    # Should the backfill be continued in this very moment, its next batch writes the note again.
    deps.leases.delete(BACKFILL_KEY)
    return was_sent


def _send_lineage(lineage: AttemptLineage) -> None:
    try:
        lineage.send()
    except OSError as reason:
        logger.warning("the lineage tool did not take the run", extra={"reason": str(reason)})


def publish_metrics(stack: str, report: Report | None) -> None:
    """The figures of a loaded day of transactions, for the alarm on unusual loads."""
    if report is None or report.event != LOAD or report.counts is None or report.partition_day is None:
        return
    rows, rejected = report.counts["rows_read"], report.counts["rejected"]
    put_metric(stack, ROWS, rows)
    put_metric(stack, REJECTED_SHARE, rejected / rows if rows else 0)
    put_metric(stack, UNUSUAL_LOADS, int(report.comparison is not None and report.comparison.is_alarming))
