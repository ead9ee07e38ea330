"""Terminals find the one local pipeline of a checkout."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

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
    with only_local_pipeline(state):
        with pytest.raises(Refused, match="another local pipeline is running"), only_local_pipeline(state):
            pass
        with pytest.raises(Refused, match="no local pipeline is running"):
            find_local_pipeline(state)
    with only_local_pipeline(state):
        pass
