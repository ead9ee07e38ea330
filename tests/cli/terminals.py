"""A terminal whose commands work on a test's local cloud."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from typer.testing import CliRunner, Result

import cli.pipelines.local
from cli.main import app
from cli.pipelines.local import announced, only_local_pipeline
from cli.pipelines.up import describe
from local.local_cloud import LocalCloud

ROOT = Path(__file__).parents[2]
SCHEMAS = json.loads((ROOT / "docs" / "commands.schema.json").read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Terminal:
    """Runs commands."""

    cloud: LocalCloud

    def run(self, *words: str) -> Result:
        return CliRunner().invoke(app, [*words])

    def json(self, *words: str) -> Any:
        """The output of the command with --json, checked against its shape in docs/commands.schema.json."""
        result = self.run(*words, "--json")
        assert result.stdout, result.output
        return checked(words[0], json.loads(result.stdout))


def checked(command: str, printed: Any) -> Any:
    """The printed value, once it has the documented shape of the command's output."""
    schema = {**SCHEMAS["$defs"][command], "$defs": SCHEMAS["$defs"]}
    jsonschema.Draft202012Validator(schema).validate(printed)
    return printed


@contextmanager
def terminal(cloud: LocalCloud, state: Path) -> Iterator[Terminal]:
    """A terminal that finds the local cloud by the state file."""
    with pytest.MonkeyPatch.context() as patch, ExitStack() as running:
        patch.setattr(cli.pipelines.local, "STATE_FILE", state)
        patch.delenv("PIPELINE_STACK", raising=False)
        running.enter_context(only_local_pipeline())
        running.enter_context(announced(describe(cloud)))
        yield Terminal(cloud)
