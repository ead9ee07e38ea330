"""The laptop's Glue: a run's script and wheel from S3, its arguments merged as Glue does, its end announced."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import threading
import time
import uuid
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError
from moto.glue.models import glue_backends
from packaging.utils import parse_wheel_filename

from local.aws import Aws
from local.moto_hooks import PlayedRun

MINUTE_SECONDS = 60.0
_LIBRARY_KEPT_SECONDS = 3600

# Glue's own flags, some without a value, as users have found them among their arguments.
_GLUE_FLAGS = (
    "--enable-metrics",
    "--continuous-log-logGroup /aws-glue/python-jobs --enable-continuous-log-filter false",
    "--job-bookmark-option job-bookmark-disable --job-language python --TempDir s3://laptop/temporary/",
)

_SEVERITIES = {"SUCCEEDED": "INFO", "FAILED": "ERROR", "TIMEOUT": "WARN", "STOPPED": "INFO"}


@dataclass
class Glue:
    """Plays the runs that start_job_run makes in moto."""

    aws: Aws
    folder: Path
    """Where logs and each run's files are kept."""
    libraries: Path
    """Where unpacked wheels are kept, to be found again by the next laptop."""
    python: Path
    """What runs the scripts."""
    job_environment: Callable[[], Mapping[str, str]]
    """What a job's process needs besides AWS: the way to the warehouse."""
    on_state_change: Callable[[dict[str, Any]], None]
    """Given the event of a run that is over."""
    run_of: dict[str, str] = field(default_factory=dict)
    """Which run's process sends requests with an access key."""
    _processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _unpacking: threading.Lock = field(default_factory=threading.Lock)
    _closed: bool = False

    def play(self, job_name: str, run_id: str) -> None:
        """Run it to its end, whatever that is, and announce it."""
        run = self.run(job_name, run_id)
        state, message = "FAILED", ""
        try:
            state, message = self._execute(job_name, run)
        except (ClientError, OSError, ValueError) as error:
            message = f"{type(error).__name__}: {error}"
        if self._closed:
            return
        run.end(state, "" if state == "SUCCEEDED" else message)
        self.on_state_change(self.state_change(job_name, run_id, state, message or "Job run succeeded"))

    def run(self, job_name: str, run_id: str) -> PlayedRun:
        job = glue_backends[self.aws.account][self.aws.region].jobs[job_name]
        found = next(run for run in job.job_runs if run.job_run_id == run_id)
        assert isinstance(found, PlayedRun)
        return found

    def state_change(self, job_name: str, run_id: str, state: str, message: str) -> dict[str, Any]:
        """EventBridge's event of a run that is over."""
        return {
            "version": "0",
            "id": str(uuid.uuid4()),
            "detail-type": "Glue Job State Change",
            "source": "aws.glue",
            "account": self.aws.account,
            "time": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "region": self.aws.region,
            "resources": [],
            "detail": {
                "jobName": job_name,
                "severity": _SEVERITIES[state],
                "state": state,
                "jobRunId": run_id,
                "message": message,
            },
        }

    def kill(self, run_id: str) -> bool:
        """Kill the run's process, as a machine that dies would; False when it has none (any more)."""
        with self._lock:
            process = self._processes.get(run_id)
        if process is None:
            return False
        process.kill()
        return True

    def log(self, run_id: str) -> str:
        """Everything the run has printed."""
        path = self._log_path(run_id)
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""

    def stop(self) -> None:
        with self._lock:
            self._closed = True
            processes = list(self._processes.values())
        for process in processes:
            process.kill()

    def _execute(self, job_name: str, run: PlayedRun) -> tuple[str, str]:
        """The run's last state and its message."""
        job = self.aws.client("glue").get_job(JobName=job_name)["Job"]
        credentials = self.aws.assume(job["Role"], service="glue.amazonaws.com", session=run.job_run_id[:32])
        s3 = self.aws.client_as("s3", credentials)
        # moto has laid the run's arguments over the defaults, and what may not be overridden over both.
        arguments: dict[str, str] = run.arguments or {}
        place = self.folder / "runs" / run.job_run_id
        place.mkdir(parents=True)
        try:
            script = self._download(s3, job["Command"]["ScriptLocation"], place)
            path = [self.library(s3, wheel) for wheel in arguments.get("--extra-py-files", "").split(",") if wheel]
            environment = {
                "PATH": os.environ.get("PATH", ""),
                "PYTHONPATH": os.pathsep.join(str(folder) for folder in path),
                "TMPDIR": str(place),
                **self.aws.environment(credentials),
                **self.job_environment(),
            }
            command = [str(self.python), str(script), *" ".join(_GLUE_FLAGS).split(), "--scriptLocation"]
            command += [job["Command"]["ScriptLocation"], *(word for pair in arguments.items() for word in pair)]
            run.status = "RUNNING"
            return self._to_its_end(command, environment, place, run)
        finally:
            shutil.rmtree(place, ignore_errors=True)

    def _to_its_end(
        self, command: list[str], environment: Mapping[str, str], place: Path, run: PlayedRun
    ) -> tuple[str, str]:
        with self._log_path(run.job_run_id).open("wb") as log:
            process = subprocess.Popen(
                command,
                env=dict(environment),
                cwd=place,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        with self._lock:
            self._processes[run.job_run_id] = process
            self.run_of[environment["AWS_ACCESS_KEY_ID"]] = run.job_run_id
            if self._closed:
                process.kill()
        try:
            code = process.wait(timeout=run.timeout * MINUTE_SECONDS if run.timeout else None)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            return "TIMEOUT", "Job run timed out"
        finally:
            with self._lock:
                del self._processes[run.job_run_id]
        if code == 0:
            return "SUCCEEDED", ""
        # Like a shell, Glue knows a signal by 128 and its number.
        return "FAILED", f"Command failed with exit code {code if code > 0 else 128 - code}"

    def _download(self, s3: Any, uri: str, folder: Path) -> Path:
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        path = folder / key.rpartition("/")[2]
        s3.download_file(bucket, key, str(path))
        return path

    def library(self, s3: Any, uri: str) -> Path:
        """The folder a wheel is unpacked in: once for each content, its name one that Glue would give."""
        name = uri.rpartition("/")[2]
        # As with pip in Glue, a wheel under another name than its own is no wheel.
        parse_wheel_filename(name)
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        etag = s3.head_object(Bucket=bucket, Key=key)["ETag"].strip('"')
        mark = hashlib.sha256(f"{etag} {self.python}".encode()).hexdigest()[:16]
        folder = self.libraries / f"glue-python-libs-{mark}"
        with self._unpacking:
            if not folder.exists():
                self.libraries.mkdir(parents=True, exist_ok=True)
                unfinished = self.libraries / f"{folder.name}.{uuid.uuid4().hex[:8]}"
                unfinished.mkdir()
                wheel = self._download(s3, uri, unfinished)
                with zipfile.ZipFile(wheel) as packed:
                    packed.extractall(unfinished)
                wheel.unlink()
                try:
                    unfinished.rename(folder)
                except OSError:
                    # Another laptop was faster.
                    shutil.rmtree(unfinished, ignore_errors=True)
                self._forget_old_libraries()
            os.utime(folder)
        return folder

    def _forget_old_libraries(self) -> None:
        """Each is 150 MB, and every change of a job makes a new one."""
        for folder in self.libraries.glob("glue-python-libs-*"):
            if time.time() - folder.stat().st_mtime > _LIBRARY_KEPT_SECONDS:
                shutil.rmtree(folder, ignore_errors=True)

    def _log_path(self, run_id: str) -> Path:
        folder = self.folder / "logs"
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{run_id}.log"
