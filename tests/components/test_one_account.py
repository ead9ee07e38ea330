"""Stacks side by side in one account that others have used before: moto refuses what exists already."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import local.provider
from components.stack_config import stack_config
from local.aws import Aws
from local.deploy import Deployed, DeployFailed, deploy
from local.moto_hooks import Hooks, let_go, take_over
from local.program_warehouse import ProgramWarehouse
from local.provider import MotoProvider
from local.provider.context import Inputs, Outputs
from tests.components.program import PROJECT, ROOT

GLUES_LOG_GROUPS = ("/aws-glue/python-jobs/output", "/aws-glue/python-jobs/error")

Up = Callable[..., Deployed]


class _Warehouses:
    """Namespaces and workgroups by Region; moto has none."""

    def __init__(self) -> None:
        self._names: set[tuple[str, str, str]] = set()

    def create(self, kind: str, named_by: str) -> local.provider.context.Create:
        def create(provider: MotoProvider, _: str, inputs: Inputs) -> Outputs:
            name = (provider.aws.region, kind, inputs[named_by])
            if name in self._names:
                raise RuntimeError(f"ConflictException: the {kind} {inputs[named_by]} already exists")
            self._names.add(name)
            arn = provider.arn("redshift-serverless", f"{kind}/{uuid.uuid4()}")
            endpoint = {"address": "warehouse.example.internal", "port": 5439}
            return {"arn": arn, "adminPasswordSecretArn": f"{arn}-secret", "endpoints": [endpoint]}

        return create


@pytest.fixture
def up(monkeypatch: pytest.MonkeyPatch, wheel_directory: Path) -> Iterator[Up]:
    """`pulumi up` of a stack in a Region of one account in which Python Shell jobs have run before."""
    account = f"{uuid.uuid4().int % 10**12:012}"
    take_over(account, Hooks(on_object_event=lambda _: None, pace=1.0))
    warehouses = _Warehouses()
    for type_, create in {
        "aws:redshiftserverless/namespace:Namespace": warehouses.create("namespace", "namespaceName"),
        "aws:redshiftserverless/workgroup:Workgroup": warehouses.create("workgroup", "workgroupName"),
        "aws:redshiftdata/statement:Statement": lambda *_: {},
    }.items():
        monkeypatch.setitem(local.provider.CREATE, type_, create)
    running: dict[str, Aws] = {}

    def run(stack: str, region: str) -> Deployed:
        if region not in running:
            running[region] = Aws.start(account=account, region=region)
            for group in GLUES_LOG_GROUPS:
                running[region].client("logs").create_log_group(logGroupName=group)
        aws = running[region]
        config = stack_config(ROOT, stack) | {
            "aws:region": region,
            f"{PROJECT}:availabilityZones": f'["{region}a", "{region}b", "{region}c"]',
            f"{PROJECT}:wheelDirectory": str(wheel_directory),
        }
        return deploy(ROOT, MotoProvider(aws, ProgramWarehouse(aws)), stack=stack, config=config)

    yield run
    for aws in running.values():
        aws.stop()
    let_go(account)


def test_a_second_stack_and_a_second_region_stand_beside_the_first(up: Up) -> None:
    stacks = [up("dev", "eu-west-1"), up("prod", "eu-west-1"), up("dev", "us-east-2")]
    outputs: list[Any] = ["drop_bucket", "work_bucket", "archive_bucket", "dashboard"]
    for output in outputs:
        assert len({stack.outputs[output] for stack in stacks}) == 3


def test_the_same_stack_twice_is_refused(up: Up) -> None:
    """Shows that moto, and the test, would notice a name that exists already."""
    up("dev", "eu-west-1")
    with pytest.raises(DeployFailed, match="exist"):
        up("dev", "eu-west-1")
