"""A run of a job, and the port to whatever runs the jobs.

Functions start, find and read runs through `Runner` alone. `lambdas.glue_runner` is its one
implementation; docs/when-python-shell-ends.md describes what another one needs.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from schemas.drops import Drop
from schemas.retries import LIVE_STATES
from schemas.runs import RunArguments


@dataclass(frozen=True)
class Run:
    """A run of a job as the runner describes it."""

    job_name: str
    run_id: str
    state: str
    """In Glue's words (AWS Glue, "Job run statuses"): every runner uses them."""
    message: str
    """The runner's own words about the end of the run; empty when it has none."""
    timeout_minutes: int | None
    drop: Drop | None
    """None when the run was not started for a drop; so is the attempt."""
    attempt: int | None

    @property
    def is_live(self) -> bool:
        return self.state in LIVE_STATES


@dataclass(frozen=True)
class RunEvent:
    """The part of an event that is known without another request."""

    job_name: str
    run_id: str
    state: str | None = None
    """None when the state must be read from the runner."""
    message: str = ""
    forgotten: tuple[Drop, int] | None = None
    """Drop and attempt, if `sweep` found that the runner no longer knows the run."""


class StartRefused(Exception):
    """The runner has started no run."""


class RunnerIsFull(StartRefused):
    """The maximum number of runs is running. The same request succeeds later."""


class StartUnconfirmed(Exception):
    """The runner did not say whether it has started the run. `find` knows it after a while."""


class Runner(Protocol):
    """The port to the service that runs the jobs. Its reads may be minutes behind its starts."""

    @property
    def region(self) -> str:
        """The Region whose console shows the runs' logs."""

    def start(self, job_name: str, arguments: RunArguments) -> str:
        """Start one run, never two, and return its id; raises StartRefused and StartUnconfirmed."""

    def get(self, job_name: str, run_id: str) -> Run | None:
        """The run; None when the runner does not know it yet, or no longer."""

    def find(self, job_name: str, *, drop: Drop, attempt: int, since: datetime) -> Run | None:
        """The run of this attempt, if one was started at or after `since`."""

    def read_event(self, event: dict[str, Any]) -> RunEvent | None:
        """The change of a run's state that an EventBridge event reports; None for any other event."""
