"""The process of a Glue run: gets script and wheel from S3 as Glue does, passes arguments, and waits for its end.

A job is a Python Shell job, or one on Spark (`glueetl`).
"""

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
from pathlib import Path
from typing import Any

from packaging.utils import parse_wheel_filename

from local.api.aws import Aws, Credentials
from local.runtime.glue_spark import find_spark

MINUTE_SECONDS = 60.0
"""The length of a minute of a job's time limit."""

_LIBRARY_KEPT_SECONDS = 3600
_RUNSCRIPT = Path(__file__).with_name("glue_runscript.py")

# Glue passes these flags of its own with the job's arguments, some without a value.
_GLUE_FLAGS = (
    "--enable-metrics",
    *("--continuous-log-logGroup", "/aws-glue/python-jobs", "--enable-continuous-log-filter", "false"),
    *("--job-bookmark-option", "job-bookmark-disable", "--job-language", "python"),
    *("--TempDir", "s3://laptop/temporary/"),
)

# Glue's own boto3 is from 2022: it lacks Redshift Serverless and conditional writes.
_BUNDLED = {
    "boto3/__init__.py": """__version__ = "1.21.21"

def client(name, *_, **__):
    raise RuntimeError(f"this is the boto3 {__version__} that Glue brings along; it is too old for {name}")

resource = client
""",
    "botocore/__init__.py": '__version__ = "1.24.21"\n',
}


@dataclass(frozen=True)
class Ended:
    """The final state of a run, and the error message of a failed one."""

    state: str
    message: str = ""


def is_on_spark(job: Mapping[str, Any]) -> bool:
    """True for a job's description (GetJob) that asks for Spark."""
    return bool(job["Command"]["Name"] == "glueetl")


