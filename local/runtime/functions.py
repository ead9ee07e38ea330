"""The local Lambda: runs the real handlers, each in a process with the function's configuration from moto.

A process has only the function's environment and its role's temporary credentials. It stays
warm between invocations. It is killed when an invocation takes longer than the function's
timeout.
"""

from __future__ import annotations

import io
import json
import os
import queue
import subprocess
import sys
import threading
import time
import uuid
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from moto.awslambda.models import lambda_backends

from local.api.aws import Aws, Credentials
from local.provider import MotoGaps

WORKERS_PER_FUNCTION = 2
# Temporary credentials last an hour, and a process keeps those that it was started with.
_FRESH_SECONDS = 45 * 60
_POWERTOOLS = "AWSLambdaPowertools"


class FunctionFailed(Exception):
    """An invocation failed; the message is Lambda's."""


@dataclass(frozen=True)
class Function:
    """A function's configuration, read back from moto."""

    name: str
    arn: str
    handler: str
    role: str
    timeout: int
    memory_mb: int
    environment: Mapping[str, str]
    code_sha256: str


@dataclass
class _Worker:
    process: subprocess.Popen[str]
    function: Function
    started_at: float
    access_key: str
    """The access key of the process's credentials."""

    def is_good_for(self, function: Function) -> bool:
        young = time.monotonic() - self.started_at < _FRESH_SECONDS
        return young and self.function == function and self.process.poll() is None

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()


