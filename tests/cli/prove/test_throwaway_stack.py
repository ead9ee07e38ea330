"""The throw-away stack on AWS, with a Pulumi CLI that only records its calls."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cli.main import app
from cli.prove import steps as proof_steps
from cli.prove import throwaway_stack
from cli.prove.throwaway_stack import SETTINGS, PulumiStack, run_to_its_end
from cli.refusals import Failed, Refused
from components.refusals import ConfigError
from components.stack_config import stack_config
from tests.local.local_clouds import ROOT, WHEEL

PULUMI = """#!/bin/sh
echo "$@" >> "{log}"
case "$1 $2" in
    "stack ls") if test -e "{log}.init"; then echo '[{{"name": "proof"}}]'; else echo '[{{"name": "me/taken"}}]'; fi ;;
    "stack init") touch "{log}.init" ;;
    "stack output") echo '{{"topic_arn": "arn:aws:sns:eu-west-1:123456789012:outcomes"}}' ;;
    "up --yes") case "$*" in *expect-no-changes*) echo "error: 1 change"; exit 255 ;; esac ;;
    "destroy --yes") test ! -e "{log}.stuck" || {{ echo "error: a bucket is not empty"; exit 255; }} ;;
esac
"""


@pytest.fixture
def pulumi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that records the calls."""
    log, program = tmp_path / "calls", tmp_path / "bin" / "pulumi"
    program.parent.mkdir()
    program.write_text(PULUMI.format(log=log))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)
    monkeypatch.setattr(throwaway_stack, "zones_of", lambda region: [f"{region}{letter}" for letter in "abc"])
    monkeypatch.setattr(throwaway_stack, "tagged", lambda _client, _stack: [])
    monkeypatch.setattr(throwaway_stack, "job_wheel", lambda _folder: None)
    return log


