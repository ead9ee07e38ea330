"""Parts of an ARN (account, partition, Region), so that the program need not ask AWS for its own account."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any

import pulumi


def account_of(arn: pulumi.Input[str]) -> pulumi.Output[str]:
    """The account in an ARN; empty in a bucket's.

    The account is the same for every resource, so the output does not depend on the resource it is read from.
    Otherwise a protected resource would prevent dependents from being destroyed.
    """
    account = pulumi.Output.from_input(arn).apply(lambda text: text.split(":")[4])
    # The value of a known output is never None.
    return pulumi.Output(set(), account.future(), _Asked(account.is_known), _Asked(account.is_secret))  # type: ignore[arg-type]


class _Asked(Awaitable[bool]):
    """Starts its coroutine only when it is awaited: if the value is unavailable, Pulumi never awaits the rest."""

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
