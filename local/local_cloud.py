"""The local cloud: the program, deployed into moto and a warehouse, and the events that move files.

with LocalCloud.start(root, folder=Path("build/cloud")) as cloud:
    cloud.outputs["drop_bucket"]  # the stack's outputs
    cloud.client("s3").upload_file(...)  # events do the rest
    cloud.wait_until_idle()
    cloud.mails()
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any

from moto.glue.models import glue_backends

from local.api.aws import OPERATOR_CREDENTIALS, Aws
from local.api.data_api import DataApi
from local.api.program_warehouse import ProgramWarehouse
from local.deploy import Deployed, config_of, deploy
from local.moto_hooks import EmulatedRun, Hooks, ObjectEvent, remove_account, use_hooks
from local.moto_hooks.sns import confirm_subscriptions
from local.provider import MotoProvider
from local.runtime.event_router import EventRouter
from local.runtime.functions import Functions
from local.runtime.glue import Glue
from local.runtime.glue_process import GlueProcesses
from local.runtime.glue_python import glue_python

ACCOUNT = "123456789012"
PACE = 10.0
"""The number of seconds of AWS's own waiting (queues, schedules, retries) that pass in one real second."""


@dataclass(frozen=True)
class Mail:
    """A mail to one recipient."""

    to: str
    subject: str
    body: str


class Mailbox:
    """All mails of one account."""

    def __init__(self) -> None:
        self._mails: list[Mail] = []

    def deliver(self, to: str, subject: str, body: str) -> None:
        self._mails.append(Mail(to, subject, body))

    def all(self) -> list[Mail]:
        """All mails, the oldest first."""
        return list(self._mails)


@dataclass(frozen=True)
class QueueCounts:
    """The numbers of messages in a queue."""

    waiting: int
    delayed: int
    being_handled: int

    @property
    def all(self) -> int:
        return self.waiting + self.delayed + self.being_handled


class NotIdle(Exception):
    """A delivery, run or invocation is still in flight after the timeout."""


