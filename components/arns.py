"""Parts of an ARN (account, partition, Region), so that the program need not ask AWS for its own account."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any

import pulumi


def account_of(arn: pulumi.Input[str]) -> pulumi.Output[str]:
    """The account in an ARN; empty in a bucket's.

    It is the same for every resource, so nothing depends on the resource that it is read from: what is protected
    would otherwise keep it from being destroyed.
    """
    account = pulumi.Output.from_input(arn).apply(lambda text: text.split(":")[4])
    # Nobody who waits for an output that is known gets None.
    return pulumi.Output(set(), account.future(), _Asked(account.is_known), _Asked(account.is_secret))  # type: ignore[arg-type]


class _Asked(Awaitable[bool]):
    """Asks only once it is awaited: where the value cannot be had, Pulumi never comes to await the rest."""

    def __init__(self, ask: Callable[[], Coroutine[Any, Any, bool]]) -> None:
        self._ask = ask

    def __await__(self) -> Generator[Any, Any, bool]:
        return self._ask().__await__()


def sibling(arn: pulumi.Input[str], service: str, resource: str) -> pulumi.Output[str]:
    """The ARN of another resource in the partition, Region and account of `arn`."""

    def build(text: str) -> str:
        partition, _, region, account = text.split(":")[1:5]
        return f"arn:{partition}:{service}:{region}:{account}:{resource}"

    return pulumi.Output.from_input(arn).apply(build)
