"""docs/aws.md names the tests that guard each line; a test that is renamed or gone is noticed here."""

from __future__ import annotations

import re

from tests.components.program import ROOT

PAGE = (ROOT / "docs" / "aws.md").read_text(encoding="utf-8")


def test_every_guard_that_the_page_names_exists() -> None:
    written = {
        name for path in (ROOT / "tests").rglob("*.py") for name in re.findall(r"def (test_\w+)", path.read_text())
    }
    named = set(re.findall(r"`(test_\w+)`", PAGE))
    assert len(named) > 25
    assert named - written == set()
    files = set(re.findall(r"`(tests/[\w/.]+)`", PAGE))
    assert {file for file in files if not (ROOT / file).exists()} == set()
