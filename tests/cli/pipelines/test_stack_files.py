"""An unusable stack file is refused with one sentence that says why."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cli.main import app
from tests.local.local_clouds import ROOT, build_wheel

pytestmark = pytest.mark.flow

GOOD = (ROOT / "Pulumi.dev.yaml").read_text(encoding="utf-8")


@pytest.fixture
def up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str | None], Any]:
    """Starts `pipeline up --config mine` in a separate checkout, with this text as its Pulumi.mine.yaml."""
    root = tmp_path / "checkout"
    root.mkdir()
    for name in ("Pulumi.yaml", "Pulumi.dev.yaml", "__main__.py"):
        shutil.copy(ROOT / name, root)
    for name in ("components", "jobs", "lambdas", "schemas", "sources"):
        (root / name).symlink_to(ROOT / name)
    build_wheel(root / "dist")
    monkeypatch.setattr("cli.pipelines.up.ROOT", root)
    monkeypatch.setattr("cli.pipelines.up.FOLDER", tmp_path / "up")
    monkeypatch.setattr("cli.pipelines.local.STATE_FILE", tmp_path / "running.json")

    def up(text: str | None) -> Any:
        if text is not None:
            (root / "Pulumi.mine.yaml").write_text(text, encoding="utf-8")
        return CliRunner().invoke(app, ["up", "--config", "mine"])

    return up


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (None, "there is no Pulumi.mine.yaml; the stacks with a file are dev"),
        ("", "Pulumi.mine.yaml is empty; "),
        ("config:\n", "Pulumi.mine.yaml has no section `config:` with keys and values; "),
        ("- a\n- b\n", "Pulumi.mine.yaml has no section `config:` with keys and values; "),
        ("config: [", "Pulumi.mine.yaml is not valid YAML: while parsing a flow node "),
        (
            f"{GOOD}\n  transactions-pipeline:quietHour: 5\n",
            "Pulumi.mine.yaml has the key transactions-pipeline:quietHour, which is unknown; "
            "did you mean transactions-pipeline:quietHours?",
        ),
        (f"{GOOD}\n  quietHours: 5\n", "Pulumi.mine.yaml has the key quietHours, which is unknown; did"),
        (GOOD.replace("aws:region: eu-west-1", ""), "Pulumi.mine.yaml has no value for aws:region; "),
        (f"{GOOD}\n  transactions-pipeline:quietHours: 900\n", "quietHours is 900, but must be from 1 to 168 hours; "),
        (f"{GOOD}\n  transactions-pipeline:quietHours: many\n", "Configuration 'transactions-pipeline:quietHours' "),
    ],
    ids=["missing", "empty", "no values", "a list", "broken", "typo", "no namespace", "no Region", "bad", "wrong type"],
)
def test_an_unusable_stack_file_is_refused_in_one_sentence(
    up: Callable[[str | None], Any], text: str | None, sentence: str
) -> None:
    ended = up(text)
    assert ended.exit_code == 2
    assert ended.stderr.startswith(f"pipeline up: {sentence}"), ended.stderr
    assert ended.stderr.count("\n") == 1
