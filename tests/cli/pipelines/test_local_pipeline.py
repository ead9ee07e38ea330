"""Every terminal finds the one local pipeline of a checkout."""

from __future__ import annotations

import os
import signal
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

import cli.pipelines.local
import cli.pipelines.up
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


def test_a_function_that_a_stop_kills_is_no_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def start(*_: object, on_warning: Callable[[str], None], **__: object) -> Iterator[Any]:
        on_warning("killed by a fault")
        yield SimpleNamespace(outputs={}, aws=SimpleNamespace(url="http://local"), operator_environment=environment)
        on_warning("killed by the stop")

    def environment() -> dict[str, str]:
        return {"AWS_ENDPOINT_URL": "http://local", "AWS_REGION": "eu-west-1"}

    def stop(*_: object) -> SimpleNamespace:
        os.kill(os.getpid(), signal.SIGTERM)
        return SimpleNamespace()

    monkeypatch.setattr(cli.pipelines.local, "STATE_FILE", tmp_path / "running.json")
    monkeypatch.setattr(cli.pipelines.up, "FOLDER", tmp_path / "up")
    monkeypatch.setattr(cli.pipelines.up.LocalCloud, "start", start)
    monkeypatch.setattr(cli.pipelines.up, "Progress", stop)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        ended = CliRunner().invoke(app, ["up"])
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    assert ended.exit_code == 0, ended.output
    assert "warning: killed by a fault" in ended.output
    assert "killed by the stop" not in ended.output
