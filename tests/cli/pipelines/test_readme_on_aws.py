"""README's commands for AWS, exactly as written, against the local cloud."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.drops.status import Phase
from cli.loads.loads import Loads
from cli.main import app
from cli.pipelines.pipeline import find_pipeline
from local.local_cloud import LocalCloud
from tests.local.local_clouds import ROOT, started

pytestmark = pytest.mark.flow
README = (ROOT / "README.md").read_text(encoding="utf-8")
PULUMI = '#!/bin/sh\ncase "$*" in "stack output "*"--stack {stack} "*) cat "{outputs}" ;; *) exit 9 ;; esac\n'
SETTLED_WITHIN_SECONDS = 500.0


def commands() -> list[list[str]]:
    """The first block of the section, one command per line."""
    section = README.partition("## On AWS")[2]
    block = re.findall(r"```console\n(.*?)```", section, re.DOTALL)[0]
    return [shlex.split(line.removeprefix("$ ")) for line in block.splitlines()]


@dataclass
class Typed:
    """Runs README's commands as a user's machine would: `pulumi up` deploys onto the local cloud."""

    folder: Path
    running: ExitStack
    config: dict[str, list[str] | str] = field(default_factory=dict)
    stack: str = ""
    cloud: LocalCloud | None = None

    def type(self, words: list[str]) -> None:
        match words:
            case ["make", target]:
                subprocess.run(["make", "-n", target], cwd=ROOT, check=True, capture_output=True)
            case ["pulumi", "stack", "init", stack]:
                self.stack = stack
            case ["pulumi", "config", "set", "--path", key, value]:
                name, at = re.fullmatch(r"(\w+)\[(\d+)\]", key).groups()  # type: ignore[union-attr]
                assert at == "0"
                self.config[name] = [value]
            case ["pulumi", "config", "set", key, value]:
                self.config[key] = value
            case ["pulumi", "up"]:
                self._up()
            case [".venv/bin/pipeline", *rest]:
                ended = CliRunner().invoke(app, rest)
                assert ended.exit_code == 0, ended.output
            case _:
                raise AssertionError(f"README has a command that this test cannot type: {words}")

    def _up(self) -> None:
        assert self.config.pop("aws:region") == "eu-west-1", "the zones of Pulumi.dev.yaml are of this Region"
        config = {name: json.dumps(value) for name, value in self.config.items()}
        config["sampleDimensions"] = "true"
        self.cloud = self.running.enter_context(
            started(self.folder, config, stack=self.stack, confirms_subscriptions=False)
        )
        # "Confirm the subscription mail while `pulumi up` still runs."
        self.cloud.confirm_subscriptions()
        outputs, program = self.folder / "outputs.json", self.folder / "bin" / "pulumi"
        outputs.write_text(json.dumps(dict(self.cloud.outputs)))
        # It knows only the stack that was deployed.
        program.write_text(PULUMI.format(stack=self.stack, outputs=outputs))
        program.chmod(0o755)


@pytest.fixture
def typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Typed]:
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=os.pathsep)
    monkeypatch.delenv("PIPELINE_STACK", raising=False)
    with ExitStack() as running:
        yield Typed(tmp_path, running)


def type_all(typed: Typed, monkeypatch: pytest.MonkeyPatch, *more: str) -> None:
    """Every command, the last one with more options."""
    *first, last = commands()
    for words in (*first, [*last, *more]):
        typed.type(words)
        if words == ["pulumi", "up"]:
            assert typed.cloud is not None
            for name, value in typed.cloud.operator_environment().items():
                monkeypatch.setenv(name, value)
    assert typed.cloud is not None
    typed.cloud.wait_until_idle(SETTLED_WITHIN_SECONDS)


def check(typed: Typed, *, days: int) -> None:
    """Two samples, two dimensions and the days are archived, and each has its mail."""
    assert typed.cloud is not None
    loads = Loads(find_pipeline("dev")).recent()
    assert [load.status.phase for load in loads] == [Phase.ARCHIVED] * (4 + days)
    assert {mail.to for mail in typed.cloud.mails()} == {"you@example.com"}
    assert len(typed.cloud.mails()) == 4 + days


@pytest.mark.slow
def test_readmes_commands_for_aws_load_a_week(typed: Typed, monkeypatch: pytest.MonkeyPatch) -> None:
    type_all(typed, monkeypatch)
    check(typed, days=7)


def test_readmes_commands_for_aws_load_a_day(typed: Typed, monkeypatch: pytest.MonkeyPatch) -> None:
    """The quick form: one day of twenty rows instead of the week, otherwise as written."""
    type_all(typed, monkeypatch, "--days", "1", "--rows", "20")
    check(typed, days=1)
