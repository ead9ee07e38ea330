"""The documents' promises hold: files they link to, commands they name."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer
import yaml
from typer.main import get_command

from cli.main import app

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *ROOT.glob("*/README.md")])
MAILS = sorted((ROOT / "docs" / "mails").glob("*.txt"))
COMMANDS = get_command(app).commands  # type: ignore[attr-defined]
UsageError: type[Exception] = typer.BadParameter.__bases__[0]
"""The command line's error for words that it does not understand."""
_NUMBERS = {"N": "1", "SEED": "1", "MINUTES": "1"}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_to_files_that_are_there(document: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", document.read_text(encoding="utf-8"))
    local = [link for link in links if "://" not in link and not link.startswith("mailto:")]
    assert [link for link in local if not (document.parent / link).exists()] == []


@pytest.mark.parametrize("document", [*DOCUMENTS, *MAILS], ids=lambda path: path.relative_to(ROOT).as_posix())
def test_commands_in_documents_can_be_typed(document: Path) -> None:
    wrong = {}
    for words in commands_in(document.read_text(encoding="utf-8")):
        command = COMMANDS.get(words[0])
        if command is None:
            wrong[" ".join(words)] = "no such command"
        elif len(words) > 1:  # a name alone is a mention of the command
            try:
                command.make_context(words[0], [_NUMBERS.get(word, word) for word in words[1:]])
            except UsageError as refused:
                wrong[" ".join(words)] = str(refused)
        if words[:2] in (["dead", "redrive"], ["dead", "discard"], ["dead", "show"]) and len(words) == 2:
            wrong[" ".join(words)] = "which message?"
    assert wrong == {}


def test_a_command_that_cannot_be_typed_is_found() -> None:
    assert commands_in("`pipeline dead list --all`, then\n$ pipeline replay --stack prod  # all") == [
        ["dead", "list", "--all"],
        ["replay", "--stack", "prod"],
    ]
    with pytest.raises(UsageError):
        COMMANDS["dead"].make_context("dead", ["list", "--all"])


def commands_in(text: str) -> list[list[str]]:
    """The words after `pipeline` of whatever a text says to type: in backticks, after a prompt, or on its own line."""
    matches = re.findall(
        r"`(?:\.venv/bin/)?pipeline ([^`\n]+)`|^(?:\$ |  )(?:\.venv/bin/)?pipeline ([^\n]+)", text, re.MULTILINE
    )
    return [shlex.split(quoted or typed, comments=True) for quoted, typed in matches]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_tests_named_in_documents_exist(document: Path) -> None:
    tests = {path: path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py")}
    functions = {name for text in tests.values() for name in re.findall(r"^def (test_\w+)\(", text, re.MULTILINE)}
    named = re.findall(r"`(test_\w+)`", document.read_text(encoding="utf-8"))
    assert set(named) - functions == set()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_settings_named_in_documents_exist(document: Path) -> None:
    declared = yaml.safe_load((ROOT / "Pulumi.yaml").read_text(encoding="utf-8"))["config"]
    named = re.findall(r"pulumi config set (?:--path ')?([A-Za-z]+)\b(?!:)", document.read_text(encoding="utf-8"))
    assert set(named) - set(declared) - {"aws"} == set()


def test_each_mail_about_a_failure_has_its_section_in_the_runbook() -> None:
    subjects = {path.name: path.read_text(encoding="utf-8").splitlines()[0] for path in MAILS}
    failures = {name for name, subject in subjects.items() if "NOT loaded" in subject or "was stopped" in subject}
    runbook = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
    sections = re.split(r"^### ", runbook.partition("\n## Alarms")[0], flags=re.MULTILINE)[1:]
    linked = [re.findall(r"\(mails/([a-z_]+\.txt)\)", section) for section in sections]
    assert {name for names in linked for name in names} == failures
    assert all(linked), "a section without the mail it is about"
