"""The points at which a test may kill a process or cut its connection.

The points are before and after each request to AWS and each statement to the warehouse.
Every effect outside a process happens between two points.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import timedelta
from types import TracebackType
from typing import NoReturn

from moto.s3.models import s3_backends

from local.api.aws_requests import AwsRequest
from local.api.iam_middleware import Refused
from local.local_cloud import LocalCloud
from redshift_emulator.session import ObservedStatement
from schemas.runs import decode_run
from schemas.work_bucket import STAGING, parse_staging_key

JOB = "job"
_STAGED = re.compile(rf"{STAGING}\S*")
_LOAD = re.compile(r"(?:archiving|claims|reports|notified|load)[ /]+([0-9a-f]{16})")
_LEASE = re.compile(r"PutObject (\S+?)/((?:archiving|claims|notified)/\S+)")
# Longer than any function may run.
_LEASE_LIFETIME = timedelta(minutes=20)


@dataclass(frozen=True)
class FaultPoint:
    """The moment before a request or statement is executed, or after it and before the process gets the response."""

    who: str
    """`job`, or the name of a function: `start_run`, `notify`, `archive`, `sweep`."""
    what: str
    """The operation with its resources or parameters, or the statement."""
    is_done: bool
    is_statement: bool
    load_id: str | None
    """The load of the job; for a function the load in its request, or None."""
    attempt: int | None
    """The attempt of the job; None for a function."""
    kill: Callable[[], NoReturn]
    """Kill the process; a request that is not done is not executed."""
    break_off: Callable[[], NoReturn]
    """Cut the connection to the warehouse, or refuse the request."""


@dataclass
class FaultPoints(AbstractContextManager["FaultPoints"]):
    """Calls `look` at every point, from several threads, while the `with` block runs."""

    cloud: LocalCloud
    look: Callable[[FaultPoint], None]
    _leases: dict[str, list[tuple[str, str]]] = field(default_factory=lambda: defaultdict(list))
    """Access key -> bucket and key of each lease that its process wrote."""
    _sessions: dict[int, tuple[str, int]] = field(default_factory=dict)
    """Session of the warehouse -> load and attempt, once a statement has named them."""
    _before_commit: dict[int, str] = field(default_factory=dict)

    def __enter__(self) -> FaultPoints:
        iam = self.cloud.aws.iam
        iam.before = lambda request: self._request(request, is_done=False)
        iam.after = lambda request: self._request(request, is_done=True)
        self.cloud.warehouse.running().observer.on_statement = self._statement
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        iam = self.cloud.aws.iam
        iam.before = iam.after = None
        self.cloud.warehouse.running().observer.on_statement = None

    def _request(self, request: AwsRequest, *, is_done: bool) -> None:
        key = request.access_key or ""
        run_id = self.cloud.router.glue.processes.run_of.get(key)
        handler = self.cloud.router.functions.handler_of(key)
        if run_id is None and handler is None:
            return
        what = self._describe(request)
        named = _LOAD.search(what)
        written = _LEASE.match(what)
        if written and is_done:
            self._leases[key].append((written[1], written[2]))

        def kill() -> NoReturn:
            if run_id is not None:
                self.cloud.router.glue.processes.kill(run_id)
            else:
                self.cloud.router.functions.kill(key)
                self._let_expire(key)
            raise Refused("ServiceUnavailable", "the process that sent this request is dead")

        def break_off() -> NoReturn:
            if named:
                # Its leases must expire at once, as if the sender had given up this load.
                self._let_expire(key, named[1])
            # An error code for which botocore makes no automatic retry.
            raise Refused("AccessDenied", "refused once, by chance")

        if run_id is not None:
            load_id, attempt = self.load_of(run_id)
            self.look(FaultPoint(JOB, what, is_done, False, load_id, attempt, kill, break_off))
            return
        assert handler is not None
        # lambdas.start_run.handler.handle
        self.look(
            FaultPoint(handler.split(".")[1], what, is_done, False, named[1] if named else None, None, kill, break_off)
        )

    def _statement(self, observed: ObservedStatement) -> None:
        named = _STAGED.search(observed.sql)
        attempt_of = parse_staging_key(named[0]) if named else None
        if attempt_of:
            self._sessions[observed.session] = attempt_of
        if observed.session not in self._sessions:
            return
        load_id, attempt = self._sessions[observed.session]
        what = " ".join(observed.sql.split())
        if what.upper() == "COMMIT":
            what = f"COMMIT after {self._before_commit.get(observed.session, '')}"
        elif not what.upper().startswith("BEGIN"):
            self._before_commit[observed.session] = what

        def break_off() -> NoReturn:
            raise ConnectionAbortedError("the connection is cut")

        def kill() -> NoReturn:
            for run in self.cloud.runs():
                if not run.has_ended and self.load_of(run.job_run_id) == (load_id, attempt):
                    self.cloud.router.glue.processes.kill(run.job_run_id)
            break_off()

        self.look(FaultPoint(JOB, what, observed.is_done, True, load_id, attempt, kill, break_off))

    def load_of(self, run_id: str) -> tuple[str | None, int | None]:
        """The load and the attempt of a run, or None for both."""
        for run in self.cloud.runs():
            arguments = decode_run(run.arguments) if run.job_run_id == run_id else None
            if arguments is not None:
                return arguments.drop.load_id, arguments.attempt
        return None, None

    def _describe(self, request: AwsRequest) -> str:
        """The request as text: the operation, then its resources or its parameters."""
        if request.service == "s3":
            named = [need.resource.rpartition(":::")[2] for need in request.needs]
            named += [need.context[key] for need in request.needs for key in need.context]
            return " ".join([request.operation, *dict.fromkeys(named)])
        arguments = decode_run(request.parameters.get("Arguments"))
        if arguments is not None:
            return f"{request.operation} load {arguments.drop.load_id}"
        payload = request.parameters.get("Payload")
        parameters = json.loads(payload) if payload else request.parameters
        run_id = parameters.get("RunId") or parameters.get("run_id")
        load = f" load {self.load_of(run_id)[0]}" if run_id else ""
        function = str(request.parameters.get("FunctionName", ""))
        return " ".join([request.operation + load, function, *map(str, parameters.values())])

    def _let_expire(self, access_key: str, load_id: str = "") -> None:
        """Make the leases of a process expire now; otherwise they last as long as a function may run."""
        buckets = s3_backends[self.cloud.aws.account]["aws"].buckets
        for bucket, name in self._leases.get(access_key, []):
            lease = buckets[bucket].keys.get(name)
            if lease is not None and load_id in name:
                lease.last_modified -= _LEASE_LIFETIME