@dataclass
class LocalCloud:
    """A running cloud; leaving the `with` block stops it and everything that it started."""

    aws: Aws
    warehouse: ProgramWarehouse
    data_api: DataApi
    router: EventRouter
    deployed: Deployed
    python: Path
    """The interpreter that runs the jobs."""
    folder: Path
    mailbox: Mailbox
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
        confirms_subscriptions: bool = True,
        before_deploy: Callable[[Aws], None] = lambda _: None,
        on_warning: Callable[[str], None] = lambda _: None,
        on_resource: Callable[[int], None] = lambda _: None,
    ) -> LocalCloud:
        """Deploy the program in `root` with the settings of `stack`; `config` overrides some of them.

        `name` is the name of the deployed stack, by default `stack`. `folder` is for logs and files of running
        processes. `libraries` keeps unpacked wheels for the next local cloud. `before_deploy` may create resources
        that exist before the deployment. `on_resource` is called with the number of resources after each new one.
        Raises DeployFailed when the program cannot be deployed.
        """
        folder = folder.resolve()
        folder.mkdir(parents=True, exist_ok=True)
        values = config_of(root, stack, config or {})
        aws = Aws.start(account=account, region=values["aws:region"])
        warehouse, mails = ProgramWarehouse(aws), Mailbox()
        data_api = DataApi(warehouse)
        with ExitStack() as on_failure:
            on_failure.callback(_stop, aws, warehouse, data_api)
            provider = MotoProvider(aws, warehouse)
            unpacked = (libraries or folder).resolve()
            processes = GlueProcesses(aws, folder, unpacked, python or glue_python(), warehouse.client_environment)
            router = _router(aws, provider, folder, processes, pace=pace, on_warning=on_warning)
            _emulate_what_moto_lacks(aws, warehouse, data_api, router)
            hooks = Hooks(
                on_object_event=router.object_event,
                pace=pace,
                on_mail=mails.deliver,
                confirms_subscriptions=confirms_subscriptions,
                has_job_queuing=provider.gaps.jobs_with_queuing.__contains__,
            )
            with _events_held_back(account, hooks):
                before_deploy(aws)
                deployed = deploy(root, provider, stack=name or stack, config=values, on_resource=on_resource)
                router.start()
            on_failure.pop_all()
        return cls(aws, warehouse, data_api, router, deployed, processes.python, folder, mails)

    def stop(self) -> None:
        if self._stopped:
            return
        self._stopped = True
        self.router.glue.stop()
        self.router.functions.stop()
        self.router.stop()
        _stop(self.aws, self.warehouse, self.data_api)

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
        """The message counts of the queue behind a stack output, such as `queue_url` or `dead_letter_queue_url`."""
        names = [f"ApproximateNumberOfMessages{which}" for which in ("", "Delayed", "NotVisible")]
        response = self.client("sqs").get_queue_attributes(QueueUrl=self.outputs[output], AttributeNames=names)
        return QueueCounts(*(int(response["Attributes"][name]) for name in names))

    def runs(self) -> list[EmulatedRun]:
        """Every run of every job, the oldest first."""
        jobs = glue_backends[self.aws.account][self.aws.region].jobs
        runs = [run for job in jobs.values() for run in job.job_runs if isinstance(run, EmulatedRun)]
        return sorted(runs, key=lambda run: run.started_on)

    def mails(self) -> list[Mail]:
        """All delivered mails, one for each recipient, the oldest first."""
        return self.mailbox.all()

    def confirm_subscriptions(self) -> None:
        """Confirm all subscriptions, as if every recipient had followed the link in the confirmation mail."""
        confirm_subscriptions(self.aws.account, self.aws.region)

    def stop_run(self, run: EmulatedRun) -> None:
        """Stop a run, as a person can in Glue's console."""
        self.client("glue").batch_stop_job_run(JobName=run.job_name, JobRunIds=[run.job_run_id])

    def operator_environment(self) -> dict[str, str]:
        """The environment variables with which other tools (aws, boto3, psql) reach this cloud with every right."""
        warehouse = self.warehouse.running()
        return {
            **self.aws.environment(OPERATOR_CREDENTIALS),
            "PGHOST": warehouse.host,
            "PGPORT": str(warehouse.port),
            "PGDATABASE": self.outputs["database"],
            "PGUSER": warehouse.admin_user,
            "PGPASSWORD": warehouse.admin_password,
            "PGSSLMODE": "verify-full",
            "PGSSLROOTCERT": str(warehouse.authority_file),
        }

    @property
    def is_idle(self) -> bool:
        """True when nothing is in flight and the queue is empty."""
        before = self.router.is_idle
        return before and self.queue("queue_url").all == 0 and self.router.is_idle

    def wait_until_idle(self, timeout: float = 600.0) -> None:
        """Wait until nothing is in flight; raises NotIdle after `timeout` seconds."""
        until = time.monotonic() + timeout
        idle_since = None
        while time.monotonic() < until:
            if not self.is_idle:
                idle_since = None
            elif idle_since is None:
                idle_since = time.monotonic()
            elif time.monotonic() - idle_since >= 0.2:
                return
            time.sleep(0.1)
        raise NotIdle(
            f"after {timeout:g} seconds something is still in flight: the queue holds {self.queue('queue_url')}; "
            f"the last warning was: {(self.router.warnings or ['none'])[-1]}"
        )


def _stop(aws: Aws, warehouse: ProgramWarehouse, data_api: DataApi) -> None:
    data_api.stop()
    warehouse.stop()
    aws.stop()
    remove_account(aws.account)


@contextmanager
def _events_held_back(account: str, hooks: Hooks) -> Iterator[None]:
    """Hold back events of S3 during the deployment, and deliver them once all resources exist."""
    early: list[ObjectEvent] = []
    use_hooks(account, replace(hooks, on_object_event=early.append))
    yield
    use_hooks(account, hooks)
    for event in early:
        hooks.on_object_event(event)


def _router(
    aws: Aws,
    provider: MotoProvider,
    folder: Path,
    processes: GlueProcesses,
    *,
    pace: float,
    on_warning: Callable[[str], None],
) -> EventRouter:
    glue = Glue(
        aws,
        processes,
        on_due=lambda job, run: router.run_due(job, run),
        on_state_change=lambda event: router.run_ended(event),
    )
    router = EventRouter(aws, Functions(aws, folder, provider.gaps), glue, pace, on_warning=on_warning)
    return router


def _emulate_what_moto_lacks(aws: Aws, warehouse: ProgramWarehouse, data_api: DataApi, router: EventRouter) -> None:
    aws.iam.emulated = {
        "redshift-data": data_api.respond,
        "redshift-serverless": warehouse.respond,
        "glue:BatchStopJobRun": router.glue.batch_stop,
    }
    aws.iam.on_invoke = router.invoked
    aws.iam.after_run_start = router.glue.run_started
