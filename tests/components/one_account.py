"""`pulumi up` and `pulumi destroy` of stacks that share an account, which moto plays."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import local.deploy
import local.provider
from components.stack_config import stack_config
from local.api.aws import Aws
from local.api.program_warehouse import ProgramWarehouse
from local.deploy import Deployed
from local.moto_hooks import Hooks, remove_account, use_hooks
from local.provider import MotoProvider
from local.provider.context import Inputs, Outputs
from tests.components import program
from tests.components.destroying import delete
from tests.components.program import PROJECT, ROOT

GLUES_LOG_GROUPS = ("/aws-glue/python-jobs/output", "/aws-glue/python-jobs/error")
OPENED = {
    "aws:redshiftserverless/namespace:Namespace": "namespaceName",
    "aws:redshiftserverless/workgroup:Workgroup": "workgroupName",
}
"""Types of the warehouse, which moto has not -> what names them."""

Key = tuple[str, str]
"""Type and name of a resource."""


@dataclass
class State:
    """The state that Pulumi keeps of a stack between two commands."""

    stack: str
    region: str
    standing: dict[Key, tuple[str, Outputs]] = field(default_factory=dict)
    """In the order of their creation."""


@dataclass
class Account:
    """One AWS account, in which Python Shell jobs have run before."""

    id: str
    wheel_directory: Path
    regions: dict[str, Aws] = field(default_factory=dict)
    warehouses: set[tuple[str, str, str]] = field(default_factory=set)
    """Region, type and name of each namespace and workgroup."""

    def aws(self, region: str) -> Aws:
        if region not in self.regions:
            self.regions[region] = Aws.start(account=self.id, region=region)
            for group in GLUES_LOG_GROUPS:
                self.regions[region].client("logs").create_log_group(logGroupName=group)
        return self.regions[region]

    def up(self, state: State) -> Deployed:
        """Create what the stack declares and its state does not know."""
        aws = self.aws(state.region)

        def create(provider: MotoProvider, type_: str, name: str, inputs: Inputs) -> tuple[str, Outputs]:
            if (type_, name) not in state.standing:
                made = (
                    self._open(state.region, type_, inputs)
                    if type_.startswith("aws:redshift")
                    else local.provider.create(provider, type_, name, inputs)
                )
                state.standing[type_, name] = made
            return state.standing[type_, name]

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(local.deploy, "create", create)
            provider = MotoProvider(aws, ProgramWarehouse(aws))
            return local.deploy.deploy(ROOT, provider, stack=state.stack, config=self._config(state))

    def destroy(self, state: State, *, stays: Callable[[program.Resource], bool] = lambda _: False) -> None:
        """`pulumi destroy --exclude-protected`: deletes everything but protected resources and those they depend on.

        Retained resources, and those in `stays`, are removed from the state and left in AWS.
        """
        declared = {
            (entry.type, entry.name): entry
            for entry in program.deploy(state.stack, self.wheel_directory, region=state.region).resources
        }
        kept = _protected(declared)
        for key in reversed(list(state.standing)):
            entry = declared[key]
            if key in kept:
                continue
            _, outputs = state.standing.pop(key)
            if not (entry.retain_on_delete or stays(entry)):
                self._delete(state.region, key[0], outputs)

    def names(self, region: str) -> set[str]:
        """Everything in the account that has a name, or an id of the network."""
        client = self.aws(region).client
        vpcs = {entry["VpcId"] for entry in client("ec2").describe_vpcs()["Vpcs"] if not entry["IsDefault"]}
        subnets = client("ec2").describe_subnets()["Subnets"]
        groups = client("ec2").describe_security_groups()["SecurityGroups"]
        return {
            *(entry["Name"] for entry in client("s3").list_buckets()["Buckets"]),
            *client("sqs").list_queues().get("QueueUrls", []),
            *(entry["TopicArn"] for entry in client("sns").list_topics()["Topics"]),
            *(entry["SubscriptionArn"] for entry in client("sns").list_subscriptions()["Subscriptions"]),
            *(entry["FunctionName"] for entry in client("lambda").list_functions()["Functions"]),
            *(entry["UUID"] for entry in client("lambda").list_event_source_mappings()["EventSourceMappings"]),
            *(entry["Name"] for entry in client("events").list_rules()["Rules"]),
            *(entry["logGroupName"] for entry in client("logs").describe_log_groups()["logGroups"]),
            *(entry["AlarmName"] for entry in client("cloudwatch").describe_alarms()["MetricAlarms"]),
            *(entry["DashboardName"] for entry in client("cloudwatch").list_dashboards()["DashboardEntries"]),
            *client("glue").list_jobs()["JobNames"],
            *(entry["Name"] for entry in client("glue").get_connections()["ConnectionList"]),
            *(entry["RoleName"] for entry in client("iam").list_roles()["Roles"]),
            *(name for place, _, name in self.warehouses if place == region),
            *vpcs,
            *(entry["SubnetId"] for entry in subnets if entry["VpcId"] in vpcs),
            *(entry["GroupId"] for entry in groups if entry["VpcId"] in vpcs),
        }

    def _config(self, state: State) -> dict[str, str]:
        zones = ", ".join(f'"{state.region}{letter}"' for letter in "abc")
        return stack_config(ROOT, state.stack) | {
            "aws:region": state.region,
            f"{PROJECT}:availabilityZones": f"[{zones}]",
            f"{PROJECT}:wheelDirectory": str(self.wheel_directory),
        }

    def _open(self, region: str, type_: str, inputs: Inputs) -> tuple[str, Outputs]:
        if type_ in OPENED:
            name = (region, type_, inputs[OPENED[type_]])
            if name in self.warehouses:
                raise RuntimeError(f"ConflictException: {name[2]} already exists")
            self.warehouses.add(name)
        arn = f"arn:aws:redshift-serverless:{region}:{self.id}:{uuid.uuid4()}"
        endpoint = {"address": "warehouse.example.internal", "port": 5439}
        return arn, {**inputs, "arn": arn, "adminPasswordSecretArn": f"{arn}-secret", "endpoints": [endpoint]}

    def _delete(self, region: str, type_: str, outputs: Outputs) -> None:
        if type_ in OPENED:
            self.warehouses.remove((region, type_, outputs[OPENED[type_]]))
        elif not type_.startswith("aws:redshift"):
            delete(self.aws(region), type_, outputs)


def _protected(declared: dict[Key, program.Resource]) -> set[Key]:
    """The protected resources, and all that they depend on."""
    by_urn = {entry.urn: key for key, entry in declared.items()}
    kept: set[Key] = set()
    waiting = [key for key, entry in declared.items() if entry.protect]
    while waiting:
        key = waiting.pop()
        if key not in kept:
            kept.add(key)
            waiting += [by_urn[urn] for urn in declared[key].dependencies if urn in by_urn]
    return kept


@contextmanager
def opened_account(wheel_directory: Path) -> Iterator[Account]:
    account = Account(f"{uuid.uuid4().int % 10**12:012}", wheel_directory)
    use_hooks(account.id, Hooks(on_object_event=lambda _: None, pace=1.0))
    try:
        yield account
    finally:
        for aws in account.regions.values():
            aws.stop()
        remove_account(account.id)
