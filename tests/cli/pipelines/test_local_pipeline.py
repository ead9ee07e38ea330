"""Terminals find the one local pipeline of a checkout."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from typer.testing import CliRunner

import cli.pipelines.local
from cli.main import app
from cli.pipelines.local import LocalPipeline, announced, find_local_pipeline, only_local_pipeline
from cli.refusals import Refused

LOCAL = LocalPipeline(1, {"drop_bucket": "drop"}, {"AWS_REGION": "eu-west-1"})


def test_a_local_pipeline_is_found_while_it_runs_and_never_after(tmp_path: Path) -> None:
    state = tmp_path / "running.json"
    with only_local_pipeline(state), announced(LOCAL, state):
        assert find_local_pipeline(state) == LOCAL
        assert stat.S_IMODE(state.stat().st_mode) == 0o600
    with pytest.raises(Refused, match="no local pipeline is running"):
        find_local_pipeline(state)


def test_a_second_local_pipeline_is_refused_during_deployment(tmp_path: Path) -> None:
    state = tmp_path / "running.json"
    is_refused = pytest.raises(Refused, match="another local pipeline is running")
    with only_local_pipeline(state), is_refused, only_local_pipeline(state):
        pass
    with only_local_pipeline(state):
        pass


def test_a_local_pipeline_that_deploys_is_called_starting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli.pipelines.local, "STATE_FILE", tmp_path / "running.json")
    monkeypatch.delenv("PIPELINE_STACK", raising=False)
    with only_local_pipeline():
        for command in ("down", "status"):
            refused = CliRunner().invoke(app, [command])
            assert (refused.exit_code, "is starting or stopping; wait" in refused.stderr) == (2, True), command


def test_only_a_command_with_stack_names_that_option(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli.pipelines.local, "STATE_FILE", tmp_path / "nowhere" / "running.json")
    monkeypatch.delenv("PIPELINE_STACK", raising=False)
    for command, has_stack in (("down", False), ("status", True)):
        refused = CliRunner().invoke(app, [command])
        assert (refused.exit_code, "start one with `pipeline up`" in refused.stderr) == (2, True)
        assert ("--stack" in refused.stderr) is has_stack
