"""docs/aws.md names the tests that guard each line; a test that is renamed or gone is noticed here."""

from __future__ import annotations

import re

from tests.components.program import ROOT

PAGE = (ROOT / "docs" / "aws.md").read_text(encoding="utf-8")


def test_every_line_names_a_guard_or_what_nobody_has_seen() -> None:
    header = "| AWS | We | Guard | Not seen yet |"
    tables = [part.partition("\n\n")[0].splitlines()[1:] for part in PAGE.split(header)[1:]]
    rows = [[cell.strip() for cell in line.strip("| ").split(" | ")] for table in tables for line in table[1:]]
    assert len(rows) > 50
    assert [row for row in rows if len(row) != 4 or not all(row)] == []
    unproven = [aws for aws, _, guard, not_seen in rows if "`" not in guard and not_seen == "–"]
    assert unproven == []


def test_every_guard_that_the_page_names_exists() -> None:
    written = {
        name for path in (ROOT / "tests").rglob("*.py") for name in re.findall(r"def (test_\w+)", path.read_text())
    }
    named = set(re.findall(r"`(test_\w+)`", PAGE))
    assert len(named) > 25
    assert named - written == set()
    files = set(re.findall(r"`(tests/[\w/.]+)`", PAGE))
    assert {file for file in files if not (ROOT / file).exists()} == set()
