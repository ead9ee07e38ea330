"""The run that an event is about, as the runner describes it.

A runner's own event has no arguments, so the run is read from the runner.
`sweep` sends `schemas.messages.run_request` instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from lambdas.errors import TerminalError, TransientError
from lambdas.runs import Run, RunEvent, Runner
from schemas.drops import Drop

FORGOTTEN = "FORGOTTEN"
"""The state of a run that the runner no longer knows."""

_REQUEST_FIELDS = {"job_name", "run_id", "is_last", "forgotten"}


def read_run_event(event: dict[str, Any], runner: Runner) -> RunEvent | None:
    """The run that the event is about; None for any other kind of event that a rule lets through."""
    if {"job_name", "run_id"} <= set(event) <= _REQUEST_FIELDS:
        return RunEvent(event["job_name"], event["run_id"], forgotten=_forgotten(event.get("forgotten")))
    if "detail-type" not in event:
        raise TerminalError(
            f'the event is neither a change of a run\'s state nor {{"job_name": …, "run_id": …}} but has the fields '
            f"{sorted(event)}; check the sender"
        )
    return runner.read_event(event)


def ended_run(event: dict[str, Any], *, runner: Runner, drop_bucket: str) -> Run | None:
    """The run that the event says is over; None when it is not over, or was not started for one of our drops."""
    run_event = read_run_event(event, runner)
    if run_event is None:
        return None
    run = runner.get(run_event.job_name, run_event.run_id)
    if run is None and run_event.forgotten is not None:
        drop, attempt = run_event.forgotten
        run = Run(run_event.job_name, run_event.run_id, FORGOTTEN, "", None, drop, attempt)
    if run is None:
        raise TransientError(
            f"the runner does not know the run {run_event.run_id} of {run_event.job_name}; "
            "it may know it soon; if it never does, the sweep finishes the work"
        )
    # The event is final; the runner's response may be a moment behind it.
    run = replace(run, state=run_event.state or run.state, message=run.message or run_event.message)
    is_ours = run.drop is not None and run.drop.bucket == drop_bucket
    return run if is_ours and not run.is_live else None


def _forgotten(content: Mapping[str, Any] | None) -> tuple[Drop, int] | None:
    if content is None:
        return None
    return Drop(content["bucket"], content["key"], content["version_id"]), int(content["attempt"])
