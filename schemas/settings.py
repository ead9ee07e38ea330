"""The environment of each function: the Pulumi program writes it, the function reads it.

A setting is a text field; its variable has the field's name in capitals. A field with a default may be empty.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from typing import TypeVar

_Settings = TypeVar("_Settings")
_Value = TypeVar("_Value")


class SettingsMissing(ValueError):
    """An environment that lacks a setting; the message names it."""


@dataclass(frozen=True)
class StartRunSettings:
    drop_bucket: str
    archive_bucket: str
    work_bucket: str
    transactions_job: str
    dimensions_job: str
    queue_url: str
    topic_arn: str
    environment: str
    """The stack's name."""
    large_job: str = ""
    """The job for drops of transactions from `large_file_bytes` on; empty where the other job loads all."""
    large_file_bytes: str = "0"


@dataclass(frozen=True)
class NotifySettings:
    work_bucket: str
    drop_bucket: str
    topic_arn: str
    job_log_group: str
    environment: str
    """The stack's name."""
    warehouse: str
    """Where the tables are, as OpenLineage names it: redshift://WORKGROUP.REGION:PORT/DATABASE."""
    open_lineage_url: str = ""
    """Where lineage is sent; empty means nowhere."""


@dataclass(frozen=True)
class ArchiveSettings:
    drop_bucket: str
    archive_bucket: str
    work_bucket: str
    queue_url: str


@dataclass(frozen=True)
class SweepSettings:
    drop_bucket: str
    archive_bucket: str
    work_bucket: str
    queue_url: str
    archive_function: str
    notify_function: str
    environment: str
    """The stack's name."""


def environment_of(settings: type[object], **values: _Value) -> dict[str, _Value]:
    """The variables of a function, for exactly its settings (Pulumi's values are outputs, not yet text)."""
    names = [field.name for field in fields(settings)]  # type: ignore[arg-type]
    if sorted(values) != sorted(names):
        raise SettingsMissing(f"{settings.__name__} has {', '.join(names)}, not {', '.join(values)}")
    return {name.upper(): values[name] for name in names}


def load_settings(settings: type[_Settings], environment: Mapping[str, str]) -> _Settings:
    """The settings in a function's environment: all of them, or SettingsMissing."""
    names = [field.name for field in fields(settings)]  # type: ignore[arg-type]
    needed = [field.name for field in fields(settings) if field.default is MISSING]  # type: ignore[arg-type]
    missing = [name.upper() for name in needed if not environment.get(name.upper())]
    if missing:
        raise SettingsMissing(
            f"the function's environment lacks {', '.join(missing)}; the Pulumi program sets them, so run `pulumi up`"
        )
    return settings(**{name: environment[name.upper()] for name in names if name.upper() in environment})
