"""Asks loads to flow in when another load has brought the rows that they waited for.

The report of that load lists them (`awaited_by`). The request is named after the load and attempt that it waited for,
so sending it twice counts once. A note says that all requests were sent; without it `sweep` calls `archive` again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lambdas.leases import LeaseStore
from schemas.messages import flow_in_message
from schemas.reports import Report
from schemas.work_bucket import flow_in_key

if TYPE_CHECKING:
    from types_boto3_sqs.client import SQSClient


def ask_to_flow_in(report: Report, *, leases: LeaseStore, sqs: SQSClient, queue_url: str) -> None:
    """Send a request for every load that waited for this one, and note that all were sent."""
    if not report.awaited_by or were_asked(report, leases):
        return
    request = f"flow_in:{report.load_id}:{report.attempt}"
    for drop in report.awaited_by:
        sqs.send_message(QueueUrl=queue_url, MessageBody=flow_in_message(drop, request=request))
    leases.create(flow_in_key(report.load_id, report.attempt), {"loads": len(report.awaited_by)})


def were_asked(report: Report, leases: LeaseStore) -> bool:
    """True when every load that waited for this one was asked to flow in."""
    key = flow_in_key(report.load_id, report.attempt)
    return not report.awaited_by or key in leases.names(key)
