"""The provider's clients and names, and the conversion of Pulumi's inputs for boto3."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from local.api.aws import Aws
from local.api.program_warehouse import ProgramWarehouse

Inputs = Mapping[str, Any]
Outputs = dict[str, Any]


class UnknownResource(Exception):
    """The program declares a resource, or a setting of one, that the local cloud cannot create."""


@dataclass
class MotoGaps:
    """Settings that the program declares and moto does not store; the local cloud reads them here."""

    dead_letter_of_function: dict[str, str] = field(default_factory=dict)
    """ARN of a function -> the ARN of the queue for its failed asynchronous events."""
    layers_of_function: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """ARN of a function -> the ARNs of its layers."""
    concurrency_of_mapping: dict[str, int] = field(default_factory=dict)
    """Id of an event source mapping -> the number of batches that it may handle at once."""
    jobs_with_queuing: set[str] = field(default_factory=set)
    """Glue jobs whose runs wait in Glue while MaxConcurrentRuns are running."""


@dataclass
class MotoProvider:
    """Creates resources as a Pulumi provider does: with full rights, in one account and Region."""

    aws: Aws
    warehouse: ProgramWarehouse
    gaps: MotoGaps = field(default_factory=MotoGaps)

    def client(self, service: str) -> Any:
        return self.aws.client(service)

    def arn(self, service: str, resource: str) -> str:
        return f"arn:aws:{service}:{self.aws.region}:{self.aws.account}:{resource}"


Create = Callable[[MotoProvider, str, Inputs], Outputs]
"""A function from provider, Pulumi name and inputs in camel case to the outputs that AWS would add."""


def unique_name(name: str) -> str:
    """A name with a random suffix, as Pulumi generates it where the program gives none."""
    return f"{name}-{secrets.token_hex(4)[:7]}"


def tag_list(inputs: Inputs) -> list[dict[str, str]]:
    """The resource's tags, in the form that most services take."""
    return [{"Key": key, "Value": value} for key, value in (inputs.get("tags") or {}).items()]


def whole_numbers(value: Any) -> Any:
    """The inputs with whole numbers as integers; Pulumi transfers every number as a float."""
    if isinstance(value, Mapping):
        return {key: whole_numbers(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [whole_numbers(inner) for inner in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def capitals(value: Any, *, values_as_they_are: tuple[str, ...] = ()) -> Any:
    """The inputs with keys in boto3's spelling, at every level."""
    if isinstance(value, Mapping):
        return {capital(key): inner if key in values_as_they_are else capitals(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [capitals(inner) for inner in value]
    return value


def capital(name: str) -> str:
    """`bucketName` -> `BucketName`."""
    return name[0].upper() + name[1:]
