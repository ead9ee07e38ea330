"""The whole program run under Pulumi's mocks, and everything that it declared.

A test first lets every registration finish, then checks resolved values: no assertion is inside `apply`.
"""

from __future__ import annotations

import functools
import json
import runpy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any
from unittest import mock

import pulumi
from pulumi.runtime import resource, rpc
from pulumi.runtime.mocks import MockMonitor
from pulumi.runtime.proto import source_pb2

from components.stack_config import stack_config

ROOT = Path(__file__).parents[2]
PROJECT = "transactions-pipeline"
ACCOUNT = "123456789012"
REGION = "eu-west-1"
HOST = "warehouse.example.internal"
WHEEL = "transactions_pipeline-1.0.0-cp39-cp39-manylinux2014_x86_64.whl"
LARGE_WHEEL = WHEEL.replace("cp39", "cp313")

ARNS = {
    "aws:s3/bucket:Bucket": "arn:{partition}:s3:::{name}",
    "aws:iam/role:Role": "arn:{partition}:iam::{account}:role/{name}",
    "aws:sqs/queue:Queue": "arn:{partition}:sqs:{region}:{account}:{name}",
    "aws:sns/topic:Topic": "arn:{partition}:sns:{region}:{account}:{name}",
    "aws:lambda/function:Function": "arn:{partition}:lambda:{region}:{account}:function:{name}",
    "aws:cloudwatch/logGroup:LogGroup": "arn:{partition}:logs:{region}:{account}:log-group:{name}",
    "aws:cloudwatch/eventRule:EventRule": "arn:{partition}:events:{region}:{account}:rule/{name}",
    "aws:glue/job:Job": "arn:{partition}:glue:{region}:{account}:job/{name}",
    "aws:glue/connection:Connection": "arn:{partition}:glue:{region}:{account}:connection/{name}",
    "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup": "arn:{partition}:ec2:{region}:{account}:security-group/{name}",
    "aws:ec2/vpc:Vpc": "arn:{partition}:ec2:{region}:{account}:vpc/{name}",
    "aws:ec2/subnet:Subnet": "arn:{partition}:ec2:{region}:{account}:subnet/{name}",
    "aws:ec2/securityGroup:SecurityGroup": "arn:{partition}:ec2:{region}:{account}:security-group/{name}",
    "aws:redshiftserverless/workgroup:Workgroup": (
        "arn:{partition}:redshift-serverless:{region}:{account}:workgroup/{name}"
    ),
}

# Which property names a resource, where it is not `name`.
NAMED_BY = {
    "aws:s3/bucket:Bucket": "bucket",
    "aws:redshiftserverless/namespace:Namespace": "namespaceName",
    "aws:redshiftserverless/workgroup:Workgroup": "workgroupName",
    "aws:cloudwatch/dashboard:Dashboard": "dashboardName",
}


@dataclass(frozen=True)
class Resource:
    """A resource as the program declared it, its inputs resolved and in Pulumi's camel case."""

    type: str
    name: str
    chain: tuple[str, ...]
    """Types from the outermost component inwards, as a real URN spells them."""
    parent: str
    inputs: Mapping[str, Any]
    state: Mapping[str, Any]
    protect: bool
    retain_on_delete: bool
    delete_before_replace: bool
    ignore_changes: tuple[str, ...]
    replace_on_changes: tuple[str, ...]
    dependencies: frozenset[str]
    urn: str

    @property
    def kind(self) -> str:
        """`aws:s3/bucket:Bucket` -> `Bucket`."""
        return self.type.rsplit(":", 1)[1]

    @property
    def is_component(self) -> bool:
        return self.type.startswith(f"{PROJECT}:")


