"""The workers of a world: functions that can be paused, killed or disturbed at every call.

Which call is disturbed, and how, is the schedule's next byte.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from botocore.exceptions import ReadTimeoutError
from greenlet import greenlet

from tests.model.memory_aws import Clock, refusal

DISTURBANCES = ("pause", "kill", "kill after", "lose answer", "refuse", "conflict", "a run ends meanwhile")


class Killed(BaseException):
    """The worker's process ended here."""


class Broken(BaseException):
    """A property is violated; no handler may catch this."""


@dataclass
class Worker:
    """One invocation in its own coroutine, so that it can be paused at any call."""

    coroutine: greenlet
    deadline: Any
    is_dead: bool = False


@dataclass
class Workers:
    """The live workers, one of which runs at a time, and the schedule that disturbs them."""

    schedule: bytes
    is_calm: bool = False
    place: int = 0
    gap: int = 20
    trap: str | None = None
    clock: Clock = field(default_factory=Clock)
    paused: list[Worker] = field(default_factory=list)
    running: Worker | None = None
    log: list[str] = field(default_factory=list)

    def end_a_run(self) -> None:
        """A live run ends while a worker is making a call."""
        raise NotImplementedError

    # decisions

    def choose(self, options: int) -> int:
        if self.place >= len(self.schedule):
            return 0
        self.place += 1
        return self.schedule[self.place - 1] % options

    @property
    def is_used_up(self) -> bool:
        return self.place >= len(self.schedule)

    def before(self, call: str) -> None:
        """A worker is about to make this call."""
        self.clock.advance(0.05)
        worker = self.running
        if worker is None or self.is_calm:
            return
        if worker.is_dead:
            raise Killed(call)
        self.gap -= 1
        if self.gap > 0 or self.is_used_up:
            return
        self.gap = 1 + self.choose(48)
        disturbance = DISTURBANCES[self.choose(len(DISTURBANCES))]
        self.log.append(f"{disturbance} at {call}")
        if disturbance == "pause":
            self._pause(worker, call)
        elif disturbance == "a run ends meanwhile":
            self.end_a_run()
        elif disturbance == "kill":
            raise Killed(call)
        elif disturbance == "refuse":
            raise refusal(call.partition(" ")[0], "ThrottlingException", 400)
        else:
            self.trap = disturbance

    def after(self, call: str) -> None:
        """The call has taken effect. Its response has not arrived yet."""
        trap, self.trap = self.trap, None
        if trap == "kill after":
            raise Killed(call)
        if trap == "lose answer":
            raise ReadTimeoutError(endpoint_url=call)

    def conflicts(self) -> bool:
        is_one = self.trap == "conflict"
        if is_one:
            self.trap = None
        return is_one

    def _pause(self, worker: Worker, call: str) -> None:
        worker.coroutine.parent.switch()
        if worker.is_dead:
            raise Killed(call)

    # workers

    def invoke(self, work: Callable[[], None], done: Callable[[bool], None], *, seconds: float = 60) -> None:
        """Run a function until it ends, dies or is paused."""
        coroutine = greenlet(lambda: self._run(work, done))
        self._let_run(Worker(coroutine, self.clock.now + timedelta(seconds=seconds)))

    def resume(self, worker: Worker) -> None:
        self.paused.remove(worker)
        # Lambda ends an invocation that takes too long.
        worker.is_dead = self.clock.now > worker.deadline
        self._let_run(worker)

    def _let_run(self, worker: Worker) -> None:
        self.running = worker
        try:
            worker.coroutine.switch()
        finally:
            self.running = None
            self.trap = None
        if not worker.coroutine.dead:
            self.paused.append(worker)

    def _run(self, work: Callable[[], None], done: Callable[[bool], None]) -> None:
        is_done = False
        try:
            work()
            is_done = True
        except (Exception, Killed) as failure:
            self.log.append(f"failed: {type(failure).__name__} {failure}"[:200])
        done(is_done)

    def kill_the_paused(self) -> None:
        """Kill every paused worker."""
        for worker in list(self.paused):
            worker.is_dead = True
            self.paused.remove(worker)
            self._let_run(worker)
