"""A laptop that is AWS: the program deployed into moto and the warehouse, and everything that then moves by itself.

with Laptop.start(root, folder=Path("build/laptop")) as laptop:
    laptop.outputs["drop_bucket"]  # the stack's outputs
    laptop.client("s3").upload_file(...)  # from here on events move it
    laptop.wait_until_still()
    laptop.mails()
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from moto.glue.models import glue_backends
from moto.sns.models import sns_backends

from local.aws import Aws
from local.data_api import DataApi
from local.deploy import Deployed, config_of, deploy
from local.event_router import EventRouter
from local.functions import Functions
from local.glue import Glue
from local.glue_python import glue_python
from local.moto_hooks import Hooks, ObjectEvent, PlayedRun, let_go, take_over
from local.program_warehouse import ProgramWarehouse
from local.provider import MotoProvider

ACCOUNT = "123456789012"
PACE = 10.0
"""How many seconds of AWS's own waiting (queues, schedules, retries) pass in one second of the laptop's."""


@dataclass(frozen=True)
class Mail:
    """A mail as one reader finds it."""

    to: str
    subject: str
    body: str


@dataclass(frozen=True)
class QueueCounts:
    """What a queue holds."""

    waiting: int
    delayed: int
    being_handled: int

    @property
    def all(self) -> int:
        return self.waiting + self.delayed + self.being_handled


class NotIdle(Exception):
    """Something still moves after the time given to it."""


@dataclass
class LocalCloud:
    """A running one; leaving the `with` block ends it and all it started."""

    aws: Aws
    warehouse: ProgramWarehouse
    data_api: DataApi
    router: EventRouter
    deployed: Deployed
    python: Path
    """What plays Glue's Python."""
    folder: Path
    _stopped: bool = field(default=False, repr=False)

    @classmethod
    def start(
        cls,
        root: Path,
        *,
        folder: Path,
        stack: str = "dev",
        name: str | None = None,
        config: Mapping[str, str] | None = None,
        account: str = ACCOUNT,
        pace: float = PACE,
        python: Path | None = None,
        libraries: Path | None = None,
        on_warning: Callable[[str], None] = lambda _: None,
    ) -> LocalCloud:
        """Deploy the program in `root` with the settings of a stack, some keys changed.

        `name` is what the deployed stack is called; without it, it is called as the stack whose settings it has.
        `folder` takes logs and what processes need while they run. `libraries` keeps unpacked
        wheels for the next laptop. Raises DeployFailed where the program cannot be deployed.
        """
        folder = folder.resolve()
        folder.mkdir(parents=True, exist_ok=True)
        values = config_of(root, stack, config or {})
        aws = Aws.start(account=account, region=values["aws:region"])
        warehouse = ProgramWarehouse(aws)
        data_api = DataApi(warehouse)
        try:
            provider = MotoProvider(aws, warehouse)
            aws.gate.services = {"redshift-data": data_api.answer, "redshift-serverless": warehouse.answer}
            router = _router(
                aws,
                provider,
                folder,
                libraries=(libraries or folder).resolve(),
                python=python or glue_python(),
                pace=pace,
                on_warning=on_warning,
            )
            # Whatever falls into a bucket while the program is deployed waits until all of it stands.
            early: list[ObjectEvent] = []
            take_over(account, Hooks(on_object_event=early.append, pace=pace))
            aws.gate.on_invoke = router.invoked
            aws.gate.after_run_start = router.run_started
            deployed = deploy(root, provider, stack=name or stack, config=values)
            router.start()
            take_over(account, Hooks(on_object_event=router.object_event, pace=pace))
            for event in early:
                router.object_event(event)
        except BaseException:
            data_api.stop()
            warehouse.stop()
            aws.stop()
            let_go(account)
            raise
        return cls(aws, warehouse, data_api, router, deployed, router.glue.python, folder)

    def stop(self) -> None:
        if self._stopped:
            return
        self._stopped = True
        self.router.glue.stop()
        self.router.functions.stop()
        self.router.stop()
        self.data_api.stop()
        self.warehouse.stop()
        self.aws.stop()
        let_go(self.aws.account)

    def __enter__(self) -> LocalCloud:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def outputs(self) -> Mapping[str, Any]:
        """The stack's outputs, as `pulumi stack output` shows them."""
        return self.deployed.outputs

    def client(self, service: str) -> Any:
        """A boto3 client with every right."""
        return self.aws.client(service)

    def connect(self) -> Any:
        """A connection to the warehouse as its admin user."""
        return self.warehouse.connect(self.outputs["database"])

    def queue(self, output: str) -> QueueCounts:
        """What the queue behind a stack output holds, such as `queue_url` or `dead_letter_queue_url`."""
        names = [f"ApproximateNumberOfMessages{which}" for which in ("", "Delayed", "NotVisible")]
        found = self.client("sqs").get_queue_attributes(QueueUrl=self.outputs[output], AttributeNames=names)
        return QueueCounts(*(int(found["Attributes"][name]) for name in names))

    def runs(self) -> list[PlayedRun]:
        """Every run of every job, the oldest first."""
        jobs = glue_backends[self.aws.account][self.aws.region].jobs
        runs = [run for job in jobs.values() for run in job.job_runs if isinstance(run, PlayedRun)]
        return sorted(runs, key=lambda run: run.started_on)

    def mails(self) -> list[Mail]:
        """Every mail that was sent, one for each reader, the oldest first."""
        sns, topic = self.client("sns"), self.outputs["topic_arn"]
        readers = [
            found["Endpoint"]
            for page in sns.get_paginator("list_subscriptions_by_topic").paginate(TopicArn=topic)
            for found in page["Subscriptions"]
            if found["Protocol"] == "email"
        ]
        sent = list(sns_backends[self.aws.account][self.aws.region].topics[topic].sent_notifications)
        return [Mail(reader, str(subject or ""), message) for _, message, subject, *_ in sent for reader in readers]

    @property
    def is_idle(self) -> bool:
        """True when nothing moves and nothing waits to move."""
        before = self.router.is_idle
        return before and self.queue("queue_url").all == 0 and self.router.is_idle

    def wait_until_idle(self, timeout: float = 120.0) -> None:
        """Raises NotStill when something still moves after `timeout` seconds."""
        until = time.monotonic() + timeout
        still_since = None
        while time.monotonic() < until:
            if not self.is_idle:
                still_since = None
            elif still_since is None:
                still_since = time.monotonic()
            elif time.monotonic() - still_since >= 0.2:
                return
            time.sleep(0.1)
        raise NotIdle(
            f"after {timeout:g} seconds something still moves: the queue holds {self.queue('queue_url')}; "
            f"the last trouble was: {(self.router.warnings or ['none'])[-1]}"
        )


def _router(
    aws: Aws,
    provider: MotoProvider,
    folder: Path,
    *,
    libraries: Path,
    python: Path,
    pace: float,
    on_warning: Callable[[str], None],
) -> EventRouter:
    functions = Functions(aws, folder, provider.gaps)
    glue = Glue(
        aws,
        folder,
        libraries,
        python,
        job_environment=lambda: provider.warehouse.running().client_environment(),
        on_state_change=lambda event: router.run_ended(event),
    )
    router = EventRouter(aws, functions, glue, pace, on_warning=on_warning)
    return router
