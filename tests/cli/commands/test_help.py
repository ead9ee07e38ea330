"""`--help` of every command appears at once, because it imports nothing heavy."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from cli.main import GROUPS, app, command_name
from jobs import __version__

COMMANDS = [command_name(member) for members in GROUPS.values() for member in members]
HEAVY = {"boto3", "botocore", "moto", "mock_data", "numpy", "polars", "pulumi", "pyarrow", "rich.live", "sqlglot"}

_SHOW_MODULES = """
import sys
from cli.main import app
try:
    app({arguments!r})
except SystemExit:
    print("\\nMODULES", *sys.modules)
"""


@pytest.mark.parametrize("command", [[], *([name] for name in COMMANDS)], ids=" ".join)
def test_help_imports_nothing_heavy(command: list[str]) -> None:
    program = _SHOW_MODULES.format(arguments=[*command, "-h"])
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    shown, _, modules = ended.stdout.partition("\nMODULES")
    assert shown.startswith("Usage: ")
    assert HEAVY & set(modules.split()) == set()


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_the_shared_options(name: str) -> None:
    shown = CliRunner().invoke(app, [name, "--help"]).output
    assert [option for option in ("--json", "-q", "--debug", "-h") if option not in shown] == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_completes_every_command(shell: str) -> None:
    asks = {
        "_PIPELINE_COMPLETE": f"complete_{shell}",
        "COMP_WORDS": "pipeline ",
        "COMP_CWORD": "1",
        "_TYPER_COMPLETE_ARGS": "pipeline ",
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
    }
    program = "from cli.main import app; app(prog_name='pipeline')"
    ended = subprocess.run([sys.executable, "-c", program], env=asks, capture_output=True, text=True, check=False)
    assert set(COMMANDS) - set(re.findall(r"[a-z]+", ended.stdout)) == set()


def test_the_version_is_that_of_the_job() -> None:
    assert CliRunner().invoke(app, ["--version"]).output == f"pipeline {__version__}\n"


def test_a_mistyped_command_is_wrong_use_and_the_right_one_is_named() -> None:
    ended = CliRunner().invoke(app, ["repaly"])
    assert (ended.exit_code, "Did you mean 'replay'?" in ended.output) == (2, True)
