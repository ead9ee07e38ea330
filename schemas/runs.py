"""The arguments of a Glue run: encoded and decoded side by side.

A run gets two sets of arguments. The job's definition fixes those of `JobArguments`
(Pulumi sets them, no run can override them); each run brings those of `RunArguments`.
Every name begins with `--pipeline-`: Glue's own wrapper shares the command line, and
Python's argparse takes `--job` for an abbreviation of `--job-language`.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from typing import TypeVar

from schemas.drops import Drop

PROCESS_TRANSACTIONS = "process_transactions"
PROCESS_TRANSACTIONS_LARGE = "process_transactions_large"
"""The same for large files: their rows are validated on many workers, which Spark starts."""
LOAD_DIMENSIONS = "load_dimensions"
JOBS = (PROCESS_TRANSACTIONS, PROCESS_TRANSACTIONS_LARGE, LOAD_DIMENSIONS)

OUTPUT_LOG_GROUP = "/aws-glue/python-jobs/output"
"""Glue's log group for the output of every Python Shell job of an account; a run's stream has the run's id.

The first run creates the group, so no stack owns it; docs/aws.md describes how to set its retention.
"""
ERROR_LOG_GROUP = "/aws-glue/python-jobs/error"
"""Glue's log group for the messages of its installer, and for tracebacks."""
SPARK_OUTPUT_LOG_GROUP = "/aws-glue/jobs/output"
"""The same for runs on Spark, tracebacks included; the names of a run's streams begin with the run's id.

https://docs.aws.amazon.com/glue/latest/dg/monitor-continuous-logging.html
"""
SPARK_ERROR_LOG_GROUP = "/aws-glue/jobs/error"
"""Glue's log group for the messages of Spark itself."""


def runs_on_spark(job_name: str) -> bool:
    """True for the name in Glue of the job PROCESS_TRANSACTIONS_LARGE, in any stack."""
    return job_name.replace("-", "_").endswith(PROCESS_TRANSACTIONS_LARGE)


LOAD = "load"
"""Load the drop, for the first time or again."""
FLOW_IN = "flow_in"
"""Load only the drop's rows that waited for a dimension."""
RETRACT = "retract"
"""Take the load back."""
PLAN = "plan"
"""Compute what a load of the drop would change, and roll it back."""
OPERATIONS = (LOAD, FLOW_IN, RETRACT, PLAN)

ADD = "add"
"""Every upload of a key counts."""
REPLACE = "replace"
"""Only the newest upload of a key counts."""
SAME_KEY = (ADD, REPLACE)

_PREFIX = "--pipeline-"
_Value = TypeVar("_Value")


class UnreadableArguments(ValueError):
    """Arguments without the form defined here; the message names the argument."""


@dataclass(frozen=True)
class JobArguments:
    """The arguments that the job's definition fixes, all of them text."""

    job: str
    """One of JOBS."""
    work_bucket: str
    workgroup: str
    host: str
    port: str
    database: str
    account_id: str
    region: str
    copy_role_arn: str
    """The role that Redshift assumes for COPY and UNLOAD."""
    max_reject_ratio: str
    """A number from 0 to 1: a load fails when a larger share of its rows is rejected."""
    amount_classes: str
    """See schemas.amount_classes."""
    source_settings: str
    """The output of `schemas.sources.SourceSettings.to_argument`."""
    warehouse_lock_seconds: str = "300"
    """How long a load waits for the loads before it."""
    warehouse_statement_seconds: str = "1800"
    """How long one statement of a load may take; a load of many rows gets more."""
    keep_history: str = "true"
    """"true" or "false": whether every row that a load staged is kept; a load can be taken back only then."""
    same_key: str = ADD
    """One of SAME_KEY."""
    orphan_days: str = "30"
    """The number of days that a row waits for a customer or product that the dimensions lack."""


def encode_job_arguments(values: Mapping[str, _Value]) -> dict[str, _Value]:
    """Argument name -> value, for the fields of JobArguments (Pulumi's values are outputs, not yet text).

    A field with a default may be left out. Raises UnreadableArguments for any other set of names.
    """
    names = _names(JobArguments)
    if not set(_required(JobArguments)) <= set(values) <= set(names):
        raise UnreadableArguments(f"the job's arguments are {', '.join(names)}, not {', '.join(values)}")
    return {argument_name(name): values[name] for name in names if name in values}


