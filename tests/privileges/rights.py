"""A role's policy taken apart into the single rights it grants, and put together again without one of them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from local.api.permissions import RequiredPermission, allows


@dataclass(frozen=True, order=True)
class Right:
    """One action on one resource, for one value of its condition where it has one."""

    action: str
    resource: str
    condition: str
    """As JSON; empty for none."""

    def __str__(self) -> str:
        return f"{self.action} on {self.resource}" + (f" where {self.condition}" if self.condition else "")

    def covers(self, need: RequiredPermission) -> bool:
        return allows([document_of([self])], need)


def rights_of(document: str) -> list[Right]:
    """Every right that a policy document grants."""
    return [
        Right(action, resource, condition)
        for statement in json.loads(document)["Statement"]
        for action in statement["Action"]
        for resource in statement["Resource"]
        for condition in _conditions(_allowing(statement).get("Condition"))
    ]


def document_of(rights: Iterable[Right]) -> str:
    """A policy document that grants these rights and no others."""
    statements = [
        {
            "Effect": "Allow",
            "Action": [right.action],
            "Resource": [right.resource],
            **({"Condition": json.loads(right.condition)} if right.condition else {}),
        }
        for right in rights
    ]
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


def _allowing(statement: dict[str, Any]) -> dict[str, Any]:
    assert statement["Effect"] == "Allow", "what a role may not is what no statement of its policy allows"
    return statement


def _conditions(condition: dict[str, Any] | None) -> list[str]:
    if condition is None:
        return [""]
    ((operator, tests),) = condition.items()
    ((key, values),) = tests.items()
    return [json.dumps({operator: {key: [value]}}) for value in values]
