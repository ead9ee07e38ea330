"""The throw-away stack on AWS, with a Pulumi CLI that only notes what it is asked."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.main import app
from cli.prove import throwaway_stack
from cli.prove.throwaway_stack import SETTINGS, PulumiStack
from cli.refusals import Failed, Refused
from components.stack_config import stack_config
from tests.local.local_clouds import ROOT

PULUMI = """#!/bin/sh
echo "$@" >> "{log}"
case "$1 $2" in
    "stack ls") echo '[{{"name": "somebody/taken"}}]' ;;
    "stack output") echo '{{"topic_arn": "arn:aws:sns:eu-west-1:123456789012:outcomes"}}' ;;
    "up --yes") case "$*" in *expect-no-changes*) echo "error: 1 change"; exit 255 ;; esac ;;
    "destroy --yes") test ! -e "{log}.stuck" || {{ echo "error: a bucket is not empty"; exit 255; }} ;;
esac
"""


@pytest.fixture
def pulumi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file in which the calls are noted."""
    log, program = tmp_path / "calls", tmp_path / "bin" / "pulumi"
    program.parent.mkdir()
    program.write_text(PULUMI.format(log=log))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)
    monkeypatch.setattr(throwaway_stack, "zones_of", lambda region: [f"{region}{letter}" for letter in "abc"])
    return log


def test_pulumi_deploys_and_destroys_a_stack_of_its_own(pulumi: Path) -> None:
    stack = PulumiStack("proof", "eu-west-1")
    stack.refuse_taken_name()
    assert stack.deploy().region == "eu-west-1"
    assert stack.changes() == "error: 1 change"
    stack.destroy()
    calls = [line.partition(" --non-interactive")[0] for line in pulumi.read_text().splitlines()]
    assert [" ".join(call.split()[:2]) for call in calls] == [
        *("stack ls", "stack init", "config set-all", "up --yes", "stack output", "up --yes", "destroy --yes"),
        "stack rm",
    ]
    settings = calls[2]
    assert "aws:region=eu-west-1" in settings
    assert "transactions-pipeline:availabilityZones[2]=eu-west-1c" in settings
    assert "transactions-pipeline:keepData=false" in settings
    assert "transactions-pipeline:warehouseRpuHoursPerDay=5" in settings
    assert all(
        "--stack proof" in line for line in pulumi.read_text().splitlines() if line.startswith(("up", "destroy"))
    )


def test_a_stack_that_pulumi_knows_is_refused(pulumi: Path) -> None:
    with pytest.raises(Refused, match="the stack taken exists; the proof destroys its stack"):
        PulumiStack("taken", "eu-west-1").refuse_taken_name()


def test_what_pulumi_cannot_destroy_is_said_in_its_words(pulumi: Path) -> None:
    Path(f"{pulumi}.stuck").touch()
    with pytest.raises(Failed, match="`pulumi destroy --yes` failed: error: a bucket is not empty"):
        PulumiStack("proof", "eu-west-1").destroy()
    assert "stack rm" not in pulumi.read_text(), "a stack that stands must not be forgotten"


def test_the_settings_are_keys_of_the_program() -> None:
    declared = stack_config(ROOT, "dev")
    assert {f"{throwaway_stack.PROJECT}:{key}" for key in SETTINGS} <= set(declared)


def test_limits_are_printed_before_it_asks(pulumi: Path) -> None:
    asked = CliRunner().invoke(app, ["prove", "--region", "eu-west-1", "--quiet"], input="n\n")
    assert asked.exit_code == 2
    assert "at most about $2" in asked.stderr
    assert "at most 20" in asked.stderr
    assert "nothing was started" in asked.stderr
    assert not pulumi.exists()
