"""Which run an event is about, and what Glue knows of it.

EventBridge's `Glue Job State Change` carries no arguments, so Glue is asked for the run.
`sweep` sends `schemas.messages.run_request` instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.utilities.data_classes import EventBridgeEvent

from lambdas.errors import TerminalError, TransientError
from lambdas.runs import Run, get_run
from schemas.drops import Drop

if TYPE_CHECKING:
    from types_boto3_glue.client import GlueClient

FORGOTTEN = "FORGOTTEN"
"""The state of a run that Glue does not know any more."""

_STATE_CHANGE = "Glue Job State Change"
_REQUEST_FIELDS = {"job_name", "run_id", "is_last", "forgotten"}


@dataclass(frozen=True)
class RunEvent:
    """What an event says by itself."""

    job_name: str
    run_id: str
    state: str | None = None
    """None when the caller leaves it to Glue to say."""
    message: str = ""
    forgotten: tuple[Drop, int] | None = None
    """Drop and attempt, when `sweep` found that Glue does not know the run any more."""


def read_run_event(event: dict[str, Any]) -> RunEvent | None:
    """The run that the event is about; None for another kind of event that a rule may let through."""
    if {"job_name", "run_id"} <= set(event) <= _REQUEST_FIELDS:
        return RunEvent(event["job_name"], event["run_id"], forgotten=_forgotten(event.get("forgotten")))
    if "detail-type" not in event:
        raise TerminalError(
            f'the event is neither a Glue state change nor {{"job_name": …, "run_id": …}} but has the fields '
            f"{sorted(event)}; check the sender"
        )
    state_change = EventBridgeEvent(event)
    if state_change.detail_type != _STATE_CHANGE:
        return None
    detail: Mapping[str, Any] = state_change.detail
    return RunEvent(detail["jobName"], detail["jobRunId"], detail["state"], detail.get("message") or "")


def ended_run(event: dict[str, Any], *, glue: GlueClient, drop_bucket: str) -> Run | None:
    """The run that the event says is over; None when it is not over, or was not started for one of our drops."""
    run_event = read_run_event(event)
    if run_event is None:
        return None
    run = get_run(glue, run_event.job_name, run_event.run_id)
    if run is None and run_event.forgotten is not None:
        drop, attempt = run_event.forgotten
        run = Run(run_event.job_name, run_event.run_id, FORGOTTEN, "", None, drop, attempt)
    if run is None:
        raise TransientError(
            f"Glue does not know the run {run_event.run_id} of {run_event.job_name}; it may know it in a moment, and "
            "if it never does the sweep finds what is left to do"
        )
    # The event is final; what GetJobRun answers may be a moment behind it.
    run = replace(run, state=run_event.state or run.state, message=run.message or run_event.message)
    is_ours = run.drop is not None and run.drop.bucket == drop_bucket
    return run if is_ours and not run.is_live else None


def _forgotten(content: Mapping[str, Any] | None) -> tuple[Drop, int] | None:
    if content is None:
        return None
    return Drop(content["bucket"], content["key"], content["version_id"]), int(content["attempt"])
