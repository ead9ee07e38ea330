"""Every moment at which a process of ours may die or be cut off.

These are the moments before and after each request to AWS and each statement to the
warehouse: whatever a process does that anybody else can see lies between two of them.
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

from local.aws_requests import AwsRequest
from local.iam_middleware import Refused
from local.local_cloud import LocalCloud
from redshift_emulator.session import ObservedStatement
from schemas.runs import decode_run

JOB = "job"
_STAGED = re.compile(r"staging/([0-9a-f]{16})/([0-9]+)/")
_LOAD = re.compile(r"(?:archiving|claims|reports|notified|load)[ /]+([0-9a-f]{16})")
_MARKER = re.compile(r"PutObject (\S+?)/((?:archiving|claims|notified)/\S+)")
# Longer than any function may run.
_A_LIFETIME = timedelta(minutes=20)


@dataclass(frozen=True)
class FaultPoint:
    """A process is about to do something, or something is done and the process does not know it yet."""

    who: str
    """`job`, or the stage of a function: `start_run`, `notify`, `archive`, `sweep`."""
    what: str
    """The operation and all that it names, or the statement."""
    is_done: bool
    is_statement: bool
    load_id: str | None
    """Of a job's moment, and of a function's where the request names one load."""
    attempt: int | None
    """Of a job's moment."""
    kill: Callable[[], NoReturn]
    """Kill the process; what it was about to do is not done."""
    break_off: Callable[[], NoReturn]
    """Cut the connection to the warehouse, or refuse the request: what is not done stays undone."""


@dataclass
class FaultPoints(AbstractContextManager["FaultPoints"]):
    """Shows every moment to `look`, from several threads, while the `with` block runs."""

    laptop: LocalCloud
    look: Callable[[FaultPoint], None]
    _markers: dict[str, list[tuple[str, str]]] = field(default_factory=lambda: defaultdict(list))
    """Access key -> the markers that its process wrote."""
    _sessions: dict[int, tuple[str, int]] = field(default_factory=dict)
    """Session of the warehouse -> load and attempt, once a statement has named them."""
    _before_commit: dict[int, str] = field(default_factory=dict)

    def __enter__(self) -> FaultPoints:
        gate = self.laptop.aws.gate
        gate.before = lambda asked: self._request(asked, is_done=False)
        gate.after = lambda asked: self._request(asked, is_done=True)
        self.laptop.warehouse.running().observer.on_statement = self._statement
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        gate = self.laptop.aws.gate
        gate.before = gate.after = None
        self.laptop.warehouse.running().observer.on_statement = None

    def _request(self, asked: AwsRequest, *, is_done: bool) -> None:
        key = asked.access_key or ""
        run_id = self.laptop.router.glue.processes.run_of.get(key)
        handler = self.laptop.router.functions.handler_of(key)
        if run_id is None and handler is None:
            return
        what = self._told(asked)
        named = _LOAD.search(what)
        written = _MARKER.match(what)
        if written and is_done:
            self._markers[key].append((written[1], written[2]))

        def kill() -> NoReturn:
            if run_id is not None:
                self.laptop.router.glue.processes.kill(run_id)
            else:
                self.laptop.router.functions.kill(key)
                self._let_expire(key)
            raise Refused("ServiceUnavailable", "nobody waits for this answer any more")

        def break_off() -> NoReturn:
            if named:
                # Its sender gives up this load at once.
                self._let_expire(key, named[1])
            # Nothing that botocore would try again by itself.
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

    def _statement(self, seen: ObservedStatement) -> None:
        staged = _STAGED.search(seen.sql)
        if staged:
            self._sessions[seen.session] = (staged[1], int(staged[2]))
        if seen.session not in self._sessions:
            return
        load_id, attempt = self._sessions[seen.session]
        what = " ".join(seen.sql.split())
        if what.upper() == "COMMIT":
            what = f"COMMIT after {self._before_commit.get(seen.session, '')}"
        elif not what.upper().startswith("BEGIN"):
            self._before_commit[seen.session] = what

        def break_off() -> NoReturn:
            raise ConnectionAbortedError("the connection is cut")

        def kill() -> NoReturn:
            for run in self.laptop.runs():
                if not run.has_ended and self.load_of(run.job_run_id) == (load_id, attempt):
                    self.laptop.router.glue.processes.kill(run.job_run_id)
            break_off()

        self.look(FaultPoint(JOB, what, seen.is_done, True, load_id, attempt, kill, break_off))

    def load_of(self, run_id: str) -> tuple[str | None, int | None]:
        """Load and attempt of a run."""
        for run in self.laptop.runs():
            arguments = decode_run(run.arguments) if run.job_run_id == run_id else None
            if arguments is not None:
                return arguments.drop.load_id, arguments.attempt
        return None, None

    def _told(self, asked: AwsRequest) -> str:
        """The request in words: the operation, then the objects it names or its parameters."""
        if asked.service == "s3":
            named = [need.resource.rpartition(":::")[2] for need in asked.needs]
            named += [need.context[key] for need in asked.needs for key in need.context]
            return " ".join([asked.operation, *dict.fromkeys(named)])
        arguments = decode_run(asked.facts.get("Arguments"))
        if arguments is not None:
            return f"{asked.operation} load {arguments.drop.load_id}"
        payload = asked.facts.get("Payload")
        facts = json.loads(payload) if payload else asked.facts
        run_id = facts.get("RunId") or facts.get("run_id")
        load = f" load {self.load_of(run_id)[0]}" if run_id else ""
        return " ".join([asked.operation + load, str(asked.facts.get("FunctionName", "")), *map(str, facts.values())])

    def _let_expire(self, access_key: str, load_id: str = "") -> None:
        """What a process holds, it holds for as long as it could live: its time is over now."""
        buckets = s3_backends[self.laptop.aws.account]["aws"].buckets
        for bucket, name in self._markers.get(access_key, []):
            marker = buckets[bucket].keys.get(name)
            if marker is not None and load_id in name:
                marker.last_modified -= _A_LIFETIME