def test_pulumi_deploys_and_destroys_a_stack_of_its_own(pulumi: Path) -> None:
    stack = PulumiStack("proof", "eu-west-1")
    stack.refuse_if_unusable()
    assert stack.deploy(timeout_seconds=600).region == "eu-west-1"
    assert stack.changes(timeout_seconds=600) == "error: 1 change"
    stack.destroy()
    calls = [line.partition(" --non-interactive")[0] for line in pulumi.read_text().splitlines()]
    assert [" ".join(call.split()[:2]) for call in calls] == [
        *("stack ls", "stack init", "config set-all", "up --yes", "stack output", "up --yes"),
        *("stack ls", "cancel --yes", "destroy --yes", "stack rm"),
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
        PulumiStack("taken", "eu-west-1").refuse_if_unusable()


def test_a_stack_of_another_pulumi_is_refused(pulumi: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    queue = "arn:aws:sqs:eu-west-1:123456789012:transactions-pipeline-proof-drops"
    monkeypatch.setattr(throwaway_stack, "tagged", lambda _client, _stack: [queue])
    with pytest.raises(Refused, match=f"{queue} in eu-west-1 belongs to a stack proof that this Pulumi does not know"):
        PulumiStack("proof", "eu-west-1").refuse_if_unusable()


def test_settings_that_the_proof_would_delete_are_refused(
    pulumi: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(throwaway_stack, "ROOT", tmp_path)
    (tmp_path / "Pulumi.proof.yaml").touch()
    with pytest.raises(Refused, match=r"Pulumi.proof.yaml exists, and the proof would delete it"):
        PulumiStack("proof", "eu-west-1").refuse_if_unusable()


@pytest.mark.parametrize(("name", "wheel", "sentence"), [("a" * 20, True, "1 to 19"), ("proof", False, "make wheel")])
def test_what_pulumi_would_refuse_later_is_refused_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, wheel: bool, sentence: str
) -> None:
    (tmp_path / "dist").mkdir()
    if wheel:
        (tmp_path / "dist" / WHEEL).touch()
    monkeypatch.setattr(throwaway_stack, "ROOT", tmp_path)
    with pytest.raises(ConfigError, match=sentence):
        PulumiStack(name, "eu-west-1").refuse_if_unusable()


def test_a_stack_that_was_never_created_is_not_destroyed(pulumi: Path) -> None:
    PulumiStack("proof", "eu-west-1").destroy()
    assert [line.split()[:2] for line in pulumi.read_text().splitlines()] == [["stack", "ls"]]


def test_what_pulumi_cannot_destroy_is_said_in_its_words(pulumi: Path) -> None:
    Path(f"{pulumi}.stuck").touch()
    Path(f"{pulumi}.init").touch()
    with pytest.raises(Failed, match="`pulumi destroy --yes` failed: error: a bucket is not empty"):
        PulumiStack("proof", "eu-west-1").destroy()
    assert "stack rm" not in pulumi.read_text(), "a stack that exists must not be forgotten"


SLOW_TO_STOP = """
import pathlib, signal, sys, time
folder = pathlib.Path(sys.argv[1])
def stop(*_):
    (folder / "asked").touch()
    time.sleep(0.5)
    (folder / "tidy").touch()
    sys.exit(1)
signal.signal(signal.SIGINT, stop)
(folder / "runs").touch()
time.sleep(600)
"""


def wait_for(path: Path) -> None:
    until = time.monotonic() + 300
    while not path.exists():
        assert time.monotonic() < until, f"{path} was not created in time"
        time.sleep(0.02)


def test_control_c_lets_pulumi_end_before_it_is_raised(tmp_path: Path) -> None:
    """A killed Pulumi would leave its lock and lose track of the resources it was creating."""

    terminal = threading.get_ident()

    def press() -> None:
        wait_for(tmp_path / "runs")
        # The signal must go to the waiting thread: raised in this thread, it would not wake the other.
        signal.pthread_kill(terminal, signal.SIGINT)

    # A shell ignores Ctrl-C for background jobs, and the tests may run as one.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    threading.Thread(target=press).start()
    try:
        with pytest.raises(KeyboardInterrupt):
            run_to_its_end([sys.executable, "-c", SLOW_TO_STOP, str(tmp_path)], timeout_seconds=300)
    finally:
        signal.signal(signal.SIGINT, before)
    assert (tmp_path / "tidy").exists()


def test_a_command_that_takes_too_long_is_asked_to_stop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    communicate = subprocess.Popen.communicate

    def once_it_runs(process: subprocess.Popen[str], *, timeout: float) -> Any:
        wait_for(tmp_path / "runs")
        return communicate(process, timeout=timeout)

    monkeypatch.setattr(subprocess.Popen, "communicate", once_it_runs)
    with pytest.raises(subprocess.TimeoutExpired):
        run_to_its_end([sys.executable, "-c", SLOW_TO_STOP, str(tmp_path)], timeout_seconds=0.1)
    assert (tmp_path / "tidy").exists()


def test_the_settings_are_keys_of_the_program() -> None:
    declared = stack_config(ROOT, "dev")
    assert {f"{throwaway_stack.PROJECT}:{key}" for key in SETTINGS} <= set(declared)


def test_limits_are_printed_before_it_asks(pulumi: Path) -> None:
    asked = CliRunner().invoke(app, ["prove", "--region", "eu-west-1", "--quiet"], input="n\n")
    assert asked.exit_code == 2
    assert "at most about $2" in asked.stderr
    assert "at most 20 minutes. Expected, not measured: 15 to 21" in asked.stderr
    assert "What is not done after 16 minutes fails" in asked.stderr
    assert "nothing was done" in asked.stderr
    assert not pulumi.exists()


def test_the_limit_of_time_can_be_raised(pulumi: Path) -> None:
    asked = CliRunner().invoke(app, ["prove", "--region", "eu-west-1", "--minutes", "40"], input="n\n")
    assert "at most 40 minutes." in asked.stderr
    assert "What is not done after 36 minutes fails" in asked.stderr


def test_a_deployment_that_takes_too_long_is_a_failure(pulumi: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, float] = {}

    def never_ends(command: list[str], *, timeout_seconds: float) -> Any:
        given[command[1]] = timeout_seconds
        if command[1] == "up":
            raise subprocess.TimeoutExpired(command, timeout_seconds)
        return run_to_its_end(command, timeout_seconds=timeout_seconds)

    monkeypatch.setattr(throwaway_stack, "run_to_its_end", never_ends)
    stack = PulumiStack("proof", "eu-west-1")
    for deploy in (stack.deploy, stack.changes):
        with pytest.raises(Failed, match="`pulumi up` did not end within 10 minutes; look at the stack proof"):
            deploy(timeout_seconds=600)
        assert given["up"] == 600
    stack.destroy()
    assert given["destroy"] > 600, "whatever was created must be destroyed"


def test_a_proof_that_is_killed_destroys_its_stack(
    pulumi: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGTERM arrives during the deployment. Afterwards the table and the exit status report it."""
    monkeypatch.setattr(PulumiStack, "deploy", lambda _, **__: signal.raise_signal(signal.SIGTERM))
    monkeypatch.setattr(proof_steps, "leftovers", lambda *_, **__: [])
    monkeypatch.setattr(proof_steps.ProofMails, "delete", lambda *_: None)
    before = [signal.getsignal(ending) for ending in (signal.SIGTERM, signal.SIGHUP)]
    Path(f"{pulumi}.init").touch()
    monkeypatch.setattr(PulumiStack, "refuse_if_unusable", lambda _: None)
    ended = CliRunner().invoke(app, ["prove", "--region", "eu-west-1", "--yes", "--out", str(tmp_path / "new")])
    assert ended.exit_code == 1
    assert [signal.getsignal(ending) for ending in (signal.SIGTERM, signal.SIGHUP)] == before
    assert "destroy --yes" in pulumi.read_text()
    [table] = (tmp_path / "new").glob("proof-*.md")
    assert "| a stack of its own is deployed | **failed** | stopped by hand |" in table.read_text()
