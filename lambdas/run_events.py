"""Which run an event speaks of, and what Glue knows of it.

EventBridge's `Glue Job State Change` carries no arguments, so Glue is asked for the run.
`sweep` calls with `{"job_name": …, "run_id": …}` instead, and adds `"is_last": true` when
the attempt that should have followed the run never came.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from aws_lambda_powertools.utilities.data_classes import EventBridgeEvent

from lambdas.errors import TerminalError, TransientError
from lambdas.runs import Run, get_run

_STATE_CHANGE = "Glue Job State Change"


@dataclass(frozen=True)
class RunEvent:
    """What an event says by itself."""

    job_name: str
    run_id: str
    state: str | None = None
    """None when the caller leaves it to Glue to say."""
    message: str = ""


def read_run_event(event: dict[str, Any]) -> RunEvent | None:
    """The run the event speaks of; None for an event about something else that a rule may let through."""
    if {"job_name", "run_id"} <= set(event) <= {"job_name", "run_id", "is_last"}:
        return RunEvent(event["job_name"], event["run_id"])
    if "detail-type" not in event:
        raise TerminalError(
            f'the event is neither a Glue state change nor {{"job_name": …, "run_id": …}} but has the fields '
            f"{sorted(event)}; check the sender"
        )
    found = EventBridgeEvent(event)
    if found.detail_type != _STATE_CHANGE:
        return None
    detail: Mapping[str, Any] = found.detail
    return RunEvent(detail["jobName"], detail["jobRunId"], detail["state"], detail.get("message") or "")


def ended_run(event: dict[str, Any], *, glue: Any, drop_bucket: str) -> Run | None:
    """The run that the event says is over; None when it is not over, or was not started for one of our drops."""
    told = read_run_event(event)
    if told is None:
        return None
    run = get_run(glue, told.job_name, told.run_id)
    if run is None:
        raise TransientError(
            f"Glue does not know the run {told.run_id} of {told.job_name}; it may know it in a moment, and if it never "
            "does the sweep finds what is left to do"
        )
    # The event is final; what GetJobRun answers may be a moment behind it.
    run = replace(run, state=told.state or run.state, message=run.message or told.message)
    is_ours = run.drop is not None and run.drop.bucket == drop_bucket
    return run if is_ours and not run.is_live else None
