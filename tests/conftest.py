"""Settings of the tests' searches, and the sums of injected faults at the end.

No property depends on time, since the machine may be busy. HYPOTHESIS_PROFILE=thorough searches
fifteen times as far; `make test-long` sets it.

A test that injects faults records the property `faults`, numbers by name. Their sums are
shown at the end of the run and kept in build/faults.json.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "fast", max_examples=20, deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("thorough", settings.get_profile("fast"), max_examples=300)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fast"))


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Sum up the faults that were injected; nothing where no test injected any."""
    numbers: Counter[str] = Counter()
    for reports in terminalreporter.stats.values():
        for report in reports:
            if getattr(report, "when", None) == "call":
                result = [payload for name, payload in report.user_properties if name == "faults"]
                numbers["tests"] += bool(result)
                for payload in result:
                    numbers.update(payload)
    if not numbers["tests"]:
        return
    folder = config.rootpath / "build"
    folder.mkdir(exist_ok=True)
    (folder / "faults.json").write_text(json.dumps(dict(numbers), indent=2) + "\n", encoding="utf-8")
    terminalreporter.section("faults")
    terminalreporter.line(", ".join(f"{name}: {number:,}" for name, number in numbers.items()))
