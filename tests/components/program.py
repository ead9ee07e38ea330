"""The whole program run under Pulumi's mocks, with everything it declared at hand afterwards.

No assertion stands inside `apply`: a test looks at resolved values once every
registration has landed.
"""

from __future__ import annotations

import json
import runpy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pulumi
from pulumi.runtime import rpc
from pulumi.runtime.mocks import MockMonitor

from components.stack_config import stack_config

ROOT = Path(__file__).parents[2]
PROJECT = "transactions-pipeline"
ACCOUNT = "123456789012"
REGION = "eu-west-1"
HOST = "warehouse.example.internal"
WHEEL = "transactions_pipeline-1.0.0-cp39-cp39-manylinux2014_x86_64.whl"

ARNS = {
    "aws:s3/bucket:Bucket": "arn:aws:s3:::{name}",
    "aws:iam/role:Role": "arn:aws:iam::{account}:role/{name}",
    "aws:sqs/queue:Queue": "arn:aws:sqs:{region}:{account}:{name}",
    "aws:sns/topic:Topic": "arn:aws:sns:{region}:{account}:{name}",
    "aws:lambda/function:Function": "arn:aws:lambda:{region}:{account}:function:{name}",
    "aws:cloudwatch/logGroup:LogGroup": "arn:aws:logs:{region}:{account}:log-group:{name}",
    "aws:cloudwatch/eventRule:EventRule": "arn:aws:events:{region}:{account}:rule/{name}",
    "aws:glue/job:Job": "arn:aws:glue:{region}:{account}:job/{name}",
    "aws:glue/connection:Connection": "arn:aws:glue:{region}:{account}:connection/{name}",
    "aws:ec2/vpc:Vpc": "arn:aws:ec2:{region}:{account}:vpc/{name}",
    "aws:ec2/subnet:Subnet": "arn:aws:ec2:{region}:{account}:subnet/{name}",
    "aws:ec2/securityGroup:SecurityGroup": "arn:aws:ec2:{region}:{account}:security-group/{name}",
    "aws:redshiftserverless/workgroup:Workgroup": "arn:aws:redshift-serverless:{region}:{account}:workgroup/{name}",
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
    ignore_changes: tuple[str, ...]
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

    def new_resource(self, args: pulumi.runtime.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        named_by = NAMED_BY.get(args.typ, "name")
        name = args.inputs.get(named_by) or f"{args.name}-0a1b2c3"
        state = {**args.inputs, named_by: name}
        if args.typ in ARNS:
            state["arn"] = ARNS[args.typ].format(region=REGION, account=ACCOUNT, name=name)
        if args.typ == "aws:sqs/queue:Queue":
            state["url"] = f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/{name}"
        if args.typ == "aws:redshiftserverless/namespace:Namespace":
            state["adminPasswordSecretArn"] = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:{name}"
        if args.typ == "aws:redshiftserverless/workgroup:Workgroup":
            state["endpoints"] = [{"address": HOST, "port": 5439}]
        if args.typ == "aws:ec2/vpcEndpoint:VpcEndpoint":
            state["prefixListId"] = "pl-6da54004"
        return f"{args.name}-id", state

    def call(self, args: pulumi.runtime.MockCallArgs) -> tuple[dict[str, Any], None]:
        raise AssertionError(f"the program may not look things up in AWS, but called {args.token}")


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
                    ignore_changes=tuple(request.ignoreChanges),
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
        return sorted((found for found in self.resources if found.kind == kind), key=lambda found: found.name)

    def one(self, kind: str, name: str) -> Resource:
        (found,) = (found for found in self.of(kind) if found.name == name)
        return found

    def policy_of(self, role_policy: str) -> list[dict[str, Any]]:
        """The statements granted to a role."""
        statements: list[dict[str, Any]] = json.loads(self.one("RolePolicy", role_policy).inputs["policy"])["Statement"]
        return statements


def run(program: Callable[[], Any], *, stack: str = "dev", config: Mapping[str, str] | None = None) -> Deployed:
    """Run a Pulumi program under mocks; returns once every registration has landed."""
    mocks = _EchoAws()
    recorder = _Recorder(mocks)
    pulumi.runtime.set_mocks(mocks, project=PROJECT, stack=stack, preview=False, monitor=recorder)
    pulumi.runtime.set_all_config(dict(config or {}))
    exports: dict[str, Any] = {}

    def program_and_exports() -> pulumi.Output[Any]:
        program()
        stack_outputs = pulumi.runtime.settings.get_root_resource().outputs
        return pulumi.Output.from_input(dict(stack_outputs)).apply(exports.update)

    pulumi.runtime.test(program_and_exports)()
    return Deployed(stack=stack, resources=tuple(recorder.recorded), exports=exports)


def deploy(stack: str, wheel_directory: Path, without: str | None = None, **overrides: str) -> Deployed:
    """Run `__main__.py` as the CLI would for a stack, some of its configuration changed or, `without`, taken away."""
    overrides = {"wheelDirectory": str(wheel_directory), **overrides}
    config = stack_config(ROOT, stack) | {f"{PROJECT}:{key}": value for key, value in overrides.items()}
    if without is not None:
        del config[without]
    return run(lambda: runpy.run_path(str(ROOT / "__main__.py")), stack=stack, config=config)
