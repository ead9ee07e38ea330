"""`pulumi up` for the local cloud: runs the program under Pulumi's mocks and creates each resource in moto."""

from __future__ import annotations

import asyncio
import runpy
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pulumi
import yaml  # type: ignore[import-untyped]

from components.stack_config import stack_config
from local.provider import MotoProvider, create

_SECRET = pulumi.runtime.rpc._special_sig_key


@dataclass(frozen=True)
class Deployed:
    """The outputs and the resources of a deployment."""

    outputs: Mapping[str, Any]
    """The stack's outputs."""
    resources: tuple[tuple[str, str], ...]
    """Type and name of every resource."""


class DeployFailed(Exception):
    """The program could not be deployed; the message names the resource and the reason."""


def config_of(root: Path, stack: str, overrides: Mapping[str, str]) -> dict[str, str]:
    """The stack's configuration from its files, with some keys of the program overridden."""
    project = pulumi_project(root)
    return stack_config(root, stack) | {f"{project}:{key}": value for key, value in overrides.items()}


def pulumi_project(root: Path) -> str:
    return str(yaml.safe_load((root / "Pulumi.yaml").read_text(encoding="utf-8"))["name"])


def deploy(
    root: Path,
    provider: MotoProvider,
    *,
    stack: str,
    config: Mapping[str, str],
    on_resource: Callable[[int], None] = lambda _: None,
) -> Deployed:
    """Run `__main__.py` as `pulumi up` would for a stack; returns once all resources exist. Raises DeployFailed.

    After each new resource, `on_resource` is called with the number of resources.
    """
    mocks = _Moto(provider, on_resource)
    pulumi.runtime.set_mocks(mocks, project=pulumi_project(root), stack=stack, preview=False)
    pulumi.runtime.set_all_config(dict(config))
    outputs: dict[str, Any] = {}

    def program() -> pulumi.Output[Any]:
        # Resources that depend on a failed one fail, too. asyncio would log each of those errors.
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)
        runpy.run_path(str(root / "__main__.py"))
        stack_resource: Any = pulumi.runtime.settings.get_root_resource()
        return pulumi.Output.from_input(dict(stack_resource.outputs)).apply(outputs.update)

    try:
        pulumi.runtime.test(program)()  # type: ignore[no-untyped-call]
    except Exception:
        # Pulumi wraps the first error in the errors of dependent resources.
        if mocks.failure is not None:
            raise DeployFailed(mocks.failure[0]) from mocks.failure[1]
        raise
    if mocks.failure is not None:
        raise DeployFailed(mocks.failure[0]) from mocks.failure[1]
    return Deployed(outputs, tuple(mocks.created))


class _Moto(pulumi.runtime.Mocks):
    def __init__(self, provider: MotoProvider, on_resource: Callable[[int], None]) -> None:
        self._provider = provider
        self._on_resource = on_resource
        self._lock = threading.Lock()
        self.created: list[tuple[str, str]] = []
        self.failure: tuple[str, Exception] | None = None

    def new_resource(self, args: pulumi.runtime.MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        if not args.custom:
            return "", dict(args.inputs)
        try:
            made = create(self._provider, args.typ, args.name, _disclosed(args.inputs))
        except Exception as error:
            with self._lock:
                self.failure = self.failure or (f"{args.typ} {args.name!r} was not created: {error}", error)
            raise
        with self._lock:
            self.created.append((args.typ, args.name))
            self._on_resource(len(self.created))
        return made

    def call(self, args: pulumi.runtime.MockCallArgs) -> tuple[dict[str, Any], list[tuple[str, str]] | None]:
        raise DeployFailed(f"the program must not look anything up in AWS, but it called {args.token}")


def _disclosed(value: Any) -> Any:
    """The inputs, with Pulumi's secrets in plain text."""
    if isinstance(value, dict):
        if _SECRET in value:
            return _disclosed(value["value"])
        return {key: _disclosed(inner) for key, inner in value.items()}
    return [_disclosed(inner) for inner in value] if isinstance(value, list) else value
