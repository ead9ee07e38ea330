"""A dimension is joined many to one, or refused."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from decimal import Decimal
from unittest import mock

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobs.errors import DimensionRefused
from jobs.rows.lookup import Lookup
from tests.jobs.dry_run import dry_run
from tests.jobs.rows.validating import text_rows, transform
from tests.oracle.rows import Product
from tests.strategies.hostile_content import HEADER, SOUND_CUSTOMERS, SOUND_LINE, SOUND_PRODUCTS
from tests.strategies.rows import hostile_texts


def products(*ids: str | None) -> pl.DataFrame:
    names = [f"name of {name}" for name in ids]
    schema = {"product_id": pl.String(), "product_name": pl.String()}
    return pl.DataFrame({"product_id": ids, "product_name": names}, schema=schema)


def series(ids: Sequence[str | None]) -> pl.Series:
    return pl.Series("product_id", ids, dtype=pl.String)


@pytest.fixture(params=[(1, 0), (4, 1 << 16)], ids=["few places", "many places"], autouse=True)
def _places(request: pytest.FixtureRequest) -> Iterator[None]:
    """With as many places as ids, many ids share one."""
    for_each_id, fewest = request.param
    with mock.patch.multiple("jobs.rows.lookup", _PLACES=for_each_id, _FEWEST_PLACES=fewest):
        yield


@given(st.lists(hostile_texts, max_size=40, unique=True), st.lists(hostile_texts, max_size=8))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_an_id_is_found_if_it_is_the_same_text_to_the_last_character(known: list[str], asked: list[str]) -> None:
    """The id `001` is not 1, and ids are case-sensitive."""
    held = Lookup(products(*known), name="dim_products", key="product_id")
    texts = [*asked, *known]
    rows = held.rows_of(series(texts))
    actual = held.column("product_name", rows).cast(pl.String).to_list()
    assert actual == [f"name of {text}" if text in known else None for text in texts]


def test_a_null_id_is_no_ones() -> None:
    held = Lookup(products("P1"), name="dim_products", key="product_id")
    rows = held.rows_of(series([None, "P1", None]))
    assert rows.to_list() == [None, 0, None]


@given(st.lists(st.integers(0, 50), max_size=60))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_dimension_is_refused_if_an_id_occurs_twice(numbers: list[int]) -> None:
    ids = [f"P{number}" for number in numbers]
    refused = len(set(ids)) < len(ids)
    with pytest.raises(DimensionRefused, match="more than once") if refused else nullcontext():
        Lookup(products(*ids), name="dim_products", key="product_id")


def test_a_duplicate_id_in_a_lookup_is_refused() -> None:
    with pytest.raises(DimensionRefused) as refused:
        Lookup(products("P2", "P1", "P1", "P2", "P3"), name="dim_products", key="product_id")
    assert str(refused.value) == (
        "dim_products has product_id 'P1' more than once (2 such ids), so a join would multiply transactions; "
        "delete all rows but one of each id and replay the load"
    )


def test_a_dimension_row_without_an_id_is_refused() -> None:
    with pytest.raises(DimensionRefused) as refused:
        Lookup(products("P2", None), name="dim_products", key="product_id")
    assert str(refused.value) == "dim_products has 1 row without product_id; delete them and replay the load"


def test_an_empty_dimension_makes_orphans_and_no_crash() -> None:
    run = dry_run(f"{HEADER}\n{SOUND_LINE}\n".encode(), products={}, customers={})
    assert run.error is None
    assert run.rejected is not None
    assert run.rejected.lines[0][-2] == "unknown_customer;unknown_product"


def test_more_categories_than_an_enum_is_worth_are_joined_alike() -> None:
    many = {f"Q{at}": Product(f"Q{at}", f"name {at}", "Gadgets", Decimal(1), "S1") for at in range(20_001)}
    rows = [dict(zip(HEADER.split(","), SOUND_LINE.split(","))) for _ in range(2)]
    rows[0]["product_id"], rows[1]["product_id"] = "Q0", "Q20000"
    accepted = transform(products={**SOUND_PRODUCTS, **many}, customers=SOUND_CUSTOMERS)(text_rows(rows)).accepted
    assert accepted.get_column("product_name").cast(pl.String).to_list() == ["name 0", "name 20000"]


def test_a_column_that_both_sides_have_is_the_dimensions_on_purpose() -> None:
    """A price or an amount in the transactions file is just an ignored column."""
    content = f"price,product_name,{HEADER}\n0.01,cheap,{SOUND_LINE}\n"
    run = dry_run(content.encode())
    assert run.report.ignored_columns == ["price", "product_name"]
    (row,) = run.staged
    assert (row["unit_price"], row["product_name"]) == (Decimal("29.99"), "Widget A")
    assert row["total_amount"] == Decimal("59.98")
