"""Glue's runs: the local Glue sets their state, and they wait where their job has queuing.

https://docs.aws.amazon.com/glue/latest/dg/job-run-statuses.html
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import wraps
from typing import Any

from moto.core.utils import utcnow
from moto.glue.models import FakeJob, FakeJobRun

from local.moto_hooks.account import hooks_of

WAITING, STARTING, STOPPING = "WAITING", "STARTING", "STOPPING"
_LIVE = (STARTING, "RUNNING", STOPPING)

one_start_at_a_time = threading.RLock()
"""The lock for counting the live runs of a job and adding one."""


class EmulatedRun(FakeJobRun):
    """A Glue run whose state is set by the local Glue."""

    _status: str
    error_message: str = ""
    has_ended: bool = False

    @property
    def status(self) -> str:
        return self._status

    @status.setter
    def status(self, state: str) -> None:
        self._status = state
        self.modified_on = utcnow()

    def end(self, state: str, error_message: str) -> None:
        self.error_message, self.completed_on, self.has_ended = error_message, utcnow(), True
        self.status = state

    def advance(self) -> None:
        """Keep the state: in moto, each description of a run would advance it."""

    def as_dict(self) -> dict[str, Any]:
        description = super().as_dict()
        seconds = (self.completed_on - self.started_on).total_seconds() if self.has_ended else 0
        description |= {"ExecutionTime": round(seconds), "LogGroupName": "/aws-glue/python-jobs", "GlueVersion": "3.0"}
        if not self.has_ended:
            del description["CompletedOn"]
        if self.error_message:
            description["ErrorMessage"] = self.error_message
        return description


def has_room(job: FakeJob) -> bool:
    """True when one more run of the job may run; the caller holds `one_start_at_a_time`."""
    live = sum(run.status in _LIVE for run in job.job_runs)
    return live < int(job.execution_property.get("MaxConcurrentRuns", 1))


def install() -> None:
    FakeJob.start_job_run = _start_job_run(FakeJob.start_job_run)  # type: ignore[method-assign]


def _start_job_run(original: Callable[..., str]) -> Callable[..., str]:
    @wraps(original)
    def start_job_run(self: FakeJob, *arguments: Any, **named: Any) -> str:
        hooks = hooks_of(self.backend.account_id)
        if hooks is None:
            return original(self, *arguments, **named)
        with one_start_at_a_time:
            waits = hooks.has_job_queuing(self.name) and not has_room(self)
            declared = self.execution_property
            if waits:
                # With queuing, AWS accepts a run over the limit; moto would refuse it.
                self.execution_property = {**declared, "MaxConcurrentRuns": len(self.job_runs) + 1}
            try:
                run_id = original(self, *arguments, **named)
            finally:
                self.execution_property = declared
            run = self.job_runs[-1]
            run.__class__ = EmulatedRun
            run.status = WAITING if waits else STARTING
        return run_id

    return start_job_run
