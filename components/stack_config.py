"""The configuration that the Pulumi CLI gives the program: the stack's values over Pulumi.yaml's defaults.

Programs that run without that CLI read both files here, so that each default has one place.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]


class StackConfigError(ValueError):
    """A stack's file cannot be used; the message says which, why, and what to do."""


def stack_config(root: Path, stack: str) -> dict[str, str]:
    """The configuration of a stack as `pulumi.runtime.set_all_config` wants it, keys with their namespace.

    Raises StackConfigError for a file that is missing, empty or broken, and for an undeclared key.
    """
    project = _read(root / "Pulumi.yaml")
    declared = {f"{project['name']}:{key}": description for key, description in project["config"].items()}
    defaults = {key: description["default"] for key, description in declared.items() if "default" in description}
    path = root / f"Pulumi.{stack}.yaml"
    own = _stack_values(path)
    _refuse_unknown_keys(path, own, project["name"], list(declared))
    missing = [key for key in ("aws:region", *declared) if key not in defaults and key not in own]
    if missing:
        raise StackConfigError(f"{path.name} has no value for {', '.join(missing)}; Pulumi.yaml describes each key")
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in {**defaults, **own}.items()}


def _stack_values(path: Path) -> Mapping[str, Any]:
    if not path.is_file():
        known = sorted(other.name.split(".")[1] for other in path.parent.glob("Pulumi.*.yaml"))
        raise StackConfigError(f"there is no {path.name}; the stacks with a file are {', '.join(known) or 'none'}")
    content = _read(path)
    if not content:
        raise StackConfigError(f"{path.name} is empty; give it a section `config:` as Pulumi.dev.yaml has one")
    values = content.get("config") if isinstance(content, dict) else None
    if not isinstance(values, dict):
        raise StackConfigError(f"{path.name} has no section `config:` with keys and values; see Pulumi.dev.yaml")
    return values


def _refuse_unknown_keys(path: Path, values: Mapping[str, Any], project: str, declared: list[str]) -> None:
    """Pulumi ignores an unknown key, so with a mistyped key the default would stay in force."""
    for key in values:
        namespace = str(key).partition(":")[0]
        if key in declared or namespace in ("aws", "pulumi"):
            continue
        close = difflib.get_close_matches(f"{project}:{str(key).rpartition(':')[2]}", declared, n=1)
        hint = f"did you mean {close[0]}?" if close else "Pulumi.yaml lists all keys"
        raise StackConfigError(f"{path.name} has the key {key}, which is unknown; {hint}")


def _read(path: Path) -> Any:
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise StackConfigError(f"{path.name} is not valid YAML: {' '.join(str(error).split())}") from error