@dataclass
class GlueProcesses:
    """Runs scripts as Glue does, one process for each run."""

    aws: Aws
    folder: Path
    """The folder for logs, and for each run's files while it runs."""
    libraries: Path
    """The folder for unpacked wheels, which the next local cloud uses, too."""
    python: Path
    """The interpreter of Python Shell jobs."""
    job_environment: Callable[[], Mapping[str, str]]
    """The variables with which a process reaches the warehouse."""
    run_of: dict[str, str] = field(default_factory=dict)
    """Access key -> the run whose process sends requests with it."""
    _processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    _cancelled: set[str] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _unpacking: threading.Lock = field(default_factory=threading.Lock)
    _closed: bool = False

    def execute(
        self, run_id: str, job: Mapping[str, Any], arguments: Mapping[str, str], *, minutes: int | None
    ) -> Ended:
        """Run the job's script to its end, with the rights of its role.

        Raises ClientError, OSError or ValueError when the process cannot be started.
        """
        credentials = self.aws.assume(job["Role"], service="glue.amazonaws.com", session=run_id[:32])
        s3 = self.aws.client_as("s3", credentials)
        place = self.folder / "runs" / run_id
        place.mkdir(parents=True)
        try:
            location = job["Command"]["ScriptLocation"]
            script = self._download(s3, location, place)
            words = [*_GLUE_FLAGS, "--scriptLocation", location, *(word for pair in arguments.items() for word in pair)]
            environment = self._environment(credentials, place)
            start = self._on_spark if is_on_spark(job) else self._python_shell
            command, path = start(s3, script, arguments, place, environment)
            environment["PYTHONPATH"] = os.pathsep.join(map(str, path))
            return self._wait_for(run_id, [*command, *words], environment, place, minutes)
        finally:
            shutil.rmtree(place, ignore_errors=True)

    def kill(self, run_id: str) -> bool:
        """Kill the run's process without warning; False when it has no process now."""
        with self._lock:
            process = self._processes.get(run_id)
        if process is None:
            return False
        process.kill()
        return True

    def cancel(self, run_id: str) -> None:
        """Kill the run's process now, or as soon as it exists."""
        with self._lock:
            self._cancelled.add(run_id)
        self.kill(run_id)

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

    def _python_shell(
        self, s3: Any, script: Path, arguments: Mapping[str, str], place: Path, _: dict[str, str]
    ) -> tuple[list[str], list[Path]]:
        """(the command that runs the script, its import path)."""
        wheels = [uri for uri in arguments.get("--extra-py-files", "").split(",") if uri]
        return [str(self.python), str(_RUNSCRIPT), str(script)], self._import_path(s3, wheels, place)

    def _on_spark(
        self, s3: Any, script: Path, arguments: Mapping[str, str], place: Path, environment: dict[str, str]
    ) -> tuple[list[str], list[Path]]:
        """The same for a driver, with the variables by which it finds Spark. Raises SparkMissing."""
        spark = find_spark()
        environment.update(spark.environment(place))
        wheels = [uri for uri in arguments.get("--additional-python-modules", "").split(",") if uri]
        return [str(spark.python), str(script)], [*(self.installation(s3, uri) for uri in wheels), *spark.import_path]

    def installation(self, s3: Any, uri: str) -> Path:
        """The folder with the installed wheel, made once for each content. Raises ValueError for an invalid name."""
        name = uri.rpartition("/")[2]
        # pip in Glue refuses a wheel whose file has been renamed.
        parse_wheel_filename(name)
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        etag = s3.head_object(Bucket=bucket, Key=key)["ETag"].strip('"')
        mark = hashlib.sha256(f"{etag} {self.python}".encode()).hexdigest()[:16]
        home = self.libraries / f"wheel-{mark}"
        with self._unpacking:
            if not home.exists():
                self.libraries.mkdir(parents=True, exist_ok=True)
                self._install(self._download(s3, uri, self.libraries, name=f"{uuid.uuid4().hex}.whl"), home)
                self._forget_old_libraries()
            os.utime(home)
        return home / "glue" / "lib" / "installation"

    def _install(self, wheel: Path, home: Path) -> None:
        unfinished = wheel.with_suffix(".part")
        with zipfile.ZipFile(wheel) as packed:
            packed.extractall(unfinished / "glue" / "lib" / "installation")
        wheel.unlink()
        try:
            unfinished.rename(home)
        except OSError:
            # Another local cloud was faster.
            shutil.rmtree(unfinished, ignore_errors=True)

    def _import_path(self, s3: Any, wheels: list[str], place: Path) -> list[Path]:
        """The import path: Glue's own packages, the folder of downloaded wheels, then the installed wheels."""
        bundled, downloads = place / "site-packages", place / "glue-python-libs-0a1b"
        for name, text in _BUNDLED.items():
            (bundled / name).parent.mkdir(parents=True)
            (bundled / name).write_text(text, encoding="utf-8")
        downloads.mkdir()
        for uri in wheels:
            (downloads / uri.rpartition("/")[2]).touch()
        return [bundled, downloads, *(self.installation(s3, uri) for uri in wheels)]

    def _environment(self, credentials: Credentials, place: Path) -> dict[str, str]:
        aws = self.aws.environment(credentials)
        # Glue is not documented to set the Region.
        del aws["AWS_REGION"], aws["AWS_DEFAULT_REGION"]
        return {
            "PATH": os.environ.get("PATH", ""),
            "TMPDIR": str(place),
            **aws,
            **self.job_environment(),
        }

    def _wait_for(
        self, run_id: str, command: list[str], environment: Mapping[str, str], place: Path, minutes: int | None
    ) -> Ended:
        with self._log_path(run_id).open("wb") as log:
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
            self._processes[run_id] = process
            self.run_of[environment["AWS_ACCESS_KEY_ID"]] = run_id
            if self._closed or run_id in self._cancelled:
                process.kill()
        try:
            code = process.wait(timeout=minutes * MINUTE_SECONDS if minutes else None)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            return Ended("TIMEOUT", "Job run timed out")
        finally:
            with self._lock:
                del self._processes[run_id]
        if code == 0:
            return Ended("SUCCEEDED")
        # Like a shell, Glue reports a signal as 128 plus its number.
        return Ended("FAILED", f"Command failed with exit code {code if code > 0 else 128 - code}")

    def _download(self, s3: Any, uri: str, folder: Path, *, name: str | None = None) -> Path:
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        path = folder / (name or key.rpartition("/")[2])
        s3.download_file(bucket, key, str(path))
        return path

    def _forget_old_libraries(self) -> None:
        """Delete old unpacked wheels: each takes 150 MB, and every change of the job adds one."""
        for folder in self.libraries.glob("wheel-*"):
            if time.time() - folder.stat().st_mtime > _LIBRARY_KEPT_SECONDS:
                shutil.rmtree(folder, ignore_errors=True)

    def _log_path(self, run_id: str) -> Path:
        folder = self.folder / "logs"
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{run_id}.log"
