"""Laws that hold for any rows, for the job and for the oracle."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from decimal import Decimal

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from jobs.rows.duplicates import keep_winners
from schemas.rejected_file import REJECT_REASONS_COLUMN, SOURCE_LINE
from tests import oracle
from tests.jobs.dry_run import dry_run
from tests.jobs.rows.validating import Validated, text_rows, transform
from tests.jobs.test_whole_files import check
from tests.oracle import values as oracle_values
from tests.oracle.text import SOURCE_COLUMNS
from tests.strategies.files import transaction_files
from tests.strategies.hostile_content import HEADER, HOSTILE_TEXTS, SOUND_CUSTOMERS, SOUND_LINE, SOUND_PRODUCTS
from tests.strategies.rows import PRICES, Transaction, dim_customers, dim_products, hostile_transactions, transactions

rows_of_text = st.lists(st.one_of(transactions(), hostile_transactions(), transactions()), max_size=8)
KNOWN = {
    **SOUND_PRODUCTS,
    **{f"P{at}": oracle.Product(f"P{at}", "Widget", "Gadgets", price, "S1") for at, price in enumerate(PRICES[5:9])},
}
CUSTOMERS = {
    **SOUND_CUSTOMERS,
    **{f"C{at}": oracle.Customer(f"C{at}", "J", "D", "j@example.com", "Gold") for at in range(3)},
}
KNOWING = {"products": KNOWN, "customers": CUSTOMERS}


def same(actual: Validated, expected: Validated) -> None:
    for side, other in zip(actual, expected):
        assert_frame_equal(comparable(side), comparable(other))


def comparable(rows: pl.DataFrame) -> pl.DataFrame:
    # Row numbers and Enum values belong to the whole dimension, whether or not the rows use them.
    rows = rows.drop("product_row", "customer_row", strict=False)
    enums = [name for name, dtype in rows.schema.items() if isinstance(dtype, pl.Enum)]
    return rows.with_columns(pl.col(enums).cast(pl.String)).sort(SOURCE_LINE)


@given(rows_of_text)
def test_rows_are_conserved(rows: Sequence[Transaction]) -> None:
    chunk = text_rows(rows)
    validated = transform(**KNOWING)(chunk)
    lines = [*validated.accepted.get_column(SOURCE_LINE), *validated.rejected.get_column(SOURCE_LINE)]
    assert sorted(lines) == chunk.get_column(SOURCE_LINE).to_list()
    assert validated.rejected.get_column(REJECT_REASONS_COLUMN).str.len_bytes().gt(0).all()


@given(rows_of_text, st.randoms(use_true_random=False))
def test_row_order_does_not_matter(rows: Sequence[Transaction], random: object) -> None:
    chunk = text_rows(rows)
    order = list(range(chunk.height))
    random.shuffle(order)  # type: ignore[attr-defined]
    validate = transform(**KNOWING)
    same(validate(chunk[order]), validate(chunk))


@given(rows_of_text, st.integers(0, 8))
def test_splitting_does_not_matter(rows: Sequence[Transaction], cut: int) -> None:
    chunk = text_rows(rows)
    validate = transform(**KNOWING)
    first, rest = validate(chunk[:cut]), validate(chunk[cut:])
    put_together = Validated(*(pl.concat(sides) for sides in zip(first, rest)))
    same(put_together, validate(chunk))


@pytest.mark.parametrize("column", SOURCE_COLUMNS)
def test_where_polars_cuts_a_column_does_not_matter(column: str) -> None:
    """Polars holds a column in pieces, and Polars 1.36 panics in `pl.format` where the first of them is empty."""
    validate = transform(**KNOWING)
    sound = dict(zip(SOURCE_COLUMNS, SOUND_LINE.split(",")))
    for odd in (*HOSTILE_TEXTS, "2023-03-15 10:30:00 UTC", "15 Mar 2023", "1.234,50", "'P12345"):
        whole = text_rows([sound, sound, sound, {**sound, column: odd}, {**sound, column: odd}])
        cut = pl.concat([whole[:3], whole[3:]], rechunk=False)
        assert cut.n_chunks() == 2
        same(validate(cut), validate(whole))


@given(rows_of_text)
def test_unrelated_dimension_rows_do_not_matter(rows: Sequence[Transaction]) -> None:
    named = {oracle_values.meant(row[column]) for row in rows for column in ("product_id", "customer_id")}
    strangers = [name for name in ("P8", "P9", "C8", "C9", "", "T1") if name not in named or not name]
    products = {name: oracle.Product(name, "Stranger", "None", Decimal(7), "S9") for name in strangers}
    customers = {name: oracle.Customer(name, "S", "T", "s@example.com", "Iron") for name in strangers}
    chunk = text_rows(rows)
    among_strangers = transform(products={**products, **KNOWN}, customers={**customers, **CUSTOMERS})
    same(among_strangers(chunk), transform(**KNOWING)(chunk))


@given(st.one_of(transactions(), hostile_transactions()), st.sampled_from(SOURCE_COLUMNS))
def test_worse_stays_worse(row: Transaction, column: str) -> None:
    """Removing a value never makes a row acceptable, and keeps the reasons of all other columns."""
    validate = transform(**KNOWING)
    before, after = validate(text_rows([row])), validate(text_rows([{**row, column: ""}]))
    assert after.accepted.is_empty()
    if before.rejected.height:
        (reasons,), (left,) = (
            validated.rejected.get_column(REJECT_REASONS_COLUMN).str.split(";") for validated in (before, after)
        )
        shared = {"value_too_long", "invalid_quantity", "rounded_id"}  # these reasons are about several columns
        its_own = {reason for reason in oracle.REJECT_REASONS if column in reason or column[:-3] in reason}
        assert set(reasons) - shared - its_own <= set(left)


@given(
    st.lists(st.tuples(st.integers(1, 2147483647), st.sampled_from(PRICES)), min_size=1, max_size=5),
    st.lists(st.integers(1, 200_000), max_size=3, unique=True),
)
def test_classes_are_total_and_exclusive(sold: Sequence[tuple[int, Decimal]], cents: Sequence[int]) -> None:
    """Each accepted row has the class with the highest bound it reaches. A bound belongs to the class above."""
    bounds = [Decimal(0), *(Decimal(cent) / 100 for cent in sorted(cents))]
    classes = {f"class {at}": bound for at, bound in enumerate(bounds)}
    on_the_bound = {f"B{at}": oracle.Product(f"B{at}", "", "", bound, "") for at, bound in enumerate(bounds)}
    priced = {f"P{at}": oracle.Product(f"P{at}", "", "", price, "") for at, (_, price) in enumerate(sold)}
    row = dict(zip(SOURCE_COLUMNS, SOUND_LINE.split(",")))
    rows = [
        *({**row, "product_id": f"P{at}", "quantity": str(quantity)} for at, (quantity, _) in enumerate(sold)),
        *({**row, "product_id": name, "quantity": "1"} for name in on_the_bound),
    ]
    validate = transform(products={**priced, **on_the_bound}, amount_classes=classes)
    accepted = validate(text_rows(rows)).accepted
    assert accepted.height == len(rows)
    actual = accepted.select("total_amount", pl.col("amount_class").cast(pl.String)).rows()
    assert [label for _, label in actual] == [oracle.amount_class(total, list(classes.items())) for total, _ in actual]
    assert {label for _, label in actual[len(sold) :]} == set(classes)


@given(rows_of_text, st.randoms(use_true_random=False))
def test_winners_are_idempotent_and_blind_to_order(rows: Sequence[Transaction], random: object) -> None:
    accepted = transform(**KNOWING)(text_rows([*rows, *rows])).accepted
    winners = keep_winners(accepted)
    assert winners.get_column("transaction_id").is_unique().all()
    assert winners.join(accepted, on=accepted.columns, how="semi", nulls_equal=True).height == winners.height
    assert_frame_equal(keep_winners(winners), winners)
    order = list(range(accepted.height))
    random.shuffle(order)  # type: ignore[attr-defined]
    assert_frame_equal(keep_winners(accepted[order]), winners, check_row_order=False)


@settings(max_examples=settings.default.max_examples // 3)  # two whole runs each
@given(
    transaction_files(rows=st.one_of(hostile_transactions(), transactions()), gz=None), dim_products(), dim_customers()
)
def test_what_was_rejected_is_read_again_as_it_was(
    rendered: object, products: oracle.Products, customers: oracle.Customers
) -> None:
    known = {"products": products, "customers": customers}
    run = check(rendered.content, gz=rendered.gz, **known)  # type: ignore[attr-defined]
    if run.rejected_content is None:
        return
    again = check(run.rejected_content, **known)
    assert run.rejected is not None
    assert again.staged == [], "the rows were not corrected, so they are rejected again"
    assert again.rejected is not None
    assert again.rejected.header == run.rejected.header
    for first, second in zip(run.rejected.lines, again.rejected.lines):
        *cells, _, reasons, text = first
        if not text:
            assert second[: len(cells)] == tuple(cells)
            assert second[-2] == reasons


def test_a_rejected_file_corrected_and_dropped_again_is_loaded() -> None:
    """The product's promise to the person who opens the file in a spreadsheet."""
    content = (
        f'"=cmd()",{HEADER}\n'
        f"=1+1,{SOUND_LINE}\n"
        f"@sum,{SOUND_LINE.replace('T1', '-T2').replace('Completed', 'done')}\n"
        '"=a\nb","T3,x",C9,P12345,1,2023-03-15,pending\n'
        "=1+1,=T4,C0\n"
    )
    first = dry_run(content.encode())
    assert [row["transaction_id"] for row in first.staged] == ["T1"]
    assert first.rejected_content is not None
    header, *lines = csv.reader(io.StringIO(first.rejected_content.decode("utf-8"), newline=""))
    assert header == ["'=cmd()", *SOURCE_COLUMNS, "source_line", "reject_reasons", "source_text"]
    assert lines == [
        ["'@sum", "'-T2", "C12345", "P12345", "2", "2023-03-15", "done", "3", "invalid_status", ""],
        ["'=a\nb", "T3,x", "C9", "P12345", "1", "2023-03-15", "pending", "4", "unknown_customer", ""],
        ["", "", "", "", "", "", "", "6", "malformed_row", "'=1+1,=T4,C0"],
    ]
    lines[0][6] = "delivered"
    lines[1][2] = "C0"
    lines[2][:7] = ["'=1+1", "'=T4", "C0", "P0", "3", "2023-03-14", "pending"]
    corrected = io.StringIO()
    csv.writer(corrected).writerows([header, *lines])
    second = dry_run(corrected.getvalue().encode(), version_id="v2")
    assert second.error is None
    assert second.report.ignored_columns == ["=cmd()", "source_line", "reject_reasons", "source_text"]
    assert second.rejected is None
    staged = {row["transaction_id"]: row["status"] for row in second.staged}
    assert staged == {"-T2": "delivered", "T3,x": "pending", "=T4": "pending"}


@pytest.mark.parametrize("date", ["2023-03-15 10:30:00 UTC", "15 Mar 2023", "2023-03-15 10:30 PM"])
@pytest.mark.parametrize("quoted", [' "C12345" ', '"C12345" ', "C12345"], ids=["blanks", "a blank", "no quotes"])
def test_dates_of_rows_that_are_quoted_otherwise_are_read(quoted: str, date: str) -> None:
    """Rows with other quotes are read separately, and put behind the others."""
    plain = [SOUND_LINE.replace("T1", f"T{at}") for at in range(3)]
    others = [f'"T{at}",{quoted},P12345,2,{date},completed' for at in (3, 4)]
    run = check("\n".join([HEADER, *plain, *others]).encode())
    assert run.error is None
    assert len(run.staged) == 5
