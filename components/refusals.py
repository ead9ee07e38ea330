"""Refusals of wrong values in the stack's configuration.

A field that is filled from the stack's configuration has the key's name in snake case
(`rejected_retention_days` <- `rejectedRetentionDays`), so a refusal can name the key.
"""

from __future__ import annotations

import re

import pulumi


class ConfigError(pulumi.RunError):
    """A value the program cannot be run with; a RunError, so that the CLI shows the sentence and no traceback."""


def require(accepted: bool, field: str, value: object, wanted: str) -> None:
    """Raise ConfigError unless `accepted`; the error names the key, the value and the wanted form."""
    if not accepted:
        raise ConfigError(
            f"{config_key(field)} is {value!r}, but must be {wanted}; "
            f"correct it in Pulumi.<stack>.yaml or with `pulumi config set {config_key(field)} …`"
        )


def config_key(field: str) -> str:
    """`rejected_retention_days` -> `rejectedRetentionDays`."""
    return re.sub(r"_(.)", lambda match: match.group(1).upper(), field)
