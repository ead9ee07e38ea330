"""Rows that need those above them, and files in any format, give the same in shards."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from jobs.shards.runner import Serial
from schemas.sources import SourceSettings
from tests.jobs.sharding import check_shards
from tests.sources.files import DAY
from tests.sources.test_settings_fuzz import DIMENSIONS, settings_and_files


@given(case=settings_and_files(), shards=st.integers(2, 9))
def test_shards_change_nothing_of_a_file_in_any_format(case: tuple[Mapping[str, Any], bytes], shards: int) -> None:
    mapping, content = case
    check_shards(content, shards, Serial(), **DIMENSIONS, partition_day=DAY, source=SourceSettings.parse(mapping))
