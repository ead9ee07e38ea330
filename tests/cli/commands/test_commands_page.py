"""docs/commands.md is one session. Every example runs, in order, and ends with the documented exit status.

The last example of each command is typed with --json, and what it prints has the documented shape.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

import cli.pipelines.local
from cli.main import GROUPS, app, command_name
from cli.pipelines.local import find_local_pipeline
from cli.refusals import WRONG_USE, Refused
from tests.cli.terminals import SCHEMAS, checked
from tests.local.local_clouds import ROOT, transactions

PAGE = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
EXAMPLES = [
    (command.strip(), [int(status) for status in re.findall("[0-9]+", note)] or [0])
    for block in re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL)
    for command, _, note in (line.partition("  #") for line in block.splitlines())
]
COMMANDS = [command_name(member) for members in GROUPS.values() for member in members]
_UP = """
import sys
from pathlib import Path
import cli.pipelines.local, cli.pipelines.up
from cli.main import app
cli.pipelines.local.STATE_FILE, cli.pipelines.up.FOLDER = Path(sys.argv[1]), Path(sys.argv[2])
app(sys.argv[3:])
"""
_MOST_SECONDS = 300


def test_every_command_has_an_example_and_a_documented_shape() -> None:
    shown = {command.split()[2] for command, _ in EXAMPLES}
    assert shown == set(COMMANDS)
    assert set(COMMANDS) <= set(SCHEMAS["$defs"])


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the session, with the files that its commands name."""
    good = "T{number},C12345,P12345,3,2023-03-{day:02},Completed"
    (tmp_path / "till_2023-03-15.csv").write_bytes(
        transactions(good.format(number=1, day=15), "T2,C12345,P12345,none,2023-03-15,Completed")
    )
    (tmp_path / "late-rows.csv").write_bytes(transactions(good.format(number=3, day=16)))
    (tmp_path / "broken_2023-03-17.csv").write_bytes(b"")
    (tmp_path / "week").mkdir()
    (tmp_path / "tills").mkdir()
    (tmp_path / "tills" / "till_22032023.csv").write_bytes(transactions(good.format(number=22, day=22)))
    for day in (20, 21):
        (tmp_path / "week" / f"till_2023-03-{day}.csv").write_bytes(transactions(good.format(number=day, day=day)))
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PIPELINE_STACK", raising=False)
    monkeypatch.setattr(cli.pipelines.local, "STATE_FILE", tmp_path / "running.json")
    # Another test installs a wheel and checks its content. Here nothing is downloaded.
    monkeypatch.setattr(
        "cli.program.wheel._install_dependencies", lambda work, _: (work / "botocore" / "data").mkdir(parents=True)
    )
    monkeypatch.setattr("cli.commands.wheel.ROOT", tmp_path)
    return tmp_path


@pytest.fixture
def running(folder: Path) -> Iterator[list[subprocess.Popen[bytes]]]:
    """The processes of `pipeline up`; killed in the end if `pipeline down` did not stop them."""
    started: list[subprocess.Popen[bytes]] = []
    yield started
    for process in started:
        process.kill()
        process.wait()


def start(words: list[str], folder: Path) -> subprocess.Popen[bytes]:
    """Start `pipeline up`, and wait until other terminals find it."""
    with (folder / "up.log").open("wb") as log, (folder / "up.json").open("wb") as printed:
        command = [sys.executable, "-c", _UP, str(folder / "running.json"), str(folder / "up"), *words]
        process = subprocess.Popen(command, cwd=ROOT, stdout=printed, stderr=log)
    for _ in range(_MOST_SECONDS * 2):
        try:
            find_local_pipeline()
            return process
        except Refused:
            assert process.poll() is None, (folder / "up.log").read_text()
            time.sleep(0.5)
    raise AssertionError((folder / "up.log").read_text())


@pytest.mark.flow
def test_the_session_of_the_page_runs_as_it_says(folder: Path, running: list[subprocess.Popen[bytes]]) -> None:
    typed = [(shlex.split(command)[2:], statuses) for command, statuses in EXAMPLES]
    last = {words[0]: number for number, (words, _) in enumerate(typed)}
    with_shape = set()
    for number, (words, statuses) in enumerate(typed):
        is_last = last[words[0]] == number
        words = [*words, "--json"] if is_last else words
        if words[0] == "up":
            running.append(start(words, folder))
            continue
        result = CliRunner().invoke(app, words)
        assert result.exit_code in statuses, f"{words}\n{result.output}"
        if is_last and result.exit_code != WRONG_USE:
            checked(words[0], json.loads(result.stdout))
            with_shape.add(words[0])
    (up,) = running
    assert up.wait(_MOST_SECONDS) == 0
    assert "Stopped. Nothing of the local pipeline is kept." in (folder / "up.log").read_text()
    checked("up", json.loads((folder / "up.json").read_text()))
    # `prove` needs an AWS account: tests/cli/prove/test_proof_endings.py.
    assert with_shape == set(COMMANDS) - {"up", "prove"}
