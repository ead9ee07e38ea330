"""The local Glue: starts and ends runs, and sends their events.

States and events: https://docs.aws.amazon.com/glue/latest/dg/job-run-statuses.html and
https://docs.aws.amazon.com/glue/latest/dg/automating-awsglue-with-cloudwatch-events.html
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ClientError
from moto.glue.models import FakeJob, glue_backends

from local.api.aws import Aws
from local.api.aws_requests import AwsRequest
from local.moto_hooks import EmulatedRun
from local.moto_hooks.glue import STARTING, STOPPING, WAITING, has_room, one_start_at_a_time
from local.runtime.glue_process import Ended, GlueProcesses, is_on_spark
from schemas.runs import ERROR_LOG_GROUP, OUTPUT_LOG_GROUP, SPARK_ERROR_LOG_GROUP, SPARK_OUTPUT_LOG_GROUP

LOG_GROUPS = (OUTPUT_LOG_GROUP, ERROR_LOG_GROUP)
"""Glue creates them when the first Python Shell job of an account and Region runs."""
SPARK_LOG_GROUPS = (SPARK_OUTPUT_LOG_GROUP, SPARK_ERROR_LOG_GROUP)
"""The same for jobs on Spark."""

# Only these final states cause an event; EXPIRED and ERROR do not.
_SEVERITIES = {"SUCCEEDED": "INFO", "FAILED": "ERROR", "TIMEOUT": "WARN", "STOPPED": "INFO"}
_MESSAGES = {"SUCCEEDED": "Job run succeeded", "STOPPED": "Job run stopped"}
_LOG_LINES_PER_BATCH = 1000


@dataclass
class Glue:
    """Executes the runs that StartJobRun creates in moto."""

    aws: Aws
    processes: GlueProcesses
    on_due: Callable[[str, str], None]
    """Called with job and run once the run may start; it must call `execute`, now or later."""
    on_state_change: Callable[[dict[str, Any]], None]
    """Called with the event of a run that has ended."""
    _due: set[str] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _closed: bool = False

    def run_started(self, job_name: str, run_id: str) -> None:
        """Handle a new run: it is due at once, unless it waits for other runs to end."""
        if self.run(job_name, run_id).status != WAITING:
            self._make_due(job_name, run_id)

    def execute(self, job_name: str, run_id: str) -> None:
        """Execute a run to its end and announce its final state."""
        run = self.run(job_name, run_id)
        job = self.aws.client("glue").get_job(JobName=job_name)["Job"]
        groups, stream = (SPARK_LOG_GROUPS, f"{run_id}-driver") if is_on_spark(job) else (LOG_GROUPS, run_id)
        self._make_log_groups(groups)
        try:
            if run.status != STOPPING:
                run.status = "RUNNING"
            # moto has merged the run's arguments with the default and the non-overridable ones.
            ended = self.processes.execute(run_id, job, run.arguments or {}, minutes=run.timeout)
        except (ClientError, OSError, ValueError) as error:
            ended = Ended("FAILED", f"{type(error).__name__}: {error}")
        if self._closed:
            return
        self._keep_log(run_id, groups[0], stream)
        is_stopped = run.status == STOPPING
        self._end(job_name, run, Ended("STOPPED", _MESSAGES["STOPPED"]) if is_stopped else ended)

    def run(self, job_name: str, run_id: str) -> EmulatedRun:
        run_of_moto = next(run for run in self._job(job_name).job_runs if run.job_run_id == run_id)
        assert isinstance(run_of_moto, EmulatedRun)
        return run_of_moto

    def batch_stop(self, request: AwsRequest) -> Mapping[str, Any]:
        """BatchStopJobRun, which moto lacks: a waiting run ends at once, a running one is killed."""
        job_name, stopped = request.parameters["JobName"], []
        for run_id in request.parameters["JobRunIds"]:
            run = self.run(job_name, run_id)
            if run.has_ended:
                continue
            stopped.append({"JobName": job_name, "JobRunId": run_id})
            with one_start_at_a_time:
                was_waiting = run.status == WAITING
                run.status = STOPPING
            if was_waiting:
                self._end(job_name, run, Ended("STOPPED", _MESSAGES["STOPPED"]))
            self.processes.cancel(run_id)
        return {"SuccessfulSubmissions": stopped, "Errors": []}

    def expire(self, job_name: str, run_id: str) -> None:
        """End a run that waits. AWS does so after an undocumented time, and sends no event."""
        self._end(job_name, self.run(job_name, run_id), Ended("EXPIRED", "Job run expired while it was queued"))

    def state_change(self, job_name: str, run_id: str, ended: Ended) -> dict[str, Any]:
        """The event of EventBridge about a run that has ended."""
        detail = {
            "jobName": job_name,
            "severity": _SEVERITIES[ended.state],
            "state": ended.state,
            "jobRunId": run_id,
            "message": ended.message or _MESSAGES[ended.state],
        }
        return self.aws.event("Glue Job State Change", "aws.glue", detail)

    def stop(self) -> None:
        self._closed = True
        self.processes.stop()

    def _job(self, job_name: str) -> FakeJob:
        return glue_backends[self.aws.account][self.aws.region].jobs[job_name]

    def _make_due(self, job_name: str, run_id: str) -> None:
        with self._lock:
            if run_id in self._due:
                return
            self._due.add(run_id)
        self.on_due(job_name, run_id)

    def _end(self, job_name: str, run: EmulatedRun, ended: Ended) -> None:
        run.end(ended.state, "" if ended.state == "SUCCEEDED" else ended.message)
        for waiting in self._let_waiting_runs_start(job_name):
            self._make_due(job_name, waiting)
        if ended.state in _SEVERITIES:
            self.on_state_change(self.state_change(job_name, run.job_run_id, ended))

    def _let_waiting_runs_start(self, job_name: str) -> Sequence[str]:
        """Start the waiting runs for which there is room, the oldest first; returns their ids."""
        job, started = self._job(job_name), []
        with one_start_at_a_time:
            for run in job.job_runs:
                if run.status == WAITING and has_room(job):
                    run.status = STARTING
                    started.append(run.job_run_id)
        return started

    def _make_log_groups(self, names: Sequence[str]) -> None:
        logs = self.aws.client("logs")
        for name in names:
            with suppress(logs.exceptions.ResourceAlreadyExistsException):
                logs.create_log_group(logGroupName=name)

    def _keep_log(self, run_id: str, group: str, stream: str) -> None:
        """Write the run's output into a log stream."""
        logs, lines = self.aws.client("logs"), self.processes.log(run_id).splitlines()
        logs.create_log_stream(logGroupName=group, logStreamName=stream)
        now = round(datetime.now(UTC).timestamp() * 1000)
        for first in range(0, len(lines), _LOG_LINES_PER_BATCH):
            batch = [
                {"timestamp": now, "message": line} for line in lines[first : first + _LOG_LINES_PER_BATCH] if line
            ]
            if batch:
                logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=batch)
