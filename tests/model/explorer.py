"""The real handlers, connected to a world in memory, and the search for a schedule that breaks them."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, tzinfo
from functools import lru_cache
from types import SimpleNamespace
from typing import Any

import pytest

from lambdas import attempts, leases
from lambdas.archive import handler as archive
from lambdas.archive.archiver import Archiver
from lambdas.glue_runner import GlueRunner
from lambdas.leases import LeaseStore
from lambdas.notifier import Notifier
from lambdas.notify import handler as notify
from lambdas.start_run import handler as start_run
from lambdas.start_run.dispatcher import Dispatcher
from lambdas.sweep import handler as sweep
from lambdas.sweep import scanner
from schemas.settings import ArchiveSettings, NotifySettings, StartRunSettings, SweepSettings
from tests.lambdas.cloud import Invocation
from tests.model.memory_aws import ARCHIVE, DROPS, WORK
from tests.model.workers import Broken
from tests.model.world import World

SCHEDULE_BYTES = 160


class Explorer:
    """Plays schedules, each in a new world."""

    def __init__(self) -> None:
        self.world: World | None = None

    def play(self, schedule: bytes) -> None:
        """Play a schedule. Raises AssertionError, with the story, when a property is violated."""
        world = World(
            schedule,
            functions={
                "start_run": lambda event: start_run.handle(event, Invocation(30)),
                "notify": lambda event: notify.handle(event, Invocation(30)),
                "archive": lambda event: archive.handle(event, Invocation(30)),
                "sweep": lambda event: sweep.handle(event, Invocation(30)),
            },
        )
        self.world = world
        self.wire(world)
        try:
            world.play()
        except Broken as broken:
            raise AssertionError("\n".join([str(broken), *world.log])) from None

    def find_broken(self, schedules: int, *, seed: int = 0) -> str | None:
        """Try this many schedules. Returns the story of the first that breaks a property, or None."""
        chance = random.Random(seed)
        for _ in range(schedules):
            try:
                self.play(chance.randbytes(chance.randrange(20, SCHEDULE_BYTES)))
            except AssertionError as broken:
                return str(broken)
        return None

    def wire(self, world: World) -> None:
        """Give every handler this world instead of AWS."""
        s3: Any = world.s3
        glue: Any = world.glue
        runner = GlueRunner(glue, starter=glue)
        queue: Any = world
        leases = LeaseStore(s3, WORK)
        notifier = Notifier(leases, queue, "topic")
        start_settings = StartRunSettings(DROPS, ARCHIVE, WORK, "transactions", "dimensions", "queue", "topic", "dev")
        dispatcher = Dispatcher(start_settings, s3, runner, leases, notifier)
        self.start_run = start_run.Dependencies(start_settings, dispatcher, queue, random.Random(0))
        notify_settings = NotifySettings(WORK, DROPS, "topic", "/aws-glue/python-jobs/output", "dev", "")
        self.notify = notify.Dependencies(notify_settings, runner, leases, notifier)
        archive_settings = ArchiveSettings(DROPS, ARCHIVE, WORK, "queue")
        self.archive = archive.Dependencies(archive_settings, runner, queue, leases, Archiver(s3, ARCHIVE, leases))
        sweep_settings = SweepSettings(DROPS, ARCHIVE, WORK, "queue", "archive", "notify", "dev")
        functions: Any = SimpleNamespace(invoke=world.invoke_function)
        self.sweep = sweep.Dependencies(sweep_settings, s3, runner, queue, functions, leases)

    def now(self) -> datetime:
        """The world's time."""
        assert self.world is not None
        return self.world.clock.now


@contextmanager
def exploring() -> Iterator[Explorer]:
    """The handlers run in memory and log nothing."""
    explorer = Explorer()

    class ModelTime(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Any:  # noqa: ARG003
            return explorer.now()

    before = logging.root.manager.disable
    with pytest.MonkeyPatch.context() as patched:
        logging.disable(logging.CRITICAL)
        for name, module in (("start_run", start_run), ("notify", notify), ("archive", archive), ("sweep", sweep)):
            patched.setattr(module, "dependencies", lambda name=name: getattr(explorer, name))
        for module in (attempts, scanner):
            patched.setattr(module, "datetime", ModelTime)
        patched.setattr(sweep, "publish_metrics", lambda *_: None)
        # Cached: parsing the same second again and again would take a tenth of the time.
        patched.setattr(leases, "parsedate_to_datetime", lru_cache(leases.parsedate_to_datetime))
        try:
            yield explorer
        finally:
            logging.disable(before)


Mutant = Callable[[pytest.MonkeyPatch], None]
