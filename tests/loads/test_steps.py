"""One list of steps: the README, the log and the report have the same names in the same order."""

from __future__ import annotations

import re
from pathlib import Path

from jobs.attempt import STEPS
from tests.jobs.dry_run import dry_run
from tests.strategies.hostile_content import HEADER, SOUND_LINE


def test_readme_log_and_report_name_the_same_steps_in_the_same_order() -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    listed = re.findall(r"^ +[0-9] ([a-z]+(?: [a-z]+)*)  ", readme, re.MULTILINE)
    assert tuple(listed) == STEPS
    assert tuple(dry_run(f"{HEADER}\n{SOUND_LINE}\n".encode()).report.step_seconds) == STEPS
