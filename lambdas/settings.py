"""How a function's settings are read from its environment: once, all of them, or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import TypeVar

from lambdas.errors import TerminalError

Settings = TypeVar("Settings")


def load_settings(settings: type[Settings], environment: Mapping[str, str]) -> Settings:
    """Fill the dataclass's text fields from the variables of the same name in capitals."""
    names = [field.name for field in fields(settings)]  # type: ignore[arg-type]
    missing = [name.upper() for name in names if not environment.get(name.upper())]
    if missing:
        raise TerminalError(
            f"the function's environment lacks {', '.join(missing)}; the Pulumi program sets them, so run `pulumi up`"
        )
    return settings(**{name: environment[name.upper()] for name in names})