def decode_job_arguments(arguments: Mapping[str, str]) -> JobArguments:
    """The arguments that `encode_job_arguments` wrote; raises UnreadableArguments naming those that are missing."""
    missing = [name for name in map(argument_name, _required(JobArguments)) if name not in arguments]
    if missing:
        raise UnreadableArguments(f"the arguments {', '.join(missing)} are missing")
    names = [name for name in _names(JobArguments) if argument_name(name) in arguments]
    return JobArguments(**{name: arguments[argument_name(name)] for name in names})


@dataclass(frozen=True)
class ArchivedCopy:
    """The copy of a drop in the archive: one version of an object."""

    bucket: str
    key: str
    version_id: str


@dataclass(frozen=True)
class RunArguments:
    """The drop of a run, the number of the attempt, and its operation."""

    drop: Drop
    attempt: int
    operation: str = LOAD
    """One of OPERATIONS."""
    archived: ArchivedCopy | None = None
    """The copy to read when the drop has left the drop bucket."""

    def encode(self) -> dict[str, str]:
        """Argument name -> value. Keys are base64url: they may hold any character, and Glue documents no quoting
        rules."""
        arguments = {
            argument_name("bucket"): self.drop.bucket,
            argument_name("key_base64"): _to_base64(self.drop.key),
            argument_name("version_id"): self.drop.version_id,
            argument_name("attempt"): str(self.attempt),
        }
        if self.operation != LOAD:
            arguments[argument_name("operation")] = self.operation
        if self.archived is not None:
            arguments[argument_name("archived_bucket")] = self.archived.bucket
            arguments[argument_name("archived_key_base64")] = _to_base64(self.archived.key)
            arguments[argument_name("archived_version_id")] = self.archived.version_id
        return arguments

    @classmethod
    def decode(cls, arguments: Mapping[str, str]) -> RunArguments:
        """The arguments that `encode` wrote; raises UnreadableArguments for any others."""
        try:
            drop = Drop(
                arguments[argument_name("bucket")],
                _from_base64(arguments[argument_name("key_base64")]),
                arguments[argument_name("version_id")],
            )
            attempt = int(arguments[argument_name("attempt")])
            archived = None
            if argument_name("archived_version_id") in arguments:
                archived = ArchivedCopy(
                    arguments[argument_name("archived_bucket")],
                    _from_base64(arguments[argument_name("archived_key_base64")]),
                    arguments[argument_name("archived_version_id")],
                )
        except KeyError as reason:
            raise UnreadableArguments(f"the argument {reason.args[0]} is missing") from None
        except (binascii.Error, ValueError) as reason:
            raise UnreadableArguments(f"the arguments of the run cannot be read: {reason}") from None
        operation = arguments.get(argument_name("operation"), LOAD)
        if operation not in OPERATIONS:
            raise UnreadableArguments(
                f"the argument {argument_name('operation')} is {operation!r}, not one of {', '.join(OPERATIONS)}"
            )
        return cls(drop, attempt, operation, archived)


def decode_run(arguments: Mapping[str, str] | None) -> RunArguments | None:
    """The arguments of a run that loads a drop; None for a run that was started for something else, as a plan is."""
    try:
        decoded = RunArguments.decode(arguments or {})
    except UnreadableArguments:
        return None
    return None if decoded.operation == PLAN else decoded


def read_command_line(argv: Sequence[str]) -> dict[str, str]:
    """Our arguments on a Glue command line, by name; Glue's own flags between them are skipped.

    Raises UnreadableArguments where one of ours has no value.
    """
    arguments: dict[str, str] = {}
    tokens = iter(argv)
    for token in tokens:
        if not token.startswith(_PREFIX):
            continue
        name, separator, value = token.partition("=")
        if not separator:
            following = next(tokens, None)
            if following is None:
                raise UnreadableArguments(f"the argument {name} has no value")
            value = following
        arguments[name] = value
    return arguments


def argument_name(field: str) -> str:
    """`work_bucket` -> `--pipeline-work-bucket`."""
    return _PREFIX + field.replace("_", "-")


def _to_base64(key: str) -> str:
    return base64.urlsafe_b64encode(key.encode("utf-8")).decode("ascii")


def _from_base64(text: str) -> str:
    return base64.urlsafe_b64decode(text.encode("ascii")).decode("utf-8")


def _names(arguments: type) -> list[str]:
    return [field.name for field in fields(arguments)]


def _required(arguments: type) -> list[str]:
    return [field.name for field in fields(arguments) if field.default is MISSING]
