"""A command that cannot be undone asks first: Ctrl-C, no, and no answer."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.cli.screens import run_in_terminal
from tests.cli.terminals import ROOT

pytestmark = pytest.mark.flow

# As in every command that reads files, Polars is imported. Its Ctrl-C handler restarts a blocked read.
PROVE = 'import polars; from cli.main import app; app(["prove", "--region", "eu-west-1"], prog_name="pipeline")'


def test_control_c_at_a_question_ends_the_command() -> None:
    shown = run_in_terminal(
        [sys.executable, "-c", PROVE],
        lines=60,
        environment={"PYTHONPATH": str(ROOT)},
        stop_when=lambda picture: any("Start?" in line for line in picture),
    )
    assert any("Start?" in line for line in shown.lines), shown.text
    assert shown.exit_status == 130, shown.text


@pytest.mark.parametrize("answer", ["n\n", ""], ids=["no", "no answer"])
def test_without_a_yes_nothing_is_done(answer: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", PROVE], input=answer, capture_output=True, text=True, cwd=ROOT, timeout=300
    )
    assert ended.returncode == 2
    assert "nothing was done; answer y, or type the command with --yes" in ended.stderr
