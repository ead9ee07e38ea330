"""archive: handles a run that has ended; if it loaded its drop, moves the drop to the archive.

Sends requests to flow in for loads whose rows waited for this one.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from lambdas.archive.archiver import Archived, Archiver
from lambdas.attempts import read_report
from lambdas.errors import TerminalError
from lambdas.glue_runner import GlueRunner
from lambdas.leases import LeaseStore
from lambdas.run_events import ended_run
from lambdas.runs import Runner
from lambdas.waiting_loads import ask_to_flow_in
from schemas.reports import SUCCEEDED
from schemas.settings import ArchiveSettings, load_settings

if TYPE_CHECKING:
    from types_boto3_sqs.client import SQSClient

logger = Logger(service="archive")


@dataclass(frozen=True)
class Dependencies:
    settings: ArchiveSettings
    runner: Runner
    sqs: SQSClient
    leases: LeaseStore
    archiver: Archiver


@cache
def dependencies() -> Dependencies:
    """The clients and settings that outlive one invocation."""
    settings = load_settings(ArchiveSettings, os.environ)
    s3 = boto3.client("s3")
    leases = LeaseStore(s3, settings.work_bucket)
    archiver = Archiver(s3, settings.archive_bucket, leases)
    return Dependencies(settings, GlueRunner.connect(), boto3.client("sqs"), leases, archiver)


@logger.inject_lambda_context(clear_state=True)
def handle(event: dict[str, Any], context: LambdaContext) -> dict[str, bool]:  # noqa: ARG001
    """Archive the drop of a run that committed its load. Every failure is raised, so that Lambda retries."""
    deps = dependencies()
    run = ended_run(event, runner=deps.runner, drop_bucket=deps.settings.drop_bucket)
    if run is None or run.drop is None or run.attempt is None:
        logger.info("the event is not about the end of a run that was started for a drop")
        return {"archived": False}
    logger.append_keys(load_id=run.drop.load_id, attempt=run.attempt, run_id=run.run_id)
    report = read_report(deps.leases, run.drop.load_id, run.attempt)
    if report is None and run.state == "SUCCEEDED":
        raise TerminalError(
            f"the run {run.run_id} succeeded without a report that can be read, so {run.drop.uri} is not archived; "
            "replay it, or move it by hand once you have seen its rows in the warehouse"
        )
    if report is None or report.outcome != SUCCEEDED:
        logger.info("the drop was not loaded, so it stays where it is")
        return {"archived": False}
    ask_to_flow_in(report, leases=deps.leases, sqs=deps.sqs, queue_url=deps.settings.queue_url)
    archived = deps.archiver.archive(run.drop, etag=report.etag)
    logger.info(archived.value, extra={"result": archived.name})
    return {"archived": archived is not Archived.BY_ANOTHER}
