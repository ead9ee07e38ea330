"""Every error ends in one sentence and an exit status."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError, NoRegionError
from typer.testing import CliRunner

from cli.invocation import Invocation, command
from cli.main import app
from cli.refusals import Failed, Refused, explain


def client_error(code: str, message: str = "no") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message, "BucketName": "shop"}}, "PutObject")


def raise_from(inner: Exception) -> RuntimeError:
    """A library's error, with the error that has the sentence as its cause."""
    outer = RuntimeError("it went wrong somewhere")
    outer.__cause__ = inner
    return outer


@pytest.mark.parametrize(
    ("error", "sentence", "status"),
    [
        (Refused("name a folder"), "name a folder", 2),
        (Failed("it was not loaded"), "it was not loaded", 1),
        (raise_from(Refused("name a folder")), "name a folder", 2),
        (PermissionError(errno.EACCES, "Permission denied", "/x"), "/x: permission denied; change its permissions", 2),
        (OSError(errno.ENOSPC, "No space left on device", "/x"), "/x: no space left on device; free some space", 2),
        (OSError(errno.ENOSPC, "No space left on device"), "the disk is full; free some space", 2),
        (OSError("No space left on device (os error 28)"), "the disk is full; free some space", 2),
        (FileNotFoundError(errno.ENOENT, "No such file or directory", "a.csv"), "a.csv: no such file", 2),
        (NoCredentialsError(), "AWS cannot be reached: Unable to locate credentials; sign in", 2),
        (NoRegionError(), "no AWS Region is set", 2),
        (client_error("NoSuchBucket"), "the bucket 'shop' does not exist; check its name", 2),
        (client_error("AccessDenied"), "PutObject is forbidden (no); ask for the right", 2),
        (client_error("ExpiredToken"), "your AWS session has expired; sign in again", 2),
        (client_error("InternalError", "try later"), "AWS refused PutObject: InternalError: try later", 1),
        (EndpointConnectionError(endpoint_url="http://x"), "AWS did not answer: Could not connect", 1),
        (KeyError("gone"), "this is a fault of the program: KeyError: 'gone'; run the command again with --debug", 1),
    ],
    ids=lambda value: f"{value!r}"[:40],
)
def test_an_error_has_its_sentence_and_status(error: Exception, sentence: str, status: int) -> None:
    explained = explain(error)
    assert (explained[0].startswith(sentence), explained[1]) == (True, status), explained
    assert "\n" not in explained[0]


@pytest.fixture
def fail() -> Callable[..., Any]:
    """Runs a command that raises an error."""

    def fail(error: BaseException, *options: str) -> Any:
        small = typer.Typer()

        @small.command()
        @command()
        def broken(invocation: Invocation) -> None:
            raise error

        return CliRunner().invoke(small, [*options])

    return fail


def test_a_traceback_is_shown_with_debug_alone(fail: Callable[..., Any]) -> None:
    plain = fail(ZeroDivisionError("by zero"))
    assert (plain.exit_code, plain.stderr.count("\n"), "Traceback" in plain.output) == (1, 1, False)
    debug = fail(ZeroDivisionError("by zero"), "--debug")
    assert "Traceback" in debug.stderr
    assert debug.stderr.splitlines()[-1] == plain.stderr.strip()


def test_ctrl_c_ends_with_stopped_and_130(fail: Callable[..., Any]) -> None:
    ended = fail(KeyboardInterrupt())
    assert (ended.exit_code, ended.stderr) == (130, "Stopped.\n")


def fake_pulumi(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Make a short shell script the only `pulumi` on the PATH."""
    (folder / "pulumi").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "pulumi").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/bin:/usr/bin")


@pytest.mark.parametrize(
    ("script", "sentence"),
    [
        ("echo \"error: no stack named 'prod' found\" >&2; exit 255", "no stack named 'prod' found"),
        ("exit 1", "it gave no reason"),
        ("echo nonsense", "are not a JSON object, but 'nonsense\\n'"),
        ("echo '{}'", "the stack 'prod' has no outputs; deploy it with `pulumi up --stack prod`"),
        ('echo \'{"drop_bucket": "b"}\'', "has no output topic_arn, which names its Region"),
    ],
)
def test_a_stack_that_cannot_be_read_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, sentence: str
) -> None:
    fake_pulumi(tmp_path, monkeypatch, script)
    ended = CliRunner().invoke(app, ["replay", "2023-03-15", "--stack", "prod"])
    assert (ended.exit_code, sentence in ended.stderr, ended.stderr.count("\n")) == (2, True, 1), ended.stderr


@pytest.mark.parametrize("how", ["option", "variable"])
def test_without_the_pulumi_cli_a_stack_is_refused(how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("PIPELINE_STACK", raising=False)
    words = ["status", "--stack", "shop"] if how == "option" else ["status"]
    if how == "variable":
        monkeypatch.setenv("PIPELINE_STACK", "shop")
    refused = CliRunner().invoke(app, words)
    assert refused.exit_code == 2
    assert "the stack 'shop' needs the Pulumi CLI" in refused.stderr
    assert "leave out --stack and unset PIPELINE_STACK" in refused.stderr


def test_without_a_local_pipeline_or_a_stack_a_command_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cli.pipelines.local.STATE_FILE", tmp_path / "running.json")
    ended = CliRunner().invoke(app, ["replay", "2023-03-15"])
    assert (ended.exit_code, ended.stderr.startswith("pipeline replay: no local pipeline is running;")) == (2, True)


def test_a_state_file_that_a_killed_pipeline_left_names_no_pipeline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = tmp_path / "running.json"
    monkeypatch.setattr("cli.pipelines.local.STATE_FILE", state)
    # An ended process's id may be in use again. Our own id certainly belongs to a running process.
    state.write_text(json.dumps({"pid": os.getpid(), "outputs": {}, "environment": {}}))
    ended = CliRunner().invoke(app, ["replay", "2023-03-15"])
    assert (ended.exit_code, "no local pipeline is running" in ended.stderr) == (2, True)


@pytest.mark.parametrize("form", [[], ["--json"]], ids=["text", "json"])
def test_a_reader_that_leaves_does_not_turn_a_failure_into_success(tmp_path: Path, form: list[str]) -> None:
    """`pipeline check FILE | head -1` with pipefail."""
    file = tmp_path / "till_2023-03-15.csv"
    file.write_bytes(b"transaction_id\n")
    reading, writing = os.pipe()
    os.close(reading)
    words = ["check", str(file), *form]
    program = f"from cli.main import app; app({words!r})"
    ended = subprocess.run([sys.executable, "-c", program], stdout=writing, stderr=subprocess.PIPE, check=False)
    os.close(writing)
    assert (ended.returncode, ended.stderr) == (1, b"")
