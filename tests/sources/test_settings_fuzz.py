"""Any settings and any file give what a slow oracle, written from the design, says."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from schemas.sources import SourceSettings
from tests import oracle
from tests.jobs.dry_run import DryRun, dry_run, small_pieces
from tests.jobs.test_whole_files import pieces
from tests.sources.files import CUSTOMERS, DAY, PRICES, files
from tests.sources.oracle import Row, SourceOracle
from tests.sources.settings import settings_mappings

DIMENSIONS: dict[str, Any] = {
    "products": {key: oracle.Product(key, f"Product {key}", "Tea", price, "S1") for key, price in PRICES.items()},
    "customers": {key: oracle.Customer(key, "Ann", "One", "", "Gold") for key in CUSTOMERS},
}


@st.composite
def settings_and_files(draw: st.DrawFn) -> tuple[Mapping[str, Any], bytes]:
    mapping = draw(settings_mappings())
    return mapping, draw(files(mapping))


@given(settings_and_files(), st.none() | pieces)
def test_a_file_is_read_as_its_settings_say(
    case: tuple[Mapping[str, Any], bytes], in_pieces: Mapping[str, int] | None
) -> None:
    """As a whole, and in chunks of a few rows, which must know what the rows above them say."""
    mapping, content = case
    with small_pieces(**in_pieces) if in_pieces else nullcontext():
        run = dry_run(content, **DIMENSIONS, partition_day=DAY, source=SourceSettings.parse(mapping))
    assert run.error is None
    expected = SourceOracle(mapping, PRICES, CUSTOMERS, DAY).load(content)
    assert {row["transaction_id"]: _row(row) for row in run.staged} == expected.loaded
    assert rejected(run) == expected.rejected
    assert run.duplicate == expected.duplicate


def rejected(run: DryRun) -> dict[int, set[str]]:
    """Line -> reject reasons."""
    if run.rejected is None:
        return {}
    line, reasons = run.rejected.header.index("source_line"), run.rejected.header.index("reject_reasons")
    return {int(row[line]): set(row[reasons].split(";")) for row in run.rejected.lines}


def _row(staged: Mapping[str, Any]) -> Row:
    return Row(**{name: staged[name] for name in Row.__dataclass_fields__})
