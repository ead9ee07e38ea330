"""What the CLI hands the program: the stack's values over Pulumi.yaml's defaults.

For whoever runs the program without the CLI, so that no default stands in two places.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]


def stack_config(root: Path, stack: str) -> dict[str, str]:
    """The configuration of a stack as `pulumi.runtime.set_all_config` wants it, keys with their namespace."""
    project = _read(root / "Pulumi.yaml")
    defaults = {
        f"{project['name']}:{key}": declared["default"]
        for key, declared in project["config"].items()
        if "default" in declared
    }
    values = {**defaults, **_read(root / f"Pulumi.{stack}.yaml")["config"]}
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in values.items()}


def _read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return content
