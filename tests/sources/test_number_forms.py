"""The form of numbers that `check` proposes: only where the values have one meaning, and the form in use has not."""

from __future__ import annotations

import pytest

from cli.check.number_forms import number_changes
from schemas.sources import SourceSettings

GERMAN = SourceSettings(decimal_comma=True, thousands_separator=".")


@pytest.mark.parametrize(
    ("values", "used", "changes"),
    [
        (["4", "12"], GERMAN, {}),
        (["4,50", "1.200"], GERMAN, {}),
        (["4.50", "12"], GERMAN, {"decimal_comma": False, "thousands_separator": ""}),
        (["4,50", "12"], SourceSettings(), {"decimal_comma": True}),
        (["1.000"], SourceSettings(), {}),
    ],
)
def test_a_form_is_proposed_only_where_the_one_in_use_fails(
    values: list[str], used: SourceSettings, changes: dict[str, object]
) -> None:
    assert number_changes(values, used) == changes
