"""Ctrl-C ends a watch or a wait, and the command says which work continues."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

import cli.backfill.batches
import cli.drops.uploads
import cli.pipelines.pipeline
import cli.pipelines.statements
import cli.pipelines.status
from cli.main import app
from cli.pipelines.statements import Result
from cli.refusals import Failed
from schemas.drops import Drop

PIPELINE = SimpleNamespace(look_seconds=0, stack_option=" --stack prod", client=lambda _: None)


@pytest.fixture(autouse=True)
def interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Uploads go nowhere, and Ctrl-C is typed at every wait."""

    def wait(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli.pipelines.pipeline, "find_pipeline", lambda _: PIPELINE)
    monkeypatch.setattr(cli.drops.uploads, "refuse_unversioned", lambda _: None)
    monkeypatch.setattr(cli.drops.uploads, "upload", lambda _, path, key: Drop("bucket", key, path.name))
    monkeypatch.setattr(cli.drops.uploads, "wait_until_settled", wait)
    run = SimpleNamespace(left=[], files=[], run=wait)
    monkeypatch.setattr(cli.backfill.batches, "BackfillRun", lambda *_, **__: run)


@pytest.mark.parametrize(
    ("names", "words", "sentence"),
    [
        (["till_2023-03-15.csv"], ["drop", "--wait"], "Dropped files are still loaded: see `pipeline status --stack"),
        (["dim_products.csv", "till_2023-03-15.csv"], ["drop"], "No file of transactions was dropped. Dropped files"),
        (["till_2023-03-15.csv"], ["backfill"], "Run the same command again to continue."),
    ],
)
def test_an_interrupted_wait_says_what_goes_on(
    names: list[str], words: list[str], sentence: str, tmp_path: Path
) -> None:
    for name in names:
        (tmp_path / name).touch()
    stopped = CliRunner().invoke(app, [*words, str(tmp_path)])
    assert (stopped.exit_code, sentence in stopped.stderr) == (130, True), stopped.output


@pytest.mark.parametrize("end", ["\\q", "quit", "exit;"])
def test_a_session_of_statements_goes_on_until_it_is_ended(end: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal a refused statement is shown, and the next one runs."""
    run: list[str] = []

    def run_statement(_: object, statement: str, **__: object) -> Result:
        run.append(statement)
        if statement == "typo":
            raise Failed("the warehouse refused the statement: syntax error")
        return Result(["count"], [[40]], None, False)

    monkeypatch.setattr(cli.pipelines.statements, "run_statement", run_statement)
    lines = f"typo;\nselect\nquit;\n{end}\nselect 2;\n"
    piped = CliRunner().invoke(app, ["sql"], input=lines)
    assert (piped.exit_code, run) == (1, ["typo"])

    run.clear()
    monkeypatch.setattr(cli.pipelines.statements, "are_typed", lambda: True)
    typed = CliRunner().invoke(app, ["sql"], input=lines)
    assert (typed.exit_code, run) == (0, ["typo", "select\nquit"])
    assert ("syntax error" in typed.stderr, "(1 row)" in typed.stdout) == (True, True)


def test_a_watch_without_a_terminal_prints_changes_only(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = iter(["one", "one", "two", "two", "one"])

    def look(_: object) -> str:
        try:
            return next(looks)
        except StopIteration:
            raise KeyboardInterrupt from None

    monkeypatch.setattr(cli.pipelines.status, "look", look)
    monkeypatch.setattr(cli.pipelines.status, "status_text", lambda text: text)
    monkeypatch.setattr(time, "sleep", lambda _: None)
    watched = CliRunner().invoke(app, ["status", "--watch"])
    assert (watched.stdout, watched.exit_code) == ("one\ntwo\none\n", 130)


@pytest.mark.parametrize(
    "words", [["status", "--watch"], ["logs", "2023-03-15", "--follow"]], ids=lambda words: words[0]
)
def test_what_goes_on_cannot_be_printed_once(words: list[str]) -> None:
    refused = CliRunner().invoke(app, [*words, "--json"])
    assert (refused.exit_code, "use one of them" in refused.stderr) == (2, True)
