"""Under which key a file is dropped."""

from __future__ import annotations

import pytest

from cli.drops.keys import key_of
from cli.refusals import Refused


@pytest.mark.parametrize(
    ("name", "day", "key"),
    [
        ("dim_products_new.csv", None, "dimensions/dim_products_new.csv"),
        ("transactions_2023-03-15.csv", None, "transactions/year=2023/month=03/day=15/transactions_2023-03-15.csv"),
        ("late rows.csv.gz", "2023-03-15", "transactions/year=2023/month=03/day=15/late rows.csv.gz"),
        ("till_2023-03-15.csv", "2023-03-16", "transactions/year=2023/month=03/day=16/till_2023-03-15.csv"),
    ],
)
def test_a_files_name_or_the_given_day_says_its_key(name: str, day: str | None, key: str) -> None:
    assert key_of(name, day) == key


@pytest.mark.parametrize(("name", "day"), [("rows.csv", None), ("rows_2023-02-30.csv", None), ("rows.csv", "soon")])
def test_a_file_without_a_day_is_refused(name: str, day: str | None) -> None:
    with pytest.raises(Refused, match="--day YYYY-MM-DD"):
        key_of(name, day)