class _EchoAws(pulumi.runtime.Mocks):
    """An AWS that gives every resource what it asks for, and an ARN and a name where it asks for none."""

    def __init__(self, region: str, partition: str = "aws") -> None:
        self._place = {"region": region, "account": ACCOUNT, "partition": partition}

    def new_resource(self, args: pulumi.runtime.MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        named_by = NAMED_BY.get(args.typ, "name")
        name = args.inputs.get(named_by) or f"{args.name}-0a1b2c3"
        state = {**args.inputs, named_by: name}
        if args.typ in ARNS:
            state["arn"] = ARNS[args.typ].format(name=name, **self._place)
        if args.typ == "aws:sqs/queue:Queue":
            state["url"] = f"https://sqs.{self._place['region']}.amazonaws.com/{ACCOUNT}/{name}"
        if args.typ == "aws:redshiftserverless/namespace:Namespace":
            secret = "arn:{partition}:secretsmanager:{region}:{account}:secret:{name}"
            state["adminPasswordSecretArn"] = secret.format(name=name, **self._place)
        if args.typ == "aws:redshiftserverless/workgroup:Workgroup":
            state["endpoints"] = [{"address": HOST, "port": 5439}]
        if args.typ == "aws:ec2/vpcEndpoint:VpcEndpoint":
            state["prefixListId"] = "pl-6da54004"
        return f"{args.name}-id", state

    def call(self, args: pulumi.runtime.MockCallArgs) -> tuple[dict[str, Any], None]:
        raise AssertionError(f"the program may not look things up in AWS, but called {args.token}")


class _FirstPreview(_EchoAws):
    """AWS before the first `pulumi up`: what it will answer is known of no resource."""

    def new_resource(self, args: pulumi.runtime.MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        return None, dict(args.inputs)


class _Recorder(MockMonitor):
    """Keeps what the mocks' own monitor forgets: a resource's options and its whole chain of parents."""

    def __init__(self, mocks: pulumi.runtime.Mocks) -> None:
        super().__init__(mocks)
        self.recorded: list[Resource] = []
        self._chains: dict[str, tuple[str, ...]] = {}

    def make_urn(self, parent: str, type_: str, name: str) -> str:
        """The URN with its whole chain of parents, as the engine builds it; the mocks keep the last link only."""
        chain = (*self._chains.get(parent, ()), type_)
        urn = f"urn:pulumi:{pulumi.get_stack()}::{pulumi.get_project()}::{'$'.join(chain)}::{name}"
        if type_ != "pulumi:pulumi:Stack":
            self._chains[urn] = chain
        return urn

    def RegisterResource(self, request: Any) -> Any:
        response = super().RegisterResource(request)
        if request.type != "pulumi:pulumi:Stack":
            self.recorded.append(
                Resource(
                    type=request.type,
                    name=request.name,
                    chain=self._chains[response.urn],
                    parent=request.parent,
                    inputs=rpc.deserialize_properties(request.object),
                    state=self.resources[response.urn].state,
                    protect=request.protect,
                    retain_on_delete=request.retainOnDelete,
                    delete_before_replace=request.deleteBeforeReplace,
                    ignore_changes=tuple(request.ignoreChanges),
                    replace_on_changes=tuple(request.replaceOnChanges),
                    dependencies=frozenset(request.dependencies),
                    urn=response.urn,
                )
            )
        return response


@dataclass(frozen=True)
class Deployed:
    """One run of the program."""

    stack: str
    resources: tuple[Resource, ...]
    exports: Mapping[str, Any]

    def of(self, kind: str) -> list[Resource]:
        """The resources of a kind (`Bucket`), by name."""
        return sorted(
            (resource for resource in self.resources if resource.kind == kind), key=lambda resource: resource.name
        )

    def only(self, kind: str, name: str) -> Resource:
        (resource,) = (resource for resource in self.of(kind) if resource.name == name)
        return resource

    def policy_of(self, role_policy: str) -> list[dict[str, Any]]:
        """The statements granted to a role."""
        statements: list[dict[str, Any]] = json.loads(self.only("RolePolicy", role_policy).inputs["policy"])[
            "Statement"
        ]
        return statements


def run(
    program: Callable[[], Any],
    *,
    stack: str = "dev",
    config: Mapping[str, str] | None = None,
    partition: str = "aws",
    preview: bool = False,
) -> Deployed:
    """Run a Pulumi program under mocks; returns once every registration has landed."""
    config = dict(config or {})
    aws = _FirstPreview if preview else _EchoAws
    mocks = aws(config.get("aws:region", REGION), partition)
    recorder = _Recorder(mocks)
    pulumi.runtime.set_mocks(mocks, project=PROJECT, stack=stack, preview=preview, monitor=recorder)
    pulumi.runtime.set_all_config(config)
    exports: dict[str, Any] = {}

    def program_and_exports() -> pulumi.Output[Any]:
        # Pulumi keeps one stack for the whole process, with what other programs exported.
        pulumi.runtime.settings.get_root_resource().outputs.clear()
        program()
        stack_outputs = pulumi.runtime.settings.get_root_resource().outputs
        return pulumi.Output.from_input(dict(stack_outputs)).apply(exports.update)

    # Where in the program each resource was declared: no test asks, and finding it takes a seventh of a run.
    with mock.patch.object(resource, "_get_stack_trace", source_pb2.StackTrace):
        pulumi.runtime.test(program_and_exports)()
    return Deployed(stack=stack, resources=tuple(recorder.recorded), exports=exports)


@functools.cache
def _configured(stack: str) -> Mapping[str, str]:
    return MappingProxyType(stack_config(ROOT, stack))


def deploy(
    stack: str,
    wheel_directory: Path,
    without: str | None = None,
    *,
    region: str | None = None,
    partition: str = "aws",
    preview: bool = False,
    **overrides: str,
) -> Deployed:
    """Run `__main__.py` as the CLI would for a stack, some of its configuration changed or, `without`, taken away.

    In another Region the stack's zones are that Region's own.
    """
    overrides = {"wheelDirectory": str(wheel_directory), **overrides}
    if region is not None:
        overrides = {"availabilityZones": json.dumps([f"{region}{letter}" for letter in "abc"]), **overrides}
    config = _configured(stack) | {f"{PROJECT}:{key}": value for key, value in overrides.items()}
    if region is not None:
        config["aws:region"] = region
    if without is not None:
        del config[without]
    program = str(ROOT / "__main__.py")
    return run(lambda: runpy.run_path(program), stack=stack, config=config, partition=partition, preview=preview)