@dataclass
class Functions:
    """The functions of one account."""

    aws: Aws
    folder: Path
    """The folder for unpacked code and logs."""
    gaps: MotoGaps
    _idle: dict[str, queue.LifoQueue[_Worker]] = field(default_factory=dict)
    _free: dict[str, threading.BoundedSemaphore] = field(default_factory=dict)
    _workers: dict[int, _Worker] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _closed: bool = False

    def describe(self, name_or_arn: str) -> Function:
        description = self.aws.client("lambda").get_function_configuration(FunctionName=name_or_arn)
        return Function(
            name=description["FunctionName"],
            arn=description["FunctionArn"],
            handler=description["Handler"],
            role=description["Role"],
            timeout=description["Timeout"],
            memory_mb=description["MemorySize"],
            environment=description.get("Environment", {}).get("Variables", {}),
            code_sha256=description["CodeSha256"],
        )

    def credentials(self, function: Function) -> Credentials:
        return self.aws.assume(function.role, service="lambda.amazonaws.com", session=function.name)

    def invoke(self, name_or_arn: str, event: Any) -> Any:
        """Invoke the function and return the handler's result.

        Raises FunctionFailed if the handler raises or takes too long. Waits for a free process
        while WORKERS_PER_FUNCTION invocations of the function are running.
        """
        function = self.describe(name_or_arn)
        with self._lock:
            free = self._free.setdefault(function.name, threading.BoundedSemaphore(WORKERS_PER_FUNCTION))
            idle = self._idle.setdefault(function.name, queue.LifoQueue())
        with free:
            worker = self._worker(function, idle)
            try:
                response = self._call(worker, event)
            except BaseException:
                self._end(worker)
                raise
            idle.put(worker)
        if "error" in response:
            raise FunctionFailed(
                f"{function.name}: {response['error']['errorType']}: {response['error']['errorMessage']}"
            )
        return response["result"]

    def log(self, function_name: str) -> str:
        """Everything the function has printed."""
        path = self._log_path(function_name)
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""

    def stop(self) -> None:
        with self._lock:
            self._closed = True
            workers = list(self._workers.values())
        for worker in workers:
            worker.end()

    def handler_of(self, access_key: str) -> str | None:
        """The handler of the process that sends requests with this key; None when there is no such process."""
        with self._lock:
            handlers = [worker.function.handler for worker in self._workers.values() if worker.access_key == access_key]
        return handlers[0] if handlers else None

    def kill(self, access_key: str) -> bool:
        """Kill the process that sends requests with this key; False when there is no such process."""
        with self._lock:
            workers = [worker for worker in self._workers.values() if worker.access_key == access_key]
        for worker in workers:
            worker.process.kill()
        return bool(workers)

    def _worker(self, function: Function, idle: queue.LifoQueue[_Worker]) -> _Worker:
        while True:
            try:
                worker = idle.get_nowait()
            except queue.Empty:
                return self._start(function)
            if worker.is_good_for(function):
                return worker
            self._end(worker)

    def _start(self, function: Function) -> _Worker:
        credentials = self.credentials(function)
        code = self._code(function)
        has_powertools = any(_POWERTOOLS in layer for layer in self.gaps.layers_of_function.get(function.arn, ()))
        environment = {
            "PATH": os.environ.get("PATH", ""),
            **function.environment,
            **self.aws.environment(credentials),
            "AWS_LAMBDA_FUNCTION_NAME": function.name,
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory_mb),
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{function.name}",
            "LAMBDA_TASK_ROOT": str(code),
            "_HANDLER": function.handler,
            **({} if has_powertools else {"LAPTOP_WITHOUT_POWERTOOLS": "1"}),
        }
        with self._log_path(function.name).open("a", encoding="utf-8") as log:
            process = subprocess.Popen(
                [sys.executable, str(Path(__file__).with_name("function_worker.py")), str(code)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                encoding="utf-8",
                env=environment,
                cwd=code,
                # Ctrl-C on the terminal must reach the local cloud alone, which then ends its functions.
                start_new_session=True,
            )
        worker = _Worker(process, function, time.monotonic(), credentials.access_key)
        with self._lock:
            if self._closed:
                worker.end()
                raise FunctionFailed(f"{function.name}: the local cloud is shutting down")
            self._workers[process.pid] = worker
        return worker

    def _call(self, worker: _Worker, event: Any) -> dict[str, Any]:
        function = worker.function
        request_id = str(uuid.uuid4())
        context = {
            "function_name": function.name,
            "invoked_function_arn": function.arn,
            "memory_limit_in_mb": function.memory_mb,
            "aws_request_id": request_id,
            "deadline": time.time() + function.timeout,
        }
        timed_out = threading.Event()

        def kill() -> None:
            timed_out.set()
            worker.process.kill()

        assert worker.process.stdin is not None
        assert worker.process.stdout is not None
        timer = threading.Timer(function.timeout, kill)
        timer.daemon = True
        timer.start()
        try:
            line = _exchange(worker.process.stdin, worker.process.stdout, {"event": event, "context": context})
        finally:
            timer.cancel()
        if line:
            response: dict[str, Any] = json.loads(line)
            return response
        if timed_out.is_set():
            raise FunctionFailed(f"{function.name}: Task timed out after {function.timeout:.2f} seconds")
        raise FunctionFailed(f"{function.name}: Runtime exited with status {worker.process.wait()}")

    def _end(self, worker: _Worker) -> None:
        with self._lock:
            self._workers.pop(worker.process.pid, None)
        worker.end()

    def _code(self, function: Function) -> Path:
        """The function's zip, unpacked once."""
        folder = self.folder / "functions" / function.code_sha256.replace("/", "_")
        with self._lock:
            if not folder.exists():
                # moto does not serve the code location that get_function names.
                stored = lambda_backends[self.aws.account][self.aws.region].get_function(function.name)
                unfinished = folder.with_suffix(".part")
                with zipfile.ZipFile(io.BytesIO(stored.code_bytes)) as packed:
                    packed.extractall(unfinished)
                unfinished.rename(folder)
        return folder

    def _log_path(self, function_name: str) -> Path:
        folder = self.folder / "logs"
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{function_name}.log"


def _exchange(requests: IO[str], responses: IO[str], call: Mapping[str, Any]) -> str:
    """Send one line and return the next one; empty when the process is gone."""
    try:
        requests.write(json.dumps(call) + "\n")
        requests.flush()
    except BrokenPipeError:
        return ""
    return responses.readline()
