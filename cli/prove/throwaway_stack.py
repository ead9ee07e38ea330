"""A stack that `pipeline prove` deploys for itself and destroys in the end."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

import boto3

from cli.pipelines.local import ROOT
from cli.pipelines.pipeline import Pipeline, find_pipeline
from cli.refusals import Failed, Refused
from local.deploy import pulumi_project

PROJECT = pulumi_project(ROOT)

SETTINGS = {
    # The proof loads its own products and customers, and looks at what they are.
    "sampleDimensions": "false",
    "keepData": "false",
    # All files are loaded at once: a run mostly waits for Glue.
    "jobMaxConcurrentRuns": "12",
    # Beyond it Redshift refuses statements. At $0.375 an RPU-hour this is the brake on the bill.
    "warehouseRpuHoursPerDay": "5",
    "rejectedRetentionDays": "1",
    "reportRetentionDays": "3",
    "oldVersionDays": "1",
    "logRetentionDays": "1",
}
"""What the stack is set to beside Pulumi.yaml's defaults, its Region and its zones."""

_PULUMI_MINUTES = 30
_ZONES = 3
_LAST_LINES = 6


class ThrowawayStack(Protocol):
    """What the proof needs of whatever deploys."""

    @property
    def name(self) -> str: ...

    def refuse_taken_name(self) -> None:
        """Raises Refused when a stack of this name is there: it would be destroyed."""

    def deploy(self) -> Pipeline:
        """Create the stack; raises Failed when it cannot be deployed."""

    def changes(self) -> str:
        """What a second deployment would change, in the deployer's words; empty when nothing."""

    def destroy(self) -> None:
        """Destroy all of it, data included; raises Failed."""


@dataclass(frozen=True)
class PulumiStack:
    """A stack on AWS, by the Pulumi CLI and the caller's own sign-in."""

    name: str
    region: str

    def refuse_taken_name(self) -> None:
        """Raises Refused when a stack of this name is there, or Pulumi cannot be asked."""
        known = json.loads(self._pulumi("stack", "ls", "--json", names_stack=False).stdout or "[]")
        if self.name in [stack["name"].rpartition("/")[2] for stack in known]:
            raise Refused(f"the stack {self.name} exists; the proof destroys its stack, so name one that does not")

    def deploy(self) -> Pipeline:
        """Create the stack; raises Failed when it cannot be deployed."""
        self._pulumi("stack", "init", self.name, names_stack=False)
        zones = zones_of(self.region)
        values = {f"availabilityZones[{at}]": zone for at, zone in enumerate(zones)} | SETTINGS
        self._pulumi(
            *("config", "set-all", "--path", "--plaintext", f"aws:region={self.region}"),
            *(word for key, value in values.items() for word in ("--plaintext", f"{PROJECT}:{key}={value}")),
        )
        self._pulumi("up", "--yes", "--skip-preview")
        return find_pipeline(self.name)

    def changes(self) -> str:
        """What a second deployment would change, in Pulumi's words; empty when nothing."""
        ended = self._pulumi("up", "--yes", "--skip-preview", "--expect-no-changes", must_succeed=False)
        return "" if ended.returncode == 0 else _last_words(ended)

    def destroy(self) -> None:
        """Destroy all of it, data included, and forget the stack; raises Failed."""
        self._pulumi("destroy", "--yes", "--skip-preview")
        self._pulumi("stack", "rm", "--yes")

    def _pulumi(
        self, *words: str, names_stack: bool = True, must_succeed: bool = True
    ) -> subprocess.CompletedProcess[str]:
        command = ["pulumi", *words, "--non-interactive", "--cwd", str(ROOT)]
        command += ["--stack", self.name] if names_stack else []
        try:
            ended = subprocess.run(command, capture_output=True, text=True, timeout=_PULUMI_MINUTES * 60, check=False)
        except FileNotFoundError:
            raise Refused(
                "the proof needs the Pulumi CLI, and no `pulumi` is on the PATH; install it from pulumi.com"
            ) from None
        except subprocess.TimeoutExpired:
            raise Failed(
                f"`pulumi {words[0]}` did not end within {_PULUMI_MINUTES} minutes; look at the stack {self.name}"
            ) from None
        if must_succeed and ended.returncode != 0:
            raise Failed(f"`pulumi {' '.join(words[:2])}` failed: {_last_words(ended)}")
        return ended


def zones_of(region: str) -> list[str]:
    """Up to three zones of a Region that are open to the account."""
    zones = boto3.client("ec2", region_name=region).describe_availability_zones(
        Filters=[{"Name": "zone-type", "Values": ["availability-zone"]}, {"Name": "state", "Values": ["available"]}]
    )["AvailabilityZones"]
    return sorted(zone["ZoneName"] for zone in zones)[:_ZONES]


def leftovers(pipeline: Pipeline, stack: str, *, since: datetime) -> list[str]:
    """ARNs of what still has the stack's tags. Roles are asked one by one: the tag search does not know them."""
    tags = {"project": PROJECT, "environment": stack}
    filters = [{"Key": key, "Values": [value]} for key, value in tags.items()]
    search = pipeline.client("resourcegroupstaggingapi").get_paginator("get_resources")
    arns = [
        mapping["ResourceARN"]
        for page in search.paginate(TagFilters=filters)
        for mapping in page["ResourceTagMappingList"]
    ]
    iam = pipeline.client("iam")
    for page in iam.get_paginator("list_roles").paginate():
        for role in page["Roles"]:
            if role["CreateDate"] >= since and tags.items() <= _tags(iam, role["RoleName"]).items():
                arns.append(role["Arn"])
    return sorted(set(arns))


def _tags(iam: Any, role: str) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in iam.list_role_tags(RoleName=role)["Tags"]}


def _last_words(ended: subprocess.CompletedProcess[str]) -> str:
    lines: Sequence[str] = [line.strip() for line in (ended.stdout + ended.stderr).splitlines() if line.strip()]
    return " | ".join(lines[-_LAST_LINES:]) or "it gave no reason"
