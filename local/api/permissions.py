"""Evaluates IAM policies as AWS does: actions, resources, and the conditions that the program uses.

moto's own check compares actions only, so it ignores the resources and conditions of a
policy. An unknown condition operator is an error here, never a guess.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

# Local requests are plain HTTP; on AWS every client of the pipeline uses TLS.
_ALWAYS = {"aws:SecureTransport": "true"}


@dataclass(frozen=True)
class RequiredPermission:
    """One action on one resource that a request requires."""

    action: str
    resource: str
    context: Mapping[str, str] = field(default_factory=dict)
    """The condition keys of the request, such as `s3:prefix`, with their values."""


def allows(policies: Iterable[str], need: RequiredPermission) -> bool:
    """True when these policy documents allow the action; an explicit Deny wins."""
    effects = {
        statement["Effect"] for document in policies for statement in _statements(document) if _applies(statement, need)
    }
    return effects == {"Allow"}


def denies(document: str | None, need: RequiredPermission) -> bool:
    """True when a resource's own policy denies the action to everyone."""
    return bool(document) and any(
        statement["Effect"] == "Deny" and statement.get("Principal") == "*" and _applies(statement, need)
        for statement in _statements(str(document))
    )


def allows_service(document: str | None, *, service: str, need: RequiredPermission) -> bool:
    """True when a resource's own policy allows the action to an AWS service."""
    if not document:
        return False
    effects = {
        statement["Effect"]
        for statement in _statements(document)
        if _names(statement.get("Principal"), service) and _applies(statement, need)
    }
    return effects == {"Allow"}


def trusts(document: Mapping[str, Any] | str, service: str) -> bool:
    """True when a role's trust policy lets the service assume it."""
    text = document if isinstance(document, str) else json.dumps(document)
    return any(
        statement["Effect"] == "Allow"
        and "sts:AssumeRole" in _list(statement["Action"])
        and service in _list((statement.get("Principal") or {}).get("Service", ()))
        for statement in _statements(text)
    )


@lru_cache(maxsize=256)
def _statements(document: str) -> tuple[Mapping[str, Any], ...]:
    return tuple(_list(json.loads(document)["Statement"]))


def _applies(statement: Mapping[str, Any], need: RequiredPermission) -> bool:
    return (
        any(_like(pattern, need.action, ignore_case=True) for pattern in _list(statement["Action"]))
        and any(_like(pattern, need.resource) for pattern in _list(statement.get("Resource", "*")))
        and all(
            _holds(operator, [str(value) for value in _list(wanted)], {**_ALWAYS, **need.context}.get(key))
            for operator, conditions in statement.get("Condition", {}).items()
            for key, wanted in conditions.items()
        )
    )


def _holds(operator: str, wanted: list[str], value: str | None) -> bool:
    if operator == "ForAllValues:StringEquals":
        return value is None or value in wanted
    if value is None:
        return False
    if operator == "StringEquals":
        return value in wanted
    if operator in ("StringLike", "ArnLike"):
        return any(_like(pattern, value) for pattern in wanted)
    if operator == "Bool":
        return value.lower() in [word.lower() for word in wanted]
    raise NotImplementedError(
        f"a policy has the condition operator {operator!r}, which the local cloud cannot evaluate; "
        "add it to local/api/permissions.py"
    )


def _names(principal: Any, service: str) -> bool:
    if principal == "*":
        return True
    return isinstance(principal, Mapping) and service in _list(principal.get("Service", ()))


@lru_cache(maxsize=4096)
def _pattern(pattern: str) -> re.Pattern[str]:
    parts = {"*": ".*", "?": "."}
    return re.compile("".join(parts.get(letter, re.escape(letter)) for letter in pattern), re.DOTALL)


def _like(pattern: str, value: str, *, ignore_case: bool = False) -> bool:
    if ignore_case:
        pattern, value = pattern.lower(), value.lower()
    return _pattern(pattern).fullmatch(value) is not None


def _list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple)) else [value]
