"""The resources that the Pulumi program declares for a stack, found by running it under Pulumi's mocks."""

from __future__ import annotations

import runpy
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pulumi

from components.stack_config import stack_config
from local.deploy import pulumi_project

_ACCOUNT = "123456789012"


@dataclass(frozen=True)
class Resource:
    """A resource with the inputs that the program gives it, in Pulumi's camel case."""

    type: str
    """The resource's type, such as `aws:cloudwatch/metricAlarm:MetricAlarm`."""
    inputs: Mapping[str, Any]


def declared_resources(root: Path, stack: str) -> tuple[list[Resource], str]:
    """Every resource of the stack, and its Region. Raises StackConfigError or pulumi.RunError."""
    config = stack_config(root, stack)
    mocks = _Recorder(config["aws:region"])
    pulumi.runtime.set_mocks(mocks, project=pulumi_project(root), stack=stack, preview=False)
    pulumi.runtime.set_all_config(config)
    pulumi.runtime.test(lambda: _run(root))()  # type: ignore[no-untyped-call]
    return mocks.resources, config["aws:region"]


def _run(root: Path) -> None:
    runpy.run_path(str(root / "__main__.py"))


class _Recorder(pulumi.runtime.Mocks):
    """Mocks that record every resource and return its inputs and a made-up ARN as outputs."""

    def __init__(self, region: str) -> None:
        self._region = region
        self._lock = threading.Lock()
        self.resources: list[Resource] = []

    def new_resource(self, args: pulumi.runtime.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        if args.custom:
            with self._lock:
                self.resources.append(Resource(args.typ, dict(args.inputs)))
        arn = f"arn:aws:mock:{self._region}:{_ACCOUNT}:{args.name}"
        state = {
            "name": args.name,
            "bucket": args.name,
            "arn": arn,
            "url": f"https://mock/{args.name}",
            "prefixListId": "pl-00000000",
            "adminPasswordSecretArn": arn,
            "endpoints": [{"address": "warehouse.example.internal", "port": 5439}],
        }
        return f"{args.name}-id", {**state, **args.inputs}

    def call(self, args: pulumi.runtime.MockCallArgs) -> tuple[dict[str, Any], None]:
        raise pulumi.RunError(f"the program may not look things up in AWS, but called {args.token}")
