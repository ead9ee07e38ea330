"""The stack that `pipeline prove` deploys for itself and destroys at the end."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

import boto3

from cli.pipelines.local import ROOT
from cli.pipelines.pipeline import Pipeline, find_pipeline
from cli.refusals import Failed, Refused
from components.deployment import Deployment
from components.packages import job_wheel
from local.deploy import pulumi_project

PROJECT = pulumi_project(ROOT)

SETTINGS = {
    # The proof loads its own products and customers, and compares them.
    "sampleDimensions": "false",
    "keepData": "false",
    # All files are loaded at once: a run mostly waits for Glue.
    "jobMaxConcurrentRuns": "12",
    # A file whose rows all wait for their customer is loaded and archived, and its rows flow in from the archive.
    "maxRejectRatio": "1",
    # Beyond this limit Redshift refuses statements. An RPU-hour costs $0.375, so the limit bounds the bill.
    "warehouseRpuHoursPerDay": "5",
    "rejectedRetentionDays": "1",
    "dimensionRetentionDays": "1",
    "reportRetentionDays": "3",
    "oldVersionDays": "1",
    "logRetentionDays": "1",
}
"""The stack's settings that differ from the defaults in Pulumi.yaml, except its Region and zones."""

_PULUMI_SECONDS = 30 * 60
_STOPPING_SECONDS = 5 * 60
_ZONES = 3
_LAST_LINES = 6


class ThrowawayStack(Protocol):
    """The interface of a stack for the proof."""

    @property
    def name(self) -> str: ...

    @property
    def by_hand(self) -> str:
        """The commands for a person to destroy a stack that is left."""

    def refuse_if_unusable(self) -> None:
        """Raises Refused, before anything is created, when the stack exists already or cannot be deployed."""

    def deploy(self, *, timeout_seconds: float) -> Pipeline:
        """Create the stack; raises Failed when it cannot be deployed, or not in time."""

    def changes(self, *, timeout_seconds: float) -> str:
        """The changes that a second deployment would make, as text; empty when there are none. Raises Failed when it
        does not end in time."""

    def destroy(self) -> None:
        """Destroy the stack and its data, even if its deployment was not complete; raises Failed."""

    def client(self, service: str) -> Any:
        """A boto3 client of the stack's account and Region, whether the stack is deployed or not."""


@dataclass(frozen=True)
class PulumiStack:
    """A stack on AWS, by the Pulumi CLI and the caller's own sign-in."""

    name: str
    region: str

    @property
    def by_hand(self) -> str:
        """The commands for a person to destroy a stack that is left."""
        return (
            f"`pulumi destroy --stack {self.name} --yes`, then `pulumi stack rm {self.name} --yes`; "
            "`pulumi cancel` first if the stack is locked"
        )

    def client(self, service: str) -> Any:
        """A boto3 client of the caller's account and the stack's Region."""
        session: Any = boto3.session.Session(region_name=self.region)
        return session.client(service)

    def refuse_if_unusable(self) -> None:
        """Raises Refused, ConfigError or an error of AWS; nothing was created."""
        Deployment(project=PROJECT, environment=self.name, region=self.region)
        job_wheel(ROOT / "dist")
        if self._is_known():
            raise Refused(f"the stack {self.name} exists; the proof destroys its stack, so choose a new name")
        settings = ROOT / f"Pulumi.{self.name}.yaml"
        if settings.exists():
            raise Refused(f"{settings} exists, and the proof would delete it with its stack; name another stack")
        # A stack of a colleague has queues with our names; the deployment would take them over.
        others = tagged(self.client, self.name)
        if others:
            raise Refused(
                f"{others[0]} in {self.region} belongs to a stack {self.name} that this Pulumi does not know; "
                "name another stack"
            )

    def deploy(self, *, timeout_seconds: float) -> Pipeline:
        """Create the stack; raises Failed when it cannot be deployed, or not in time."""
        zones = zones_of(self.region)
        self._pulumi("stack", "init", self.name, names_stack=False)
        values = {f"availabilityZones[{at}]": zone for at, zone in enumerate(zones)} | SETTINGS
        self._pulumi(
            *("config", "set-all", "--path", "--plaintext", f"aws:region={self.region}"),
            *(word for key, value in values.items() for word in ("--plaintext", f"{PROJECT}:{key}={value}")),
        )
        self._pulumi("up", "--yes", "--skip-preview", timeout_seconds=timeout_seconds)
        return find_pipeline(self.name)

    def changes(self, *, timeout_seconds: float) -> str:
        """The changes that a second deployment would make, in Pulumi's words; empty when there are none."""
        ended = self._pulumi(
            *("up", "--yes", "--skip-preview", "--expect-no-changes"),
            must_succeed=False,
            timeout_seconds=timeout_seconds,
        )
        return "" if ended.returncode == 0 else _last_words(ended)

    def destroy(self) -> None:
        """Destroy the stack and its data, and remove it from Pulumi; raises Failed."""
        if not self._is_known():
            return
        # An update that was killed leaves a lock; without a lock this does nothing.
        self._pulumi("cancel", "--yes", must_succeed=False)
        self._pulumi("destroy", "--yes", "--skip-preview")
        self._pulumi("stack", "rm", "--yes")

    def _is_known(self) -> bool:
        known = json.loads(self._pulumi("stack", "ls", "--json", names_stack=False).stdout or "[]")
        return self.name in [stack["name"].rpartition("/")[2] for stack in known]

    def _pulumi(
        self,
        *words: str,
        names_stack: bool = True,
        must_succeed: bool = True,
        timeout_seconds: float = _PULUMI_SECONDS,
    ) -> subprocess.CompletedProcess[str]:
        command = ["pulumi", *words, "--non-interactive", "--cwd", str(ROOT)]
        command += ["--stack", self.name] if names_stack else []
        try:
            ended = run_to_its_end(command, timeout_seconds=timeout_seconds)
        except FileNotFoundError:
            raise Refused(
                "the proof needs the Pulumi CLI, and no `pulumi` is on the PATH; install it from pulumi.com"
            ) from None
        except subprocess.TimeoutExpired:
            raise Failed(
                f"`pulumi {words[0]}` did not end within {timeout_seconds / 60:.0f} minutes; "
                f"look at the stack {self.name}"
            ) from None
        if must_succeed and ended.returncode != 0:
            raise Failed(f"`pulumi {' '.join(words[:2])}` failed: {_last_words(ended)}")
        return ended


