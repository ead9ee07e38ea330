"""A transaction_id is reused for another sale in another file. The later row counts, and the report says so."""

from __future__ import annotations

from datetime import date

import pytest

from schemas.reports import REUSED_ADVICE
from tests.loads.shop import Shop
from tests.strategies.hostile_content import SOUND_DAY

FIRST = "T1,C12345,P12345,2,2023-03-14,pending"
NEXT_DAY = date(2023, 3, 16)


@pytest.mark.parametrize(
    ("line", "ids"),
    [
        ("T1,C0,P12345,2,2023-03-15,pending", 1),
        ("T1,C12345,P0,2,2023-03-15,pending", 1),
        # Stale: this sale is not in the table at all.
        ("T1,C0,P0,2,2023-03-13,pending", 1),
        ("T1,C12345,P12345,5,2023-03-15,completed", 0),
        ("T2,C0,P0,2,2023-03-15,pending", 0),
    ],
    ids=["another customer", "another product", "an earlier sale", "a later state", "another id"],
)
def test_an_id_with_another_sale_in_an_earlier_file_is_reported(sound_shop: Shop, line: str, ids: int) -> None:
    sound_shop.load(FIRST)
    report = sound_shop.load(line, day=NEXT_DAY, name="next.csv")
    assert report.reused_ids.known_ids == ids
    assert report.reused_ids.known_samples == ["T1"] * ids
    sentence = "1 transaction_id had another customer or product in an earlier file, and only the later row of each"
    assert report.reused_ids.sentences() == [f"{sentence} counts: T1.", REUSED_ADVICE] * ids


def test_a_corrected_upload_of_a_file_reuses_no_id(sound_shop: Shop) -> None:
    sound_shop.load(FIRST)
    assert not sound_shop.load(FIRST.replace("C12345", "C0")).reused_ids


def test_three_reused_ids_are_named_and_all_are_counted(sound_shop: Shop) -> None:
    sound_shop.load(*(f"T{number},C12345,P12345,2,2023-03-14,pending" for number in range(1, 6)))
    report = sound_shop.load(
        *(f"T{number},C0,P0,1,2023-03-15,pending" for number in range(1, 6)), day=NEXT_DAY, name="next.csv"
    )
    assert (report.reused_ids.known_ids, report.reused_ids.known_samples) == (5, ["T1", "T2", "T3"])
    assert "T1, T2, T3, …" in report.reused_ids.sentences()[0]


def test_a_plan_reports_reused_ids_too(sound_shop: Shop) -> None:
    sound_shop.load(FIRST, day=SOUND_DAY)
    drop = sound_shop.drop(FIRST.replace("C12345", "C0"), day=NEXT_DAY, name="next.csv")
    report = sound_shop.plan(drop.key, drop.content, drop.uploaded_at)
    assert report.reused_ids.known_ids == 1