def run_to_its_end(command: Sequence[str], *, timeout_seconds: float) -> subprocess.CompletedProcess[str]:
    """Run a command that must not be killed: Pulumi would lose track of new resources and leave the stack locked.

    Each Ctrl-C is passed on to the command, and raised once the command has ended. A timeout sends Ctrl-C, too. A
    command that has not ended some minutes later is killed.
    """
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    raised: BaseException | None = None
    while True:
        try:
            output, errors = process.communicate(timeout=timeout_seconds if raised is None else _STOPPING_SECONDS)
            break
        except subprocess.TimeoutExpired as late:
            if isinstance(raised, subprocess.TimeoutExpired):
                process.kill()
            process.send_signal(signal.SIGINT)
            raised = late
        except KeyboardInterrupt as stopped:
            process.send_signal(signal.SIGINT)
            raised = stopped
    if raised is not None:
        raise raised
    return subprocess.CompletedProcess(command, process.returncode, output, errors)


def zones_of(region: str) -> list[str]:
    """Up to three availability zones of a Region that the account can use."""
    zones = boto3.client("ec2", region_name=region).describe_availability_zones(
        Filters=[{"Name": "zone-type", "Values": ["availability-zone"]}, {"Name": "state", "Values": ["available"]}]
    )["AvailabilityZones"]
    return sorted(zone["ZoneName"] for zone in zones)[:_ZONES]


def tagged(client: Any, stack: str) -> list[str]:
    """ARNs of resources with the stack's tags, and of its dashboards, which the tag search lacks, by their names."""
    filters = [{"Key": key, "Values": [value]} for key, value in _tags_of(stack).items()]
    search = client("resourcegroupstaggingapi").get_paginator("get_resources")
    arns = {
        mapping["ResourceARN"]
        for page in search.paginate(TagFilters=filters)
        for mapping in page["ResourceTagMappingList"]
    }
    dashboards = client("cloudwatch").get_paginator("list_dashboards")
    for page in dashboards.paginate(DashboardNamePrefix=f"{PROJECT}-{stack}-"):
        arns.update(entry["DashboardArn"] for entry in page["DashboardEntries"])
    return sorted(arns)


def leftovers(client: Any, stack: str, *, since: datetime) -> list[str]:
    """ARNs of resources with the stack's tags, including roles since `since`, whose tags are read one by one."""
    roles, iam = [], client("iam")
    for page in iam.get_paginator("list_roles").paginate():
        for role in page["Roles"]:
            if role["CreateDate"] >= since and _tags_of(stack).items() <= _tags(iam, role["RoleName"]).items():
                roles.append(role["Arn"])
    return sorted({*tagged(client, stack), *roles})


def _tags_of(stack: str) -> dict[str, str]:
    return {"project": PROJECT, "environment": stack}


def _tags(iam: Any, role: str) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in iam.list_role_tags(RoleName=role)["Tags"]}


def _last_words(ended: subprocess.CompletedProcess[str]) -> str:
    lines: Sequence[str] = [line.strip() for line in (ended.stdout + ended.stderr).splitlines() if line.strip()]
    return " | ".join(lines[-_LAST_LINES:]) or "it gave no reason"
